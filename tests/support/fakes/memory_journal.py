"""The `Journal` port in memory, held to `tests/contract/test_journal.py`. Not durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.common.completion import Completion
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.priority import Priority
from gateway.ports.affinities import AffinityWish
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import IN_ORDER, ClaimOrder, GroupPlace, QueueDepth
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import GatewayError, ObjectTooLarge, PayloadLost, PayloadMissing
from gateway.spool.digest import digest_of
from gateway.spool.journal_state import JournalClosed
from tests.support.fakes.memory_store import MemoryStore

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
UNLIMITED_BYTES = 1 << 40

OnDestination = Callable[[str], None]


def real_clock() -> datetime:
    return datetime.now(UTC)


class Body:
    """Bytes that know whether they were closed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_closed = False

    @property
    def length_bytes(self) -> int:
        return len(self.data)

    def view(self) -> memoryview:
        return memoryview(self.data)

    def chunks(self, size_bytes: int) -> Iterable[memoryview]:
        for start in range(0, len(self.data), size_bytes):
            yield memoryview(self.data)[start : start + size_bytes]

    def close(self) -> None:
        self.is_closed = True


class LimitedReceiver:
    """Keeps one data set in memory, and refuses more than `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._kept = MemoryReceiver()

    def write(self, fragment: memoryview) -> Awaitable[None] | None:
        self._left_bytes -= len(fragment)
        if self._left_bytes < 0:
            raise ObjectTooLarge("the object is over the limit")
        self._kept.write(fragment)
        return None

    def finish(self) -> EncodedDataSet:
        return self._kept.finish()

    def discard(self) -> None:
        self._kept.discard()


class Deliveries(Mapping[int, Delivery]):
    """Delivery ID → delivery as it is now, in order of arrival."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getitem__(self, delivery_id: int) -> Delivery:
        return self._store.rows[delivery_id].delivery

    def __iter__(self) -> Iterator[int]:
        return iter(self._store.rows)

    def __len__(self) -> int:
        return len(self._store.rows)


