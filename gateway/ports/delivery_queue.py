"""The delivery queue: what is owed to whom, durable, with leases and states."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from gateway.model.delivery import Attempt, Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import Apart
from gateway.model.query import Attributes, Query


@dataclasses.dataclass(frozen=True, slots=True)
class AcceptedInstance:
    """What the queue says of one acceptance."""

    instance_id: int
    deliveries: int
    """New rows; fewer than dispatches when some were duplicates of what is still owed."""
    payload: PayloadRef | None = None
    """Where the bytes lie when every dispatch was a duplicate: nothing names the payload that was given."""


@dataclasses.dataclass(frozen=True, slots=True)
class QueueDepth:
    """One row of the queue's statistics."""

    destination: str
    state: DeliveryState
    count: int
    size_bytes: int
    oldest_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries an operator means; empty fields mean any."""

    ids: tuple[int, ...] = ()
    instance_ids: tuple[int, ...] = ()
    destination: str | None = None
    state: DeliveryState | None = None
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    rule: str = ""
    created_before: datetime | None = None
    created_after: datetime | None = None


class Queue(Protocol):
    """Deliveries, durable. Synchronous; one thread uses one Queue object. Several processes may open the same queue.

    Every writing call happens inside `transaction()`; leaving it commits durably, an exception rolls all back.
    """

    def transaction(self, *, is_durable: bool = True) -> AbstractContextManager[object]:
        """`is_durable=False` may be lost with the power (never torn): for claims, which nothing acknowledged rests on.

        Raises SpoolFull when there is no room, Temporary when another process holds the queue for too long.
        """
        ...

    def accept(self, instance: Instance, dispatches: Sequence[Dispatch], now: datetime) -> AcceptedInstance:
        """Add an instance and one delivery a dispatch. Same SOP Instance UID, SOP class, transfer syntax, digest,
        destination and actions as a delivery that is still pending or held: no new row."""
        ...

    def accept_all(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool] = lambda _: True,
    ) -> list[AcceptedInstance]:
        """The same for many at once, in order, in a few statements whatever their number.

        `is_readable` is asked of the payload of what is still owed: bytes that are lost make no duplicate of those
        that arrive.
        """
        ...

    def claim(
        self, destination: str, limit: int, lease_s: float, now: datetime, apart: Apart | None = None
    ) -> list[Delivery]:
        """Take due deliveries, oldest due first, then arrival order; nobody else gets them until the lease ends.

        With `apart` only those whose likeness is in none of its ranges, one likeness after the other from its `start`
        on, in arrival order each; the others cost nothing, however many they are. When there is none behind `start`,
        from the first likeness on.
        `due_at` of what is returned is when it was due before the claim: settling with it keeps the order.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> int:
        """Write attempts and states, fenced by the lease; the number that still held their lease."""
        ...

    def settle_each(self, settlements: Sequence[Settlement]) -> list[bool]:
        """The same; says of each whether it still held its lease."""
        ...

    def next_due(self, destination: str) -> datetime | None:
        """When the next pending delivery of `destination` becomes due; None when there is none."""
        ...

    def pending_destinations(self) -> list[str]:
        """Destinations that have pending deliveries, due or not."""
        ...

    def attempts(self, delivery_id: int) -> list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        ...

    def depths(self) -> list[QueueDepth]:
        """Counts by destination and state of what is still kept for somebody: pending, dead and held."""
        ...

    def list(self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False) -> list[Delivery]:
        """Deliveries that fit, by arrival."""
        ...

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones: due now, and given up as late as if they had arrived now; `created_at` stays."""
        ...

    def hold(self, which: DeliveryFilter) -> int: ...

    def release(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """Held → pending: to `destination` when it is given, whatever they were held for, else to their own; those held
        without one stay then."""
        ...

    def discard(self, which: DeliveryFilter) -> int:
        """Delete dead, held and pending deliveries; what is under a lease stays."""
        ...

    def expire_leases(self) -> int:
        """At start, alone on the spool: leases of a process that is gone end now."""
        ...

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        """Delete instances (and their rows) that owe nothing and settled earlier; dead and held ones stay. Of those in
        the index only what settled before `indexed_before`, when it is given."""
        ...

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        """Keys of what fits `query` in the index, in a stable order, at most `limit` (0: all). Of instances with one
        SOP Instance UID the newest counts; an instance without an `index` was never in it."""
        ...

    def matches(self, query: Query, keys: Sequence[int]) -> builtins.list[Attributes]:
        """What a response to `query` says of these: each key of the query's level and above, in order; what was
        forgotten meanwhile is left out."""
        ...

    def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits `query`, study by study, series by series, as they arrived."""
        ...

    def instances(self, instance_ids: Sequence[int]) -> builtins.list[Instance]:
        """These instances, in order; what was forgotten meanwhile is left out."""
        ...

    def interrupt(self) -> None:
        """From any thread: a statement that runs ends with Temporary."""
        ...

    def payload_names(self) -> dict[str, int]:
        """Segment or file → the number of bytes that must be there (the end of its last payload)."""
        ...

    def spool_id(self) -> str:
        """Identity of the spool that the payloads lie in; empty when none was bound yet."""
        ...

    def bind_spool(self, spool_id: str) -> None:
        """Say which spool the payloads lie in."""
        ...

    def replayed_position(self) -> tuple[str, int]:
        """Up to where the queue knows the spool's segments: a segment's name and a position in it; ("", 0) at first."""
        ...

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        """Say so, in the transaction that accepts what stands before."""
        ...

    def force_sync(self) -> None:
        """Write something: when the durable transaction around it has ended, all before it is on disk as well."""
        ...

    def checkpoint(self) -> None:
        """Put what was committed into the database itself, outside a transaction; what fails is logged."""
        ...

    def surplus_pages(self) -> int | None:
        """Free pages that the file can do without; None for one that cannot give them back."""
        ...

    def shrink(self, most_pages: int) -> None:
        """Give up to so many free pages back to the file system."""
        ...

    def moved(self, *, is_quick: bool = False) -> str:
        """Why its path does not name what was opened any more; empty when it does. Any thread, a few system calls.

        What is written then would be lost with the next start. A quick look may leave out what loses nothing by itself.
        """
        ...

    def changes(self) -> int:
        """A number that differs after another connection wrote."""
        ...

    def close(self) -> None: ...
