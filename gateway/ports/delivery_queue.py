"""The delivery queue: what is owed to which destination, durable, with leases and states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol

from gateway.common.quick_dataclass import quick_dataclass
from gateway.model.collection import LeftOutObject
from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses


@quick_dataclass(frozen=True, slots=True)
class AcceptedInstance:
    """The queue's answer to one acceptance."""

    instance_id: int
    deliveries: int
    """New rows; fewer than dispatches when some were duplicates of what is still owed."""
    payload: PayloadRef | None = None
    """The payload that holds the bytes when every dispatch was a duplicate: nothing names the payload that was
    given.
    """
    left_out: tuple[LeftOutObject, ...] = ()
    """Dispatches that a collection did not take: nothing is sent for them."""


@dataclasses.dataclass(frozen=True, slots=True)
class QueueDepth:
    """One row of the queue's statistics."""

    destination: str
    state: DeliveryState
    count: int
    size_bytes: int
    oldest_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class GroupPlace:
    """Pending deliveries of one group at one destination."""

    group_name: str
    destination: str
    has_movable: bool
    """Some may go to another member: the destination cannot have them. They may be under a lease."""
    doubtful: int
    """The number of those that were sent there whole, without a response."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClaimOrder:
    """Which deliveries a claim takes, by priority."""

    lower: int = 0
    """The last places that the first priority leaves: to what has been due longest of the lower ones, where such are
    due."""
    only: Literal["", "urgent", "passing"] = ""
    """Urgent ones alone, all or those that pass a closed window; the first `URGENT_LOOKED_AT` of them are looked at."""


IN_ORDER, ONLY_URGENT, ONLY_PASSING = ClaimOrder(), ClaimOrder(only="urgent"), ClaimOrder(only="passing")
URGENT_LOOKED_AT = 1000


class DeliveryQueue(Protocol):
    """Deliveries from acceptance to settlement. Part of a `Store`: writing calls happen inside its transactions."""

    def accept(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool] = lambda _: True,
    ) -> list[AcceptedInstance]:
        """Add instances with one delivery a dispatch, in order, in a few statements whatever their number.

        Same SOP Instance UID, SOP class, transfer syntax, digest, sender, destination and actions as a delivery that is
        still pending or held: no new row. `is_readable` is asked of the payload of what is still owed: bytes that are
        lost make no duplicate of those that arrive.
        """
        ...

    def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        now: datetime,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        """Take due deliveries, as `order` says by priority, then oldest due first, then arrival order; nobody else gets
        them until the lease ends.

        With `apart` only those whose likeness is in none of its ranges, one likeness after the other from its `start`
        on, in arrival order each; the others cost nothing, however many they are. When there is none behind `start`,
        from the first likeness on. Their priority counts only where `order` is for urgent ones alone.
        `due_at` of what is returned is when it was due before the claim: settling with it keeps the order.
        """
        ...

    def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float, now: datetime) -> list[Delivery]:
        """As `claim`, of one bundle alone and in its order: by `bundle_place`, then by arrival."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Write attempts and states, fenced by the lease; each answer says whether that lease was still held. One
        that was written before, and is handed in again since its answer was lost, held it."""
        ...

    def next_due(self, destination: str) -> datetime | None:
        """The time at which the next pending delivery of `destination` becomes due; None when there is none."""
        ...

    def pending_destinations(self) -> list[str]:
        """Destinations that have pending deliveries, due or not."""
        ...

    def group_places(self) -> list[GroupPlace]:
        """Where deliveries wait that were chosen of groups, by group and destination."""
        ...

    def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, now: datetime, *, are_doubtful: bool = False
    ) -> int:
        """Give up to `limit` pending deliveries of a group that wait at `source` to `target`, in order of arrival, and
        say how many. What is under a lease stays, also when that is over, and what is doubtful; with `are_doubtful`
        that alone goes, and `target` cannot have it. A node moves what waits where it has the lease, or where no node
        has."""
        ...

    def movable_in_group(self, group_name: str, source: str, limit: int) -> list[tuple[int, str]]:
        """Up to `limit` pending deliveries of a group that may leave `source`, in order of arrival, each with its Study
        Instance UID."""
        ...

    def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]], now: datetime) -> int:
        """Give these deliveries each to its destination, on the terms of `move_in_group`: how many."""
        ...

    def pending_at(self, destinations: Sequence[str], most: int) -> dict[str, int]:
        """The number of pending deliveries at each of these; no more than `most` are counted."""
        ...

    def depths(self) -> list[QueueDepth]:
        """Counts by destination and state of what is still kept for a delivery: pending, dead and held."""
        ...

    def expire_leases(self) -> int:
        """At start, alone on the store: leases of a process that is gone end now. A node of a cluster ends none."""
        ...

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        """Delete instances (and their rows) that owe nothing and settled earlier; dead and held ones stay. An
        instance in the index is only deleted when it settled before `indexed_before`, when that is given.
        """
        ...
