"""The pace of a destination, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import heapq
from random import Random

import pytest

from gateway.delivery.pace import Pace, TokenBucket
from tests.support.fakes.delivery import peer
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import SecondsClock

MB = 1_000_000
MINUTE_S = 60.0


def pace_of(clock: SecondsClock, bytes_per_s: float = 0.0, objects_per_s: float = 0.0) -> Pace:
    return Pace(peer(bytes_per_s=bytes_per_s, objects_per_s=objects_per_s), MemoryMeter(), clock)


def sent_in(seconds: float, pace: Pace, clock: SecondsClock, associations: int, sizes: list[int]) -> list[int]:
    """The lengths of what associations begin in this time, each as fast as it may."""
    end_s, sent, serial = clock.now_s + seconds, [], 0
    free = [(clock.now_s, number) for number in range(associations)]
    while free[0][0] < end_s:
        clock.now_s, number = heapq.heappop(free)
        size_bytes = sizes[serial % len(sizes)]
        if wait_s := pace.wait_s(size_bytes):
            heapq.heappush(free, (clock.now_s + wait_s, number))
            continue
        pace.reserve(serial, size_bytes)
        pace.begun(serial, size_bytes)
        sent.append(size_bytes)
        serial += 1
        heapq.heappush(free, (clock.now_s + 0.001 + size_bytes / (200 * MB), number))
    return sent


@pytest.mark.parametrize("associations", [1, 4, 16])
@pytest.mark.parametrize(
    "sizes",
    [[524_288], [5_000, 30_000_000], [Random(1).randrange(1_000, 2_000_000) for _ in range(500)], [20 * MB]],
    ids=["CT", "small and large", "mixed", "of some fifths of a second"],
)
def test_bytes_of_a_minute_are_those_of_the_rate(associations: int, sizes: list[int]) -> None:
    clock = SecondsClock()
    sent = sum(sent_in(MINUTE_S, pace_of(clock, bytes_per_s=50 * MB), clock, associations, sizes))
    assert 0.95 * 50 * MB * MINUTE_S <= sent <= 1.05 * 50 * MB * MINUTE_S


@pytest.mark.parametrize("associations", [1, 4, 16])
@pytest.mark.parametrize("rate", [0.5, 2.5, 20, 300])
def test_objects_of_a_minute_are_those_of_the_rate(associations: int, rate: float) -> None:
    clock = SecondsClock()
    sent = len(sent_in(MINUTE_S, pace_of(clock, objects_per_s=rate), clock, associations, [5_000]))
    assert abs(sent - rate * MINUTE_S) <= max(0.05 * rate * MINUTE_S, 1)


def test_an_object_larger_than_a_second_is_waited_for_by_the_next_one() -> None:
    clock = SecondsClock()
    pace = pace_of(clock, bytes_per_s=MB)
    assert pace.wait_s(100 * MB) == 0
    pace.reserve(1, 100 * MB)
    pace.begun(1, 100 * MB)
    assert pace.wait_s(1) == pytest.approx(99 + 1e-6)
    clock.now_s += 99.5
    assert pace.wait_s(500_000) == 0
    assert pace.wait_s(100 * MB) == pytest.approx(0.5)


def test_the_stricter_rate_counts() -> None:
    clock = SecondsClock()
    pace = pace_of(clock, bytes_per_s=MB, objects_per_s=2)
    for number in (1, 2):
        assert pace.wait_s(10) == 0
        pace.reserve(number, 10)
    assert pace.wait_s(10) == pytest.approx(0.5)


def test_what_was_not_sent_is_paid_back_once() -> None:
    clock = SecondsClock()
    pace = pace_of(clock, bytes_per_s=MB, objects_per_s=1)
    pace.reserve(1, MB)
    assert pace.wait_s(MB) == pytest.approx(1)
    pace.release(1)
    assert pace.wait_s(MB) == 0
    pace.release(1)
    pace.reserve(2, MB)
    pace.begun(2, MB)
    pace.release(2)
    assert pace.wait_s(MB) == pytest.approx(1), "it was sent"


def test_the_length_that_was_sent_counts() -> None:
    clock = SecondsClock()
    pace = pace_of(clock, bytes_per_s=MB)
    pace.reserve(1, MB)
    pace.begun(1, MB // 2)
    assert pace.wait_s(MB // 2) == 0
    assert pace.wait_s(MB) == pytest.approx(0.5)


def test_a_debt_outlasts_a_change_of_the_rate() -> None:
    clock = SecondsClock()
    pace = pace_of(clock, bytes_per_s=1)
    pace.reserve(1, 10 * MB)
    pace.begun(1, 10 * MB)
    assert pace.wait_s(1) == pytest.approx(10 * MB)
    pace.replace(peer(bytes_per_s=10 * MB))
    assert pace.wait_s(0) == pytest.approx(1)
    pace.replace(peer())
    assert pace.wait_s(MB) == 0
    assert not pace.is_limited


def test_nothing_waits_and_nothing_is_kept_without_a_rate() -> None:
    pace = pace_of(SecondsClock())
    for number in range(1000):
        assert pace.wait_s(MB) == 0
        pace.reserve(number, MB)
    assert pace._reserved == {}


async def test_who_waits_is_woken_by_a_change() -> None:
    clock, meter = SecondsClock(), MemoryMeter()
    pace = Pace(peer(bytes_per_s=1), meter, clock)
    seen: list[bool] = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(pace.wait(3600, pace.next_change))
        await asyncio.sleep(0)
        seen.append(pace.is_waited_for)
        clock.now_s += 7
        pace.replace(peer(bytes_per_s=2))
    assert [*seen, pace.is_waited_for] == [True, False]
    assert meter.counted["gateway_delivery_rate_wait_seconds_total", "pacs"] == 21


async def test_a_change_before_the_wait_has_begun_ends_it() -> None:
    pace = pace_of(SecondsClock(), bytes_per_s=1)
    change = pace.next_change
    pace.wake()
    async with asyncio.timeout(60):
        await pace.wait(3600, change)
    assert not pace.is_waited_for


def test_a_bucket_that_is_waited_for_as_long_as_it_says_has_enough() -> None:
    now_s, bucket = 0.1, TokenBucket(0.7, 0.1)
    for _ in range(10_000):
        now_s += bucket.wait_s(0.3, now_s)
        assert bucket.wait_s(0.3, now_s) == 0
        bucket.take(0.3, now_s)
