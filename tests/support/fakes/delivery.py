"""A journal in memory, a clock that is moved by hand, and a destination that does what a test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from gateway.common.completion import Completion
from gateway.delivery.refusals import likeness_of
from gateway.delivery.service import DeliveryPeers, DeliveryService
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Deferred, Delivered, Delivery, DeliveryState, Dispatch, Outcome, Settlement
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import Apart
from gateway.model.listener import Timers
from gateway.model.peer import Peer, Retry
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.destination import Outbound
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import PayloadLost
from gateway.ports.kinds import Resources
from gateway.routing.language.resources import NO_RESOURCES

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
QUICK = Retry(first_delay_s=0.02, factor=1.0, max_delay_s=0.02, jitter=0.0)


class HandClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


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


@dataclass
class MemoryJournal:
    """The part of `gateway.ports.journal.Journal` that couriers use, with the queue's rules: due order, leases,
    fencing."""

    now: Callable[[], datetime] = real_clock
    rows: dict[int, Delivery] = field(default_factory=dict)
    lease_ends: dict[int, datetime] = field(default_factory=dict)
    settlements: list[Settlement] = field(default_factory=list)
    """Those that held, in order."""
    claims: list[int] = field(default_factory=list)
    """How many deliveries each claim gave."""
    payloads: dict[str, bytes] = field(default_factory=dict)
    opened: list[Body] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    """Raised by the next claims, one each."""
    open_trouble: list[Exception] = field(default_factory=list)
    """Raised by the next openings of payloads, one each."""
    depths_trouble: list[Exception] = field(default_factory=list)
    """Raised by the next countings, one each."""
    settle_gate: asyncio.Event = field(default_factory=asyncio.Event)
    _leases: Any = field(default_factory=lambda: itertools.count(1))
    _listeners: list[Callable[[str], None]] = field(default_factory=list)
    operator_listeners: list[Callable[[str], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settle_gate.set()

    def add(
        self,
        destination: str = "pacs",
        *,
        data: bytes = b"data",
        sop_class_uid: str = CT,
        transfer_syntax_uid: str = EXPLICIT,
        sop_instance_uid: str = "",
        actions_json: str = "",
        age_s: float = 0.0,
    ) -> int:
        """One more delivery, due at once; its ID."""
        number = len(self.rows) + 1
        uid = sop_instance_uid or f"1.2.3.{number}"
        made_at = self.now() - timedelta(seconds=age_s)
        self.payloads[uid] = data
        facts = AssociationFacts("CT1", "GATEWAY", "127.0.0.1")
        payload = PayloadRef(uid, 0, len(data), b"")
        instance = Instance(sop_class_uid, uid, transfer_syntax_uid, "1.2", "1.2.3", facts, payload, made_at, number)
        self.rows[number] = Delivery(
            number, instance, destination, "rule", actions_json, DeliveryState.PENDING, 0, made_at, made_at
        )
        for listener in self._listeners:
            listener(destination)
        return number

    def add_many(self, count: int, destination: str = "pacs", **options: Any) -> list[int]:
        return [self.add(destination, **options) for _ in range(count)]

    def states(self, destination: str = "pacs") -> list[DeliveryState]:
        return [row.state for row in self.rows.values() if row.destination == destination]

    def leased(self) -> list[int]:
        """Deliveries that somebody holds."""
        return [number for number, end in self.lease_ends.items() if end > self.now()]

    def take_over(self, delivery_id: int) -> None:
        """Another process claimed it: whoever holds it now has lost its lease."""
        self.rows[delivery_id] = replace(self.rows[delivery_id], lease=next(self._leases))

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return when `condition()` holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.002)

    async def until_all(self, state: DeliveryState, destination: str = "pacs") -> None:
        await self.until(lambda: all(now is state for now in self.states(destination)))

    # --- the port

    is_in_turn = True

    def receiver(self) -> DataSetReceiver:
        raise NotImplementedError

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Instance:
        raise NotImplementedError

    def commit_soon(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Completion[Instance] | None:
        raise NotImplementedError

    async def claim(self, destination: str, limit: int, lease_s: float, apart: Apart | None = None) -> list[Delivery]:
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble.pop(0)
        now = self.now()
        due = [row for row in self._pending(destination) if row.due_at <= now and not self._is_leased(row)]
        claimed = []
        due.sort(key=lambda row: (row.due_at, row.delivery_id))
        if apart is not None:
            due.sort(key=lambda row: (likeness_of(row), row.delivery_id))
            due = [row for row in due if not any(first <= likeness_of(row) <= last for first, last in apart.ranges)]
            due = [row for row in due if likeness_of(row) >= apart.start] or due
        for row in due[:limit]:
            self.rows[row.delivery_id] = replace(row, lease=next(self._leases))
            self.lease_ends[row.delivery_id] = now + timedelta(seconds=lease_s)
            claimed.append(self.rows[row.delivery_id])
        self.claims.append(len(claimed))
        return claimed

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        await self.settle_gate.wait()
        await asyncio.sleep(0)
        return [self._settle(settlement) for settlement in settlements]

    async def next_due(self, destination: str) -> datetime | None:
        await asyncio.sleep(0)
        ends = [max(row.due_at, self.lease_ends.get(row.delivery_id, row.due_at)) for row in self._pending(destination)]
        return min(ends, default=None)

    async def depths(self) -> list[QueueDepth]:
        if self.depths_trouble:
            raise self.depths_trouble.pop(0)
        keys = dict.fromkeys((row.destination, row.state) for row in self.rows.values())
        count = {key: sum((row.destination, row.state) == key for row in self.rows.values()) for key in keys}
        return [QueueDepth(destination, state, count[destination, state], 0, None) for destination, state in keys]

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        if self.open_trouble:
            raise self.open_trouble.pop(0)
        if payload.name not in self.payloads:
            raise PayloadLost(f"{payload.name} is gone")
        self.opened.append(Body(self.payloads[payload.name]))
        return self.opened[-1]

    def subscribe(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    def subscribe_to_operators(self, listener: Callable[[str], None]) -> None:
        self.operator_listeners.append(listener)

    def _pending(self, destination: str) -> list[Delivery]:
        return [
            row for row in self.rows.values() if row.destination == destination and row.state is DeliveryState.PENDING
        ]

    def _is_leased(self, row: Delivery) -> bool:
        return self.lease_ends.get(row.delivery_id, self.now()) > self.now()

    def _settle(self, settlement: Settlement) -> bool:
        row = self.rows[settlement.delivery_id]
        if row.lease != settlement.lease or row.delivery_id not in self.lease_ends:
            return False
        del self.lease_ends[row.delivery_id]
        self.rows[row.delivery_id] = replace(
            row,
            state=settlement.state,
            due_at=settlement.due_at,
            attempts=row.attempts + settlement.is_attempt,
            reason=settlement.reason,
            lease=0,
        )
        self.settlements.append(settlement)
        return True


Behaviour = Callable[[Outbound], Awaitable[Outcome]]


async def accept(outbound: Outbound) -> Outcome:
    """Every object is taken."""
    await asyncio.sleep(0)
    return Delivered()


@dataclass
class ScriptedDestination:
    """Does what `behave` and `reach` say, and remembers everything."""

    behave: Behaviour = accept
    reach: Callable[[int], Awaitable[None]] | None = None
    """Called with the channel's number by `prepare` while the channel is not open; raises when the peer is down."""
    sent: list[str] = field(default_factory=list)
    """SOP Instance UIDs in the order in which sending began."""
    bodies: list[bytes] = field(default_factory=list)
    prepared: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    not_taken: set[tuple[str, str]] = field(default_factory=set)
    """Kinds without an accepted presentation context."""
    opened: int = 0
    open_now: int = 0
    most_open: int = 0

    channels_at_once = 1

    def on_behalf_of(self, sender: AssociationFacts) -> ScriptedDestination:
        return self

    def channel(self) -> ScriptedChannel:
        self.opened += 1
        return ScriptedChannel(self, self.opened)


