"""Time for the queue: it goes on evenly while a gateway runs, whatever happens to the wall clock.

Ages, retention, leases and due times are measured in it, so that a wall clock that is set ahead kills and deletes
nothing, and one that is set back delays nothing. It begins as the wall clock does, is remembered in the queue's file,
and goes on from there at the next start: the time in which no gateway ran does not count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    return datetime.now(UTC)


def loop_clock_s() -> float:
    """Seconds on the clock of the event loop that runs."""
    return asyncio.get_running_loop().time()


class SteadyClock:
    """Called, it gives the queue's time as an aware UTC datetime; never less than before.

    Args:
        wall: the wall clock.
        monotonic: seconds, from a clock that nobody sets.
    """

    def __init__(self, wall: Callable[[], datetime] = utc_now, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._begun: tuple[datetime, float] | None = None

    def resume(self, remembered: datetime | None) -> None:
        """Go on from `remembered`, or begin with the wall clock when nothing is; later calls change nothing."""
        if self._begun is None:
            self._begun = (remembered or self._wall(), self._monotonic())

    def __call__(self) -> datetime:
        if self._begun is None:
            return self._wall()
        at, begun_s = self._begun
        return at + timedelta(seconds=self._monotonic() - begun_s)

    def wall(self) -> datetime:
        """The wall clock."""
        return self._wall()

    def on_the_wall(self, moment: datetime) -> datetime:
        """The time on the wall clock at `moment`, a time of this clock that is near."""
        return moment + (self._wall() - self())