class MemoryJournal:
    """The port on a `MemoryStore`. What a test may set makes it fail or wait; what it may read was done to it.

    `commit_soon` leaves data sets of more than `large_object_bytes` to `commit`. `limit_bytes` bounds an object.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = real_clock,
        *,
        large_object_bytes: int = UNLIMITED_BYTES,
        limit_bytes: int = UNLIMITED_BYTES,
    ) -> None:
        self.now = now
        self.store = MemoryStore(now)
        self.rows = Deliveries(self.store)
        self.payloads: dict[str, bytes] = {}
        """Payload name → bytes."""
        self.lost: set[str] = set()
        """Names of payloads whose bytes are not what they were."""
        self.elsewhere: set[str] = set()
        """Names of payloads that have to be fetched."""
        self.fetched: list[str] = []
        """Names of payloads that were."""
        self.committed: list[tuple[Instance, bytes, tuple[Dispatch, ...]]] = []
        """Arguments of each commit, in order."""
        self.settlements: list[Settlement] = []
        """Settlements that held their lease, in order."""
        self.claims: list[int] = []
        """Number of deliveries of each claim."""
        self.opened: list[Body] = []
        self.claim_trouble: list[Exception] = []
        """Raised by the next claims, one each."""
        self.open_trouble: list[Exception] = []
        """Raised by the next openings of payloads, one each."""
        self.depths_trouble: list[Exception] = []
        self.affinity_trouble: list[Exception] = []
        self.wishes: list[int] = []
        """The number of wishes of each call for affinities."""
        """Raised by the next countings, one each."""
        self.commit_error: GatewayError | None = None
        """Raised by each commit."""
        self.fails_later = False
        """True when `commit_soon` gives `commit_error` to its completion instead of raising it."""
        self.settle_gate = asyncio.Event()
        """Settling waits for it; set at first."""
        self.settle_gate.set()
        self._large_object_bytes, self._limit_bytes = large_object_bytes, limit_bytes
        self._files = 0
        self._is_closed = False
        self._listeners: list[OnDestination] = []
        self._operator_listeners: list[OnDestination] = []

    # --- for tests ----------------------------------------------------------------------------------------------

    def add(
        self,
        destination: str = "pacs",
        *,
        data: bytes = b"data",
        sop_class_uid: str = CT,
        transfer_syntax_uid: str = EXPLICIT,
        sop_instance_uid: str = "",
        study_instance_uid: str = "1.2",
        actions_json: str = "",
        age_s: float = 0.0,
        implementation_version_name: str = "",
        group_name: str = "",
        priority: Priority = Priority.NORMAL,
        passes_window: bool = False,
        bundle: str = "",
        bundle_place: int = 0,
        series_instance_uid: str = "1.2.3",
        is_told: bool = True,
        rule: str = "rule",
    ) -> int:
        """One more delivery, due at once; its ID. Nobody hears of it unless it `is_told`, as of another node's."""
        made_at = self.now() - timedelta(seconds=age_s)
        instance = Instance(
            sop_class_uid,
            sop_instance_uid or f"1.2.3.{len(self.store.rows) + 1}",
            transfer_syntax_uid,
            study_instance_uid,
            series_instance_uid,
            AssociationFacts("CT1", "GATEWAY", "127.0.0.1", implementation_version_name=implementation_version_name),
            self._kept(data),
            made_at,
        )
        how: dict[str, Any] = {"priority": priority, "passes_window": passes_window}
        how |= {"group_name": group_name, "bundle": bundle, "bundle_place": bundle_place}
        dispatch = Dispatch(rule, destination, actions_json, **how)
        before = len(self.store.rows)
        self._accept(instance, [dispatch], made_at, is_told=is_told)
        assert len(self.store.rows) > before, "a duplicate of what is still owed"
        return next(reversed(self.store.rows))

    def add_many(self, count: int, destination: str = "pacs", **options: Any) -> list[int]:
        return [self.add(destination, **options) for _ in range(count)]

    def states(self, destination: str = "pacs") -> list[DeliveryState]:
        return [row.state for row in self.rows.values() if row.destination == destination]

    def leased(self) -> list[int]:
        """IDs of the deliveries under a lease."""
        now = self.now()
        return [number for number, row in self.store.rows.items() if row.leased_until and row.leased_until > now]

    def take_over(self, delivery_id: int) -> None:
        """Another process claims it: the lease of now is lost."""
        row = self.store.rows[delivery_id]
        row.change(lease=row.delivery.lease + 1)

    def operate(self, function: Callable[[MemoryStore], int]) -> int:
        """Another process changes the queue by `function`; the answer of that."""
        changed = function(self.store)
        for destination in self.store.pending_destinations():
            for listener in self._operator_listeners:
                listener(destination)
        return changed

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return when `condition()` holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.002)

    async def until_all(self, state: DeliveryState, destination: str = "pacs") -> None:
        await self.until(lambda: all(now is state for now in self.states(destination)))

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """As after the end of the process before: no lease is left."""
        self._is_closed = False
        self.store.expire_leases()

    async def close(self) -> None:
        self._is_closed = True

    def _check(self) -> None:
        if self._is_closed:
            raise JournalClosed("the journal is closed: send again")

    # --- the port -----------------------------------------------------------------------------------------------

    def receiver(self) -> DataSetReceiver:
        self._check()
        return LimitedReceiver(self._limit_bytes)

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Instance:
        return self._commit(instance, _bytes_of(body, edited), dispatches)

    def commit_soon(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Completion[Instance] | None:
        self._check()
        length_bytes = body.length_bytes if edited is None else sum(map(len, edited))
        if length_bytes > self._large_object_bytes:
            return None
        completion: Completion[Instance] = Completion()
        loop = asyncio.get_running_loop()
        try:
            loop.call_soon(completion.set_result, self._commit(instance, _bytes_of(body, edited), dispatches))
        except GatewayError as error:
            if not self.fails_later:
                raise
            loop.call_soon(completion.set_exception, error)
        return completion

    async def until_recorded(self) -> None:
        self._check()

    async def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        await asyncio.sleep(0)
        self._check()
        if self.claim_trouble:
            raise self.claim_trouble.pop(0)
        claimed = self.store.claim(destination, limit, lease_s, self.now(), apart, order)
        self.claims.append(len(claimed))
        return claimed

    async def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float) -> list[Delivery]:
        await asyncio.sleep(0)
        self._check()
        return self.store.claim_bundle(destination, bundle, limit, lease_s, self.now())

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        await self.settle_gate.wait()
        await asyncio.sleep(0)
        self._check()
        held = self.store.settle(settlements)
        self.settlements += [each for each, is_held in zip(settlements, held, strict=True) if is_held]
        return held

    async def next_due(self, destination: str) -> datetime | None:
        await asyncio.sleep(0)
        return self.store.next_due(destination)

    async def depths(self) -> list[QueueDepth]:
        if self.depths_trouble:
            raise self.depths_trouble.pop(0)
        return self.store.depths()

    async def group_places(self) -> list[GroupPlace]:
        await asyncio.sleep(0)
        if self.depths_trouble:
            raise self.depths_trouble.pop(0)
        return self.store.group_places()

    async def move_in_group(
        self, group_name: str, source: str, target: str, limit: int, *, are_doubtful: bool = False
    ) -> int:
        await asyncio.sleep(0)
        moved = self.store.move_in_group(group_name, source, target, limit, self.now(), are_doubtful=are_doubtful)
        for listener in self._listeners if moved else ():
            listener(target)
        return moved

    async def release_held(self, which: DeliveryFilter, after: int, limit: int) -> tuple[int, int]:
        await asyncio.sleep(0)
        last = self.store.last()
        ids = self.store.page(which, (DeliveryState.HELD,), after=after, last=last, limit=limit)
        if not ids:
            return 0, 0
        released = self.store.release(replace(which, ids=tuple(ids)), self.now())
        for listener in self._listeners:
            listener(which.destination or "")
        return released, ids[-1]

    async def movable_in_group(self, group_name: str, source: str, limit: int) -> list[tuple[int, str]]:
        await asyncio.sleep(0)
        return self.store.movable_in_group(group_name, source, limit)

    async def move_each_in_group(self, group_name: str, source: str, moves: Sequence[tuple[int, str]]) -> int:
        await asyncio.sleep(0)
        moved = self.store.move_each_in_group(group_name, source, moves, self.now())
        for target in {target for _, target in moves} if moved else ():
            for listener in self._listeners:
                listener(target)
        return moved

    async def pending_at(self, destinations: Sequence[str], most: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return self.store.pending_at(destinations, most)

    async def keep_affinities(self, wishes: Sequence[AffinityWish]) -> list[str]:
        await asyncio.sleep(0)
        if self.affinity_trouble:
            raise self.affinity_trouble.pop(0)
        self.wishes.append(len(wishes))
        return self.store.keep_affinities(wishes, self.now())

    async def forget_affinities(self, limit: int) -> int:
        await asyncio.sleep(0)
        return self.store.forget_affinities(self.now(), limit)

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        if self.open_trouble:
            raise self.open_trouble.pop(0)
        if payload.name in self.lost:
            raise PayloadLost(f"{payload.name} is not what it was")
        if payload.name not in self.payloads:
            raise PayloadMissing(f"{payload.name} is not there")
        self.opened.append(Body(self.payloads[payload.name]))
        return self.opened[-1]

    def open_now(self, payload: PayloadRef) -> EncodedDataSet | None:
        return None if payload.name in self.elsewhere else self.open(payload)

    async def fetch(self, payload: PayloadRef) -> EncodedDataSet:
        await asyncio.sleep(0)
        self.fetched.append(payload.name)
        return self.open(payload)

    def subscribe(self, listener: OnDestination) -> None:
        self._listeners.append(listener)

    def subscribe_to_operators(self, listener: OnDestination) -> None:
        self._operator_listeners.append(listener)

    def _commit(self, instance: Instance, data: bytes, dispatches: Sequence[Dispatch]) -> Instance:
        self._check()
        if self.commit_error is not None:
            raise self.commit_error
        self.committed.append((instance, data, tuple(dispatches)))
        return self._accept(replace(instance, payload=self._kept(data)), dispatches, self.now())

    def _kept(self, data: bytes) -> PayloadRef:
        """A payload of its own with these bytes."""
        self._files += 1
        is_large = len(data) > self._large_object_bytes
        name = f"large/{self._files:016d}.obj" if is_large else f"segments/{self._files:08d}.seg"
        self.payloads[name] = data
        return PayloadRef(name, 0, len(data), digest_of([data]))

    def _accept(
        self, instance: Instance, dispatches: Sequence[Dispatch], now: datetime, *, is_told: bool = True
    ) -> Instance:
        (accepted,) = self.store.accept([(instance, dispatches)], now, lambda payload: payload.name in self.payloads)
        if accepted.payload is not None:
            del self.payloads[instance.payload.name]
        due = {each.destination for each in dispatches if each.state is DeliveryState.PENDING and is_told}
        for destination in due if accepted.deliveries else ():
            for listener in self._listeners:
                listener(destination)
        return instance.stored(accepted.payload or instance.payload, accepted.instance_id)


def _bytes_of(body: EncodedDataSet, edited: Sequence[bytes | memoryview] | None) -> bytes:
    return bytes(body.view()) if edited is None else b"".join(edited)
