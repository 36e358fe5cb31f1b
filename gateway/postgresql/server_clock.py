"""The clock of the database server, which all nodes of a cluster go by: their own clocks may be minutes apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from gateway.common.steady_clock import utc_now
from gateway.postgresql.connection import Connection
from gateway.postgresql.statements import SQL
from gateway.relational.rows import microseconds, moment
from gateway.relational.statements import Statements

log = structlog.get_logger()

READ_EACH_S = 10.0
"""The server's clock is read with a transaction at this interval, and with each new connection."""
SLOWEST_S = 1.0
"""An answer that took longer says too little; the next one counts."""
STEP_S = 5.0
"""A difference that is logged: somebody set a clock, or another server took over."""


class ServerClock:
    """The time of the server as it was read last, carried on by a clock of this machine that nobody sets. Any thread.

    It never goes back: while the server's clock is behind what was shown, this one goes at half its pace. Before the
    first reading it shows the clock of this machine.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._lock = threading.Lock()
        self._read: tuple[datetime, float, float] | None = None
        """The time that was shown at a reading, the machine's seconds then, and by how many it was ahead."""
        self._shown: datetime | None = None

    def __call__(self) -> datetime:
        with self._lock:
            return self._show(self.monotonic())

    def _show(self, at_s: float) -> datetime:
        if self._read is None:
            return utc_now()
        begun, begun_s, ahead_s = self._read
        passed_s = max(at_s - begun_s, 0.0)
        now = begun + timedelta(seconds=passed_s - min(ahead_s, passed_s / 2))
        self._shown = now if self._shown is None else max(now, self._shown)
        return self._shown

    def adopt(self, server_time: datetime, sent_s: float, answered_s: float) -> None:
        """Go by `server_time`, which the server gave between these two moments of `monotonic`."""
        with self._lock:
            is_first = self._read is None
            if answered_s - sent_s > SLOWEST_S and not is_first:
                return
            at_s = (sent_s + answered_s) / 2
            ahead_s = 0.0 if is_first else (self._show(at_s) - server_time).total_seconds()
            if abs(ahead_s) > STEP_S:
                log.warning("server_clock_stepped", seconds=round(-ahead_s, 3))
            self._read = server_time + timedelta(seconds=max(ahead_s, 0.0)), at_s, max(ahead_s, 0.0)

    def read(self, connection: Connection) -> None:
        """Ask the server over a connection that was just opened."""
        sent_s = self.monotonic()
        row = connection.execute(SQL["server_time"].encode()).fetchone()
        if row is not None:
            self.adopt(moment(row[0]), sent_s, self.monotonic())

    def resume(self, remembered: datetime | None) -> None:
        """The server's clock went on meanwhile: it is told nothing."""

    def wall(self) -> datetime:
        """The server's clock: people read the same time from each node."""
        return self()

    def on_the_wall(self, moment: datetime) -> datetime:
        """The same moment."""
        return moment


class ServerQueueTime:
    """The queue's time of one store of a node: the server's, or `now` when it is given."""

    def __init__(self, statements: Statements, clock: ServerClock, now: Callable[[], datetime] | None) -> None:
        self._statements = statements
        self._clock = clock
        self._read_at_s = clock.monotonic() + READ_EACH_S
        self.now: Callable[[], datetime] = now or clock

    def now_us(self) -> int:
        """`now` as it is stored."""
        return microseconds(self.now())

    def on_the_wall(self, moment: datetime) -> datetime:
        """The same moment."""
        return moment

    def keep(self) -> None:
        """Read the server's clock again, once in a while."""
        sent_s = self._clock.monotonic()
        if sent_s < self._read_at_s:
            return
        self._read_at_s = sent_s + READ_EACH_S
        server_time = moment(self._statements.single("server_time"))
        self._clock.adopt(server_time, sent_s, self._clock.monotonic())


def forget_remembered_time(connection: Connection) -> None:
    """A gateway that was alone before may have left its queue time, which nothing goes by any more."""
    connection.execute(SQL["delete_clock"].encode())
