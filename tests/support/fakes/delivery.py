"""A destination that does what a test says, and a routing table's part that the delivery service reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gateway.delivery.keeping import KeepingRoute
from gateway.delivery.prepared import DeliveryPeers
from gateway.delivery.service import DeliveryService
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Deferred, Delivered, Outcome
from gateway.model.listener import Timers
from gateway.model.peer import Peer, PeerGroup, Retry
from gateway.ports.destination import Outbound
from gateway.ports.kinds import Resources
from gateway.routing.language.resources import NO_RESOURCES

QUICK = Retry(first_delay_s=0.02, factor=1.0, max_delay_s=0.02, jitter=0.0)

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

    window: int = 1
    """Above 1, that many objects may be without their outcome, once a channel has sent one."""
    unanswered: list[tuple[str, Callable[[Outcome | None], None]]] = field(default_factory=list)

    over: list[tuple[bool, list[str]]] = field(default_factory=list)
    """For each time that a channel was opened: whether it was kept undivided, and the SOP Instance UIDs of it."""

    channels_at_once = 1

    def on_behalf_of(self, sender: AssociationFacts) -> ScriptedDestination:
        return self

    def channel(self) -> ScriptedChannel:
        self.opened += 1
        return (ScriptedChannel if self.window == 1 else ScriptedWindow)(self, self.opened)


@dataclass
class ScriptedChannel:
    destination: ScriptedDestination
    number: int
    sent: list[str] = field(default_factory=list)
    """Since it was opened."""
    is_open: bool = False
    has_sent: bool = False
    is_undivided: bool = False

    def keep_undivided(self) -> None:
        self.is_undivided = True

    async def prepare(self, kinds: Sequence[tuple[str, str]]) -> None:
        self.destination.prepared.append(tuple(kinds))
        if self.is_open:
            return
        if self.destination.reach is not None:
            await self.destination.reach(self.number)
        self.is_open = True
        self.sent = []
        self.destination.over.append((self.is_undivided, self.sent))
        self.destination.open_now += 1
        self.destination.most_open = max(self.destination.most_open, self.destination.open_now)

    def takes(self, kind: tuple[str, str]) -> bool:
        return kind not in self.destination.not_taken

    async def send(self, outbound: Outbound) -> Outcome:
        self.sent.append(outbound.sop_instance_uid)
        self.destination.sent.append(outbound.sop_instance_uid)
        self.destination.bodies.append(bytes(outbound.body.view()))
        outcome = await self.destination.behave(outbound)
        self.has_sent = True
        if isinstance(outcome, Deferred):
            await self.close()
        return outcome

    async def close(self) -> None:
        if self.is_open:
            self.is_open = self.has_sent = False
            self.destination.open_now -= 1


class ScriptedWindow(ScriptedChannel):
    """A channel whose outcomes the test gives by `ScriptedDestination.unanswered`, but for that of the first object."""

    @property
    def window(self) -> int:
        return self.destination.window if self.is_open and self.has_sent else 1

    async def begin(self, outbound: Outbound, answered: Callable[[Outcome | None], None]) -> Outcome | None:
        self.sent.append(outbound.sop_instance_uid)
        self.destination.sent.append(outbound.sop_instance_uid)
        self.destination.bodies.append(bytes(outbound.body.view()))
        self.destination.unanswered.append((outbound.sop_instance_uid, answered))
        return None


@dataclass(frozen=True)
class Table:
    """The part of a routing table that the service reads."""

    peers: MappingProxyType[str, Peer]
    resources: Resources = NO_RESOURCES
    groups: Mapping[str, PeerGroup] = field(default_factory=dict)
    routes: Sequence[KeepingRoute] = ()


def table(*peers: Peer, groups: Sequence[PeerGroup] = ()) -> Table:
    by_name = {group.name: group for group in groups}
    return Table(MappingProxyType({peer.name: peer for peer in peers}), groups=by_name)


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
