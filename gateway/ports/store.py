"""The store: one durable place with deliveries, collections, operators, traces, the index and the ledger."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from gateway.ports.affinities import Affinities
from gateway.ports.collections import Collections
from gateway.ports.delivery_administration import DeliveryAdministration
from gateway.ports.delivery_queue import DeliveryQueue
from gateway.ports.index_store import IndexStore
from gateway.ports.kept_copies import KeptCopies
from gateway.ports.operation_log import OperationLog
from gateway.ports.pauses import Pauses
from gateway.ports.spool_ledger import SpoolLedger
from gateway.ports.trace_entries import TraceEntries
from gateway.ports.undo_log import UndoLog


class Store(Protocol):
    """Synchronous; one thread uses one Store object. Several processes may open the same store.

    Every writing call of its parts happens inside `transaction()`; leaving it commits, an exception rolls all back.
    """

    @property
    def deliveries(self) -> DeliveryQueue: ...

    @property
    def collections(self) -> Collections: ...

    @property
    def administration(self) -> DeliveryAdministration: ...

    @property
    def operations(self) -> OperationLog: ...

    @property
    def undo(self) -> UndoLog: ...

    @property
    def pauses(self) -> Pauses: ...

    @property
    def affinities(self) -> Affinities: ...

    @property
    def kept(self) -> KeptCopies: ...

    @property
    def traces(self) -> TraceEntries: ...

    @property
    def index(self) -> IndexStore: ...

    @property
    def spool(self) -> SpoolLedger: ...

    def transaction(self, *, is_durable: bool = True) -> AbstractContextManager[object]:
        """One transaction over all parts. `is_durable=False` may be lost with the power (never torn): for claims, which
        nothing acknowledged rests on, and for what the spool's segments hold as well.

        Raises SpoolFull when there is no room, Temporary when another process holds the store for too long.
        """
        ...

    def sync(self) -> None:
        """All that was committed before is on disk when this returns; inside a durable transaction, when that has
        ended. Raises what a transaction does."""
        ...

    def changed_elsewhere(self) -> bool:
        """True when another process wrote since this was asked last; False at first."""
        ...

    def moved(self, *, is_quick: bool = False) -> str:
        """The reason why its place does not lead to the opened store any more; empty when it does. Any thread, a few
        system calls.

        Everything written then would be lost with the next start. A quick look may leave out files whose absence loses
        nothing by itself.
        """
        ...

    def interrupt(self) -> None:
        """End the statement that runs with Temporary. Any thread."""
        ...

    def consolidate(self) -> None:
        """Move committed data to its final place in the store's files, outside a transaction. An error is logged."""
        ...

    def surplus_blocks(self) -> int | None:
        """Free blocks that the store can do without; None for a store that cannot give them back. The store sets the
        size of a block."""
        ...

    def release_blocks(self, most_blocks: int) -> None:
        """Give up to so many free blocks back to the file system."""
        ...

    def close(self) -> None: ...
