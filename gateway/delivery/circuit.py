"""The circuit of a destination. Pure: values in, a new value out; times are monotonic seconds.

A circuit opens when the peer is known to be down, or after `DOUBTS` objects in a row were deferred one by one. While it
is open no courier claims; when its wait is over one object probes. One success closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from gateway.delivery.retry import delay_s
from gateway.model.peer import Retry

DOUBTS = 3
"""Single deferrals in a row (0xA700, a lost association) that make the peer the suspect rather than the objects."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of one destination."""

    openings: int = 0
    """Times in a row that it opened; 0 is closed."""
    doubts: int = 0
    """Deferrals in a row that were held against the object."""
    open_until_s: float = 0.0
    reason: str = ""

    @property
    def is_closed(self) -> bool:
        """True while objects may flow freely."""
        return self.openings == 0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next probe; 0 when something may be sent now."""
        return 0.0 if self.is_closed else max(0.0, self.open_until_s - now_s)

    def down(self, retry: Retry, now_s: float, random: Random, reason: str, after_s: float | None = None) -> Circuit:
        """The peer is down: open, longer each time; `after_s` is the wait when the peer or the channel knows it.

        While it waits, more bad news (of objects that were in flight too) changes nothing.
        """
        if self.wait_s(now_s) > 0:
            return self
        openings = self.openings + 1
        wait = delay_s(retry, openings, random) if after_s is None else after_s
        return Circuit(openings, 0, now_s + wait, reason)

    def doubted(self, retry: Retry, now_s: float, random: Random, reason: str) -> Circuit:
        """One object was deferred, maybe for its own sake: too many in a row, or a failed probe, open the circuit."""
        doubts = self.doubts + 1
        if self.is_closed and doubts < DOUBTS:
            return replace(self, doubts=doubts)
        return self.down(retry, now_s, random, reason)

    def probe_now(self) -> Circuit:
        """Somebody mended something: the wait is over, the count stays."""
        return replace(self, open_until_s=0.0)


CLOSED = Circuit()
