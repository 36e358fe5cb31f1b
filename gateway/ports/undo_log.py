"""The rows of deliveries that operators changed, as they were before: kept so that an operation can be undone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Protocol

UNDONE_WITHIN = timedelta(minutes=1)
"""An operation is undone up to so long after its last transaction."""
MOST_UNDONE = 100_000
"""Deliveries of an operation that can be undone: the rows of a larger one are not kept."""
KEPT_FOR = 2 * UNDONE_WITHIN
"""An object whose last deliveries were discarded stays so long, unless room is short."""


@dataclass(frozen=True, slots=True)
class DeliveryChange:
    """The row of one delivery before and after an operation."""

    delivery_id: int
    before: str
    """The row as JSON; empty: there was none."""
    after: str
    """The mark of the row (`mark_of`); empty: there is none any more."""


def mark_of(row: str) -> str:
    """A short text that is equal for equal rows."""
    return hashlib.sha256(row.encode("utf-8", "replace")).hexdigest()[:32]


class UndoCount(NamedTuple):
    """Deliveries of an operation that is undone."""

    done: int
    changed: int
    """Those that stay, since they were sent, or changed by somebody, after the operation; or are being sent."""
    gone: int
    """Those that stay away, since their objects are not there any more."""


class UndoLog(Protocol):
    """Part of a `Store`: writing calls happen inside its transactions."""

    def take(self, ids: Sequence[int], instances: Sequence[int]) -> Sequence[int]:
        """Those of these deliveries that a verb may change. Until the transaction ends, nobody else changes them, and
        nobody sends these instances again."""
        ...

    def delivery_images(self, ids: Sequence[int]) -> Mapping[int, str]:
        """The rows of those of these deliveries that are there and under no lease, as JSON."""
        ...

    def keep_changes(self, operation_id: int, changes: Sequence[DeliveryChange]) -> None:
        """Keep them for the operation."""
        ...

    def changes_of(self, operation_id: int, after: int, limit: int) -> Sequence[DeliveryChange]:
        """The first ones that are kept, by delivery, behind the identifier `after`."""
        ...

    def undoable(self, changes: Sequence[DeliveryChange]) -> UndoCount:
        """The numbers that `put_back` would have now."""
        ...

    def put_back(self, operation_id: int, changes: Sequence[DeliveryChange]) -> UndoCount:
        """Put back the rows that are as the operation left them, and whose objects are there, with new fencing tokens.
        The changes are not kept any more, whether put back or not."""
        ...

    def drop_changes(self, up_to: int, limit: int) -> int:
        """Up to `limit` changes of operations up to this one are kept no more; the number."""
        ...
