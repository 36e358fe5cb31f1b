from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.common.week import spans_of
from gateway.delivery.waits import why_it_waits
from gateway.model.delivery_window import DeliveryWindow, merged

NIGHTS = DeliveryWindow(merged(spans_of("Mo-Fr 18:00-06:00")), ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("hour", "bytes_per_s", "objects_per_s", "expected"),
    [
        (12, 0, 0, "its window is closed until Mon 2026-03-02 18:00 CET"),
        (12, 5e7, 20, "its window is closed until Mon 2026-03-02 18:00 CET"),
        (19, 0, 0, ""),
        (19, 5e7, 0, "no more than 50 MB/s are sent"),
        (19, 2500, 0.5, "no more than 0.0025 MB/s and 0.5 objects/s are sent"),
    ],
)
def test_the_window_comes_before_the_rate(hour: int, bytes_per_s: float, objects_per_s: float, expected: str) -> None:
    now = datetime(2026, 3, 2, hour, tzinfo=UTC)
    assert why_it_waits(NIGHTS, bytes_per_s, objects_per_s, now) == expected


def test_nothing_waits_without_limits() -> None:
    assert why_it_waits(None, 0, 0, datetime(2026, 3, 2, tzinfo=UTC)) == ""
