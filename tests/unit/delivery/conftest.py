"""A delivery service on a journal in memory, drained when a test ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import pytest

from gateway.delivery.courier_context import OnSending, not_watched
from gateway.delivery.service import DeliveryService
from gateway.model.peer import Peer
from gateway.object_log import EachStudy, ObjectLog
from gateway.ports.destination_leases import DestinationLeases
from gateway.ports.errors import ConfigurationError
from tests.support.fakes.delivery import ScriptedDestination, table
from tests.support.fakes.memory_journal import MemoryJournal, real_clock
from tests.support.fakes.meter import MemoryMeter


@dataclass
class Bench:
    """The service with everything around it that a test looks at."""

    journal: MemoryJournal
    now: Callable[[], datetime]
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    destinations: dict[str, ScriptedDestination] = field(default_factory=dict)
    opened: list[Peer] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    """Peers whose destination cannot be made."""
    objects: ObjectLog = field(default_factory=EachStudy)
    idle_s: float = 5.0
    on_sending: OnSending = not_watched
    leases: DestinationLeases | None = None
    wall: Callable[[], datetime] | None = None
    service: DeliveryService = field(init=False)

    def __post_init__(self) -> None:
        self.service = DeliveryService(
            journal=self.journal,
            open_destination=self.open,
            meter=self.meter,
            now=self.now,
            random=Random(1),
            idle_s=self.idle_s,
            objects=self.objects,
            on_sending=self.on_sending,
            leases=self.leases,
            wall=self.wall,
            look_s=0.01,
        )

    def open(self, peer: Peer) -> ScriptedDestination:
        if peer.name in self.refusing:
            raise ConfigurationError(f"{peer.name} cannot be made")
        self.opened.append(peer)
        return self.destinations.setdefault(peer.name, ScriptedDestination())

    def to(self, name: str = "pacs") -> ScriptedDestination:
        return self.destinations.setdefault(name, ScriptedDestination())

    async def start(self, *peers: Peer) -> None:
        await self.service.start(table(*peers))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench(MemoryJournal(real_clock), real_clock)
    yield made
    await asyncio.wait_for(made.service.drain(1.0), 60.0)
