import pytest

from gateway.common.week import spans_of

DAY = 1440
EVERY = range(7)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Sa,Su", [(5 * DAY, 6 * DAY), (6 * DAY, 7 * DAY)]),
        ("Mo-Fr 18:00-06:00", [(day * DAY + 1080, day * DAY + 1800) for day in range(5)]),
        ("Fr-Mo 00:00-24:00", [(day * DAY, day * DAY + DAY) for day in (0, 4, 5, 6)]),
        ("tue, THU 12:00-13:30", [(day * DAY + 720, day * DAY + 810) for day in (1, 3)]),
        ("22:00-02:00", [(day * DAY + 1320, day * DAY + 1560) for day in EVERY]),
        ("Mo-We,We,Fr 00:00-01:00", [(day * DAY, day * DAY + 60) for day in (0, 1, 2, 4)]),
        ("Sunday 23:00-01:00", [(6 * DAY + 1380, 6 * DAY + 1500)]),
    ],
)
def test_texts_are_minutes_of_the_week(text: str, spans: list[tuple[int, int]]) -> None:
    assert spans_of(text) == spans


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Mo-Xy", "`Xy` is no day of the week; write Mo, Tu"),
        ("M 18:00-06:00", "`M` is no day of the week"),
        ("Mo-", "is no day"),
        ("Mo,,Tu", "is no day"),
        ("Mo 10:00-10:00", "is empty"),
        ("Mo-Fr 18:00", "is not a window"),
    ],
)
def test_other_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        spans_of(text)
