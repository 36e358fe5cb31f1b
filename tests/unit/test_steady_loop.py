"""The event loop of tests: a process that stands still loses no time, and waits are as long as ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.processes import until
from tests.support.steady_loop import LONGEST_STEP_S, SteadyEventLoop, SteadySelector, let_pass


class StoodStill:
    """A clock that goes on by itself, and by what a test adds."""

    def __init__(self) -> None:
        self.added_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.added_s


@pytest.mark.parametrize(("make", "is_over"), [(SteadyEventLoop, False), (None, True)], ids=["steady", "ordinary"])
def test_a_time_limit_is_not_over_because_the_process_stood_still(
    make: type[SteadyEventLoop] | None, *, is_over: bool
) -> None:
    clock = StoodStill()
    loop = make(clock) if make is not None else asyncio.SelectorEventLoop()
    if make is None:
        loop.time = clock  # type: ignore[method-assign]

    async def limited() -> None:
        async with asyncio.timeout(1000.0):
            for _ in range(3):
                clock.added_s += 1000.0
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        if is_over:
            with pytest.raises(TimeoutError):
                runner.run(limited())
        else:
            runner.run(limited())


async def test_waits_are_as_long_as_ever() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteadyEventLoop), "the one of all tests"
    begun_s, began_s = time.monotonic(), loop.time()
    await asyncio.sleep(3 * LONGEST_STEP_S)
    assert time.monotonic() - begun_s >= 3 * LONGEST_STEP_S
    assert loop.time() - began_s >= 3 * LONGEST_STEP_S


async def test_a_time_limit_runs_out_when_time_is_let_pass_and_what_was_there_before_is_in_time() -> None:
    limit_s = 1000.0

    async def in_time() -> str:
        async with asyncio.timeout(limit_s):
            return await asyncio.to_thread(str, "done")

    async def late() -> None:
        async with asyncio.timeout(limit_s):
            await asyncio.Event().wait()

    early, waiting = asyncio.create_task(in_time()), asyncio.create_task(late())
    await until(early.done)
    await let_pass(limit_s)
    with pytest.raises(TimeoutError):
        await waiting
    assert await early == "done"


def test_a_wait_without_a_limit_is_several() -> None:
    """So that its time is counted: nothing is ready, and it returns."""
    selector = SteadySelector()
    before_s = selector.now_s()
    assert selector.select(None) == []
    assert selector.now_s() > before_s
