"""The queue's time as the database remembers it (`gateway.common.steady_clock`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.common.steady_clock import utc_now
from gateway.ports.gateway_clock import GatewayClock
from gateway.relational.rows import microseconds, moment
from gateway.relational.statements import Statements

KEEP_CLOCK_S = 10.0
"""The interval at which the queue's time is written: a crash takes away as much of the age of what waits."""

MOST_UNWRITTEN_S = 60.0
"""The most by which the queue's time can be later than the last written time: an idle gateway writes it every 20
seconds. A wall clock that is further ahead was set ahead.
"""


class QueueClock:
    """The time of one store: `now` when it is given, else `clock`'s, else what the database remembers.

    `is_running` says whether a gateway uses the database.
    """

    def __init__(
        self,
        statements: Statements,
        *,
        is_running: Callable[[], bool],
        now: Callable[[], datetime] | None = None,
        clock: GatewayClock | None = None,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        self._statements = statements
        self._clock = clock
        self._wall = wall
        self._is_running = is_running
        self._keep_at_s = 0.0
        self.now: Callable[[], datetime] = now or clock or self._remembered
        """The queue's time: the clock's that was given, else as the gateway last wrote it, and what has passed since
        while a gateway runs."""
        if clock is not None:
            clock.resume(self._written()[0] or self._last_acceptance())

    def now_us(self) -> int:
        """`now` as it is stored."""
        return microseconds(self.now())

    def on_the_wall(self, moment: datetime) -> datetime:
        """The wall clock's time at a moment of the queue's time that is near."""
        queue_time, wall_time = self._written()
        return moment if queue_time is None or wall_time is None else moment + (wall_time - queue_time)

    def keep(self) -> None:
        """Write the time, once in a while, with what is written anyway."""
        if self._clock is None or time.monotonic() < self._keep_at_s:
            return
        self._keep_at_s = time.monotonic() + KEEP_CLOCK_S
        now, wall = microseconds(self._clock()), microseconds(self._clock.wall())
        self._statements.do("keep_clock", queue_time=now, wall_time=wall)

    def keep_soon(self) -> None:
        """Write the time with the next transaction."""
        self._keep_at_s = 0.0

    def _remembered(self) -> datetime:
        """The queue's time, by the one that was written last; without one the time with which a gateway begins."""
        queue_time, wall_time = self._written()
        if queue_time is None or wall_time is None:
            return self._last_acceptance() or self._wall()
        if not self._is_running():
            return queue_time
        passed_s = (self._wall() - wall_time).total_seconds()
        return queue_time + timedelta(seconds=min(max(passed_s, 0.0), MOST_UNWRITTEN_S))

    def _written(self) -> tuple[datetime | None, datetime | None]:
        """The queue's time and the wall clock's as they were last written."""
        with self._statements.errors():
            found = self._statements.single("read_clock")
        return (None, None) if found is None else (moment(found[0]), moment(found[1]))

    def _last_acceptance(self) -> datetime | None:
        """The last acceptance in a database that was made anew from the spool; None when there is none."""
        with self._statements.errors():
            found = self._statements.single("last_acceptance")
        return None if found is None else moment(found)
