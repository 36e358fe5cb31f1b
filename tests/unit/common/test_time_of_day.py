import pytest

from gateway.common.time_of_day import minutes_of


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("18:00-06:00", (1080, 360)),
        (" 00:00 - 24:00 ", (0, 1440)),
        ("12:30-13:01", (750, 781)),
    ],
)
def test_times_are_minutes_of_a_day(text: str, minutes: tuple[int, int]) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("night", "is not a window such as 18:00-06:00"),
        ("18-06", "is not a window such as 18:00-06:00"),
        ("24:00-06:00", "holds no time of day"),
        ("18:00-24:01", "holds no time of day"),
        ("18:60-19:00", "holds no time of day"),
        ("08:00-08:00", "is empty; the whole day is 00:00-24:00"),
        ("1２:00-13:00", "is not a window such as 18:00-06:00"),  # noqa: RUF001  # another digit
    ],
)
def test_other_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        minutes_of(text)
