"""The event loop of tests: a moment in which this process does not run is none on its clock.

A machine that is busy stops the process now and then, for a second if need be. On the clock of an ordinary event loop
all that time has passed when it goes on, and time limits are over before what came meanwhile is looked at. So a test of
a limit of one second would fail though both of its sides are in this process and neither was slow.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable

LONGEST_STEP_S = 0.05
"""A step of the loop, or a wait for sockets, counts for no more than this. Longer waits are several."""


TURNS = 20
"""A result of a thread, or what was read from a socket, has reached those who wait for it after fewer."""


class SteadySelector(selectors.DefaultSelector):
    """Waits for sockets, and keeps the clock.

    Args:
        monotonic: seconds, from a clock that goes on while the process stands still.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._looked_at_s = monotonic()
        self._now_s = self._looked_at_s

    def now_s(self) -> float:
        """Seconds on the clock; it never goes back."""
        return self._now_s + min(self._monotonic() - self._looked_at_s, LONGEST_STEP_S)

    def skip(self, seconds: float) -> None:
        """Put the clock forward."""
        self._now_s += seconds

    def _look(self) -> None:
        self._now_s, self._looked_at_s = self.now_s(), self._monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._look()
        found = super().select(LONGEST_STEP_S if timeout is None else min(timeout, LONGEST_STEP_S))
        self._look()
        return found


class SteadyEventLoop(asyncio.SelectorEventLoop):
    """An event loop on the clock of its selector."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._steady = SteadySelector(monotonic)
        super().__init__(self._steady)

    def time(self) -> float:
        return self._steady.now_s()

    def skip(self, seconds: float) -> None:
        self._steady.skip(seconds)


class SteadyEventLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes such event loops."""

    _loop_factory = SteadyEventLoop


async def turns() -> None:
    """Until everything that is there to be done now is done."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def let_pass(seconds: float) -> None:
    """As if so much time went by, once everything that is there to be done now is done: for time limits that are to run
    out, and long enough for everything that is to be in time on a machine that is busy."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteadyEventLoop)
    await turns()
    loop.skip(seconds)
