"""Kept copies in a relational database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.ports.kept_copies import EndedCopies, KeptTotal
from gateway.relational.rows import batch, microseconds, moment
from gateway.relational.statements import Statements


class RelationalKeptCopies:
    """The `KeptCopies` port on one connection."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def end_kept(self, now: datetime, limit: int) -> int:
        """Copies whose time is over are kept no longer: the number."""
        return self._end(self._statements.json("find_kept_over", before=microseconds(now), limit=limit))

    def end_oldest_kept(self, limit: int) -> EndedCopies:
        """The oldest are kept no longer, though their time is not over."""
        found: Sequence[tuple[int, int]] = self._statements.json("find_kept_oldest", limit=limit)
        return EndedCopies(self._end([row[0] for row in found]), sum(row[1] for row in found))

    def _end(self, instance_ids: Sequence[int]) -> int:
        if instance_ids:
            self._statements.do("end_keeping", ids=batch(instance_ids))
            self._statements.do("forget_kept", ids=batch(instance_ids))
        return len(instance_ids)

    def kept_total(self, looked_at: int) -> KeptTotal:
        """All that is kept, counted up to `looked_at` copies."""
        with self._statements.errors():
            number, size_bytes, first, last = self._statements.single("kept_copies", limit=looked_at)
        return KeptTotal(number, size_bytes, number < looked_at, _moment(first), _moment(last))

    def kept_until(self, instance_id: int) -> datetime | None:
        """The time until which an instance is kept that owes nothing."""
        with self._statements.errors():
            return _moment(self._statements.single("kept_until", instance_id=instance_id))


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else moment(time_us)
