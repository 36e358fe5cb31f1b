"""Copies of what was delivered, in the store: they are kept until a time that routes and peers say (`keep`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class KeptTotal:
    """All that is kept at one moment, and owes nothing."""

    number: int
    size_bytes: int
    is_exact: bool
    """False: counting stopped before all were looked at."""
    first_until: datetime | None
    """The time at which the first of them may go; None without any."""
    last_until: datetime | None


NOTHING_KEPT = KeptTotal(0, 0, True, None, None)


class EndedCopies(NamedTuple):
    """Copies that are kept no longer."""

    number: int
    size_bytes: int


class KeptCopies(Protocol):
    """Part of a `Store`: the calls that write happen inside its transactions. A settlement begins to keep an instance
    (`Settlement.kept_until`). Times are the queue's.

    What is kept no longer goes when retention is over, which counts from when it owed nothing any more. What owes
    something is never given up here.
    """

    def end_kept(self, now: datetime, limit: int) -> int:
        """Up to `limit` copies whose time is over at `now` are kept no longer: the number."""
        ...

    def end_oldest_kept(self, limit: int) -> EndedCopies:
        """The same of the oldest, though their time is not over."""
        ...

    def kept_total(self, looked_at: int) -> KeptTotal:
        """All that is kept. Up to `looked_at` copies are counted."""
        ...

    def kept_until(self, instance_id: int) -> datetime | None:
        """The time until which an instance is kept that owes nothing; None for any other."""
        ...
