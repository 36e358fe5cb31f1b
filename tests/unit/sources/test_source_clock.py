"""What counts of the time that a source keeps us waiting."""

from __future__ import annotations

import asyncio

import pytest

from gateway.sources.source_clock import MOST_LIMITS, STEPS, Budget, OpenConversations, SourceClock

LIMIT_S = 10.0
STEP_S = LIMIT_S / STEPS


def used(*, steps: int, step_s: float = STEP_S, is_excused: bool = False) -> Budget:
    budget = Budget(LIMIT_S)
    budget.begin(100.0)
    for number in range(1, steps + 1):
        budget.count(100.0 + number * step_s, is_excused=is_excused)
    return budget


def test_the_limit() -> None:
    assert not used(steps=STEPS - 1).is_over
    assert used(steps=STEPS).is_over


def test_a_process_that_does_not_get_to_run_waits_for_nobody() -> None:
    """Each of these steps took a minute."""
    assert not used(steps=STEPS // 2, step_s=60.0).is_over


def test_a_source_at_work_for_others_has_longer() -> None:
    assert not used(steps=STEPS * MOST_LIMITS - 1, is_excused=True).is_over
    assert used(steps=STEPS * MOST_LIMITS, is_excused=True).is_over


def test_renewed() -> None:
    budget = used(steps=STEPS)
    budget.renew()
    assert not budget.is_over


async def test_who_is_excused() -> None:
    talks, mine, other = OpenConversations(), SourceClock(60.0), SourceClock(60.0)
    seen: dict[str, bool] = {}
    mine.join(talks)
    mine.answered()
    seen["one's own answers"] = mine.is_excused
    other.join(talks)
    seen["another one that was not heard"] = mine.is_excused
    with other.stopped():
        seen["another one that waits for us"] = mine.is_excused
    seen["another one that was heard"] = mine.is_excused
    other.leave()
    seen["another one that has ended"] = mine.is_excused
    assert [name for name, is_excused in seen.items() if is_excused] == [
        "another one that waits for us",
        "another one that was heard",
    ]


async def test_waiting_ends() -> None:
    clock = SourceClock(0.02)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60), clock.limited():
            await asyncio.Event().wait()
    assert clock.is_over


async def test_what_comes_in_time_is_taken() -> None:
    clock = SourceClock(60.0)
    async with clock.limited():
        await asyncio.sleep(0)
    assert not clock.is_over


async def test_the_time_of_the_reader_of_answers_is_not_counted() -> None:
    clock = SourceClock(0.05)
    with clock.stopped():
        await asyncio.sleep(0.2)
    assert not clock.is_over
