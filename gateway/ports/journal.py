"""The journal: the durable side of the gateway as coroutines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.common.completion import Completion
from gateway.model.delivery import Delivery, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.affinities import AffinityWish
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import IN_ORDER, ClaimOrder, GroupPlace, QueueDepth
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet


class Journal(Protocol):
    """The durable side as coroutines: one thread commits for all callers."""

    def receiver(self) -> DataSetReceiver:
        """A receiver for one incoming data set. Raises SpoolFull below `min_free`."""
        ...

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Instance:
        """Return only when payload (`edited` pieces when given, else `body`), instance and deliveries are on disk.

        `instance.payload` is ignored; the answer carries the real one, and no identifier: the store may follow behind
        the answer (`until_recorded`). `body` stays the caller's to close.
        Raises SpoolFull.
        """
        ...

    def commit_soon(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Completion[Instance] | None:
        """As `commit`, begun at once and without a task; None for what is too large for that: `commit` it then.

        Raises SpoolFull, also through the completion.
        """
        ...

    async def until_recorded(self) -> None:
        """Return when queries and counts see every instance that was acknowledged before; `claim` and `settle` do.

        Raises Temporary when the store takes nothing now.
        """
        ...

    async def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]: ...

    async def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float) -> list[Delivery]:
        """As `claim`, of one bundle alone and in its order."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """For each settlement, True when it still held its lease, also before, when the answer was lost."""
        ...

    async def next_due(self, destination: str) -> datetime | None: ...

    async def depths(self) -> list[QueueDepth]: ...

    async def group_places(self) -> list[GroupPlace]:
        """Where deliveries wait that were chosen of groups. Raises Temporary."""
        ...

    async def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, *, are_doubtful: bool = False
    ) -> int:
        """Give pending deliveries of a group that wait at `source` to `target`: the number, of at most `limit`.

        Raises Temporary, SpoolFull.
        """
        ...

    async def movable_in_group(self, group_name: str, source: str, limit: int) -> list[tuple[int, str]]:
        """Pending deliveries of a group that may leave `source`, each with its Study Instance UID. Raises Temporary."""
        ...

    async def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]]) -> int:
        """Give these deliveries each to its destination: how many. Raises Temporary, SpoolFull."""
        ...

    async def pending_at(self, destinations: Sequence[str], most: int) -> dict[str, int]:
        """The number of pending deliveries at each of these; no more than `most` are counted. Raises Temporary."""
        ...

    async def release_held(self, which: DeliveryFilter, after: int, limit: int) -> tuple[int, int]:
        """Release held deliveries of one destination that fit: how many of a page of `limit` behind `after`, in the
        order of their identifiers, and the last of these; 0 when there is no further one. Raises Temporary, SpoolFull.
        """
        ...

    async def keep_affinities(self, wishes: Sequence[AffinityWish]) -> list[str]:
        """The member that each study is with from now on, each of another study; it is on disk. Raises Temporary,
        SpoolFull."""
        ...

    async def forget_affinities(self, limit: int) -> int:
        """Delete up to `limit` that nobody wished for in time. Raises Temporary, SpoolFull."""
        ...

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes. Raises PayloadLost, or Temporary when they cannot be read now."""
        ...

    def open_now(self, payload: PayloadRef) -> EncodedDataSet | None:
        """As `open`, without waiting for another machine; None for what has to be fetched (`fetch`)."""
        ...

    async def fetch(self, payload: PayloadRef) -> EncodedDataSet:
        """As `open`, for the event loop: nothing else waits meanwhile."""
        ...

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """`listener(destination)` is called on the event loop when `destination` may have new due deliveries."""
        ...

    def subscribe_to_operators(self, listener: Callable[[str], None]) -> None:
        """`listener(destination)` is called on the event loop when `destination` has pending deliveries and another
        process changed the queue: somebody retried, released, held or discarded."""
        ...