@dataclass
class ScriptedChannel:
    destination: ScriptedDestination
    number: int
    is_open: bool = False

    async def prepare(self, kinds: Sequence[tuple[str, str]]) -> None:
        self.destination.prepared.append(tuple(kinds))
        if self.is_open:
            return
        if self.destination.reach is not None:
            await self.destination.reach(self.number)
        self.is_open = True
        self.destination.open_now += 1
        self.destination.most_open = max(self.destination.most_open, self.destination.open_now)

    def takes(self, kind: tuple[str, str]) -> bool:
        return kind not in self.destination.not_taken

    async def send(self, outbound: Outbound) -> Outcome:
        self.destination.sent.append(outbound.sop_instance_uid)
        self.destination.bodies.append(bytes(outbound.body.view()))
        outcome = await self.destination.behave(outbound)
        if isinstance(outcome, Deferred):
            await self.close()
        return outcome

    async def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.destination.open_now -= 1


@dataclass(frozen=True)
class Table:
    """The part of a routing table that the service reads."""

    peers: MappingProxyType[str, Peer]
    resources: Resources = NO_RESOURCES


def table(*peers: Peer) -> Table:
    return Table(MappingProxyType({peer.name: peer for peer in peers}))


def peer(name: str = "pacs", **settings: Any) -> Peer:
    """A DICOM peer with quick retries and one association."""
    defaults: dict[str, Any] = {
        "ae_title": "PACS",
        "host": "127.0.0.1",
        "port": 104,
        "associations": 1,
        "retry": QUICK,
        "timers": Timers(),
    }
    return Peer(name, **{**defaults, **settings})


async def reload(service: DeliveryService, table: DeliveryPeers) -> None:
    """As the gateway does."""
    service.apply(service.prepare(table))
    await service.report_strays()
