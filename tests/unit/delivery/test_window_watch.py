"""A window on a wall clock that the test sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from gateway.common.week import spans_of
from gateway.delivery.window_watch import WindowWatch
from gateway.model.delivery_window import DeliveryWindow, merged
from tests.support.fakes.delivery import peer
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import Clock

NIGHTS = DeliveryWindow(merged(spans_of("Mo-Fr 18:00-06:00")), ZoneInfo("Europe/Berlin"))
MONDAY_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR_S = 3600.0


def watch_at(moment: datetime, window: DeliveryWindow | None = NIGHTS) -> tuple[WindowWatch, Clock, MemoryMeter]:
    clock, meter = Clock(moment), MemoryMeter()
    return WindowWatch(peer(window=window), clock, meter), clock, meter


def test_it_says_how_long_it_is_closed() -> None:
    watch, clock, _ = watch_at(MONDAY_NOON)
    assert watch.closed_s() == 5 * HOUR_S
    assert str(watch.opens_at()) == "2026-03-02 18:00:00+01:00"
    clock.advance(5 * HOUR_S - 1)
    assert watch.closed_s() == 1
    clock.advance(1)
    assert (watch.closed_s(), watch.opens_at()) == (0, None)


@pytest.mark.parametrize("days", [-700, -1, 1, 365])
def test_a_clock_that_is_set_is_followed(days: int) -> None:
    watch, clock, _ = watch_at(MONDAY_NOON)
    for _ in range(3):
        assert watch.closed_s() > 0
        clock.at = MONDAY_NOON + timedelta(days=days // 7 * 7, hours=8)
        assert watch.closed_s() == 0
        clock.at = MONDAY_NOON


def test_without_a_window_it_is_open() -> None:
    watch, _, _ = watch_at(MONDAY_NOON, None)
    assert (watch.closed_s(), watch.opens_at(), watch.age_s(7.0)) == (0, None, 7.0)


def test_the_time_in_which_it_is_closed_is_no_age() -> None:
    watch, clock, _ = watch_at(MONDAY_NOON)
    day_s = 24 * HOUR_S
    assert watch.age_s(HOUR_S) == 56 * HOUR_S, "it closed on Saturday at 05:00 UTC"
    clock.advance(6 * HOUR_S)
    assert watch.age_s(HOUR_S) == HOUR_S
    assert watch.age_s(2 * HOUR_S) == 60 * HOUR_S + 2 * HOUR_S
    assert watch.age_s(day_s) > 2 * day_s


async def test_each_change_is_logged_and_measured_once() -> None:
    watch, clock, meter = watch_at(MONDAY_NOON)
    changes: list[float] = []

    async def until(number: int) -> None:
        while len(changes) < number:
            await asyncio.sleep(0.01)

    with capture_logs() as lines:
        task = asyncio.create_task(watch.run(lambda: changes.append(watch.closed_s())))
        async with asyncio.timeout(60):
            await until(1)
            assert meter.values["gateway_destination_window_open", "pacs"] == 0
            clock.advance(5 * HOUR_S)
            await until(2)
            assert meter.values["gateway_destination_window_open", "pacs"] == 1
            watch.replace(peer(window=DeliveryWindow(merged(spans_of("Su")), ZoneInfo("UTC"))))
            await until(3)
            watch.replace(peer())
            await until(4)
            assert meter.values["gateway_destination_window_open", "pacs"] == 1
        task.cancel()
    assert [bool(seconds) for seconds in changes] == [True, False, True, False]
    assert [{**line, "log_level": ""} for line in lines] == [
        {"event": event, "destination": "pacs", "log_level": "", **more}
        for event, more in [
            ("destination_window_closed", {"opens_at": "2026-03-02T18:00:00+01:00"}),
            ("destination_window_opened", {"closes_at": "2026-03-03T06:00:00+01:00"}),
            ("destination_window_closed", {"opens_at": "2026-03-08T00:00:00+00:00"}),
            ("destination_window_opened", {}),
        ]
    ]


async def test_one_that_is_open_from_the_start_says_nothing() -> None:
    watch, _, meter = watch_at(MONDAY_NOON + timedelta(hours=6))
    with capture_logs() as lines:
        task = asyncio.create_task(watch.run(lambda: pytest.fail("nothing changed")))
        async with asyncio.timeout(60):
            while ("gateway_destination_window_open", "pacs") not in meter.values:
                await asyncio.sleep(0)
        task.cancel()
    assert lines == []
