"""The event loop of tests: a process that stands still loses no time, and waits are as long as ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.steady_loop import LONGEST_STEP_S, SteadyEventLoop, SteadySelector


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


def test_a_wait_without_a_limit_is_several() -> None:
    """So that its time is counted: nothing is ready, and it returns."""
    selector = SteadySelector()
    before_s = selector.now_s()
    assert selector.select(None) == []
    assert selector.now_s() > before_s
