"""Nodes that deliver from one database to real sinks: several in one process, under a clock that the test sets; or one
in a process of its own, `python -m tests.support.delivering_nodes URL NAME DESTINATION=PORT…`, until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Protocol, TypeVar, cast

from gateway.cluster.destination_leases import SharedDestinationLeases, awake_clock_s
from gateway.common.steady_clock import utc_now
from gateway.delivery.service import DeliveryService
from gateway.destinations.dicom import DimseDestination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.delivery import Delivery, Dispatch, Settlement
from gateway.model.instance import PayloadRef
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.node import GatewayNode
from gateway.model.peer import Peer
from gateway.ports.affinities import AffinityWish
from gateway.ports.delivery_queue import IN_ORDER, ClaimOrder
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.meter import NoMeter
from gateway.postgresql.store import PostgreSQLStore
from tests.support.dimse.acceptor_rig import accept, acceptor, read_message, response
from tests.support.dimse.rig import TIMERS, message
from tests.support.dimse.rig import Peer as Bytes
from tests.support.fakes.delivery import QUICK, table
from tests.support.fakes.memory_journal import Body
from tests.support.node_rig import BreakableNodeTable
from tests.support.samples import NOON, instance

T = TypeVar("T")
ANNOUNCED_EACH_S = 0.1


class NodeClock(Protocol):
    """The clocks of a node and the address of its database."""

    @property
    def url(self) -> str: ...
    def now(self) -> datetime: ...
    def seconds(self) -> float: ...


@dataclass
class RealClock:
    """Those of this machine."""

    url: str

    def now(self) -> datetime:
        return utc_now()

    def seconds(self) -> float:
        return awake_clock_s()


class StoreJournal:
    """The part of the `Journal` port that couriers use, straight on a store; payloads are made up."""

    def __init__(self, store: PostgreSQLStore, clock: NodeClock) -> None:
        self._store = store
        self._clock = clock
        self._thread = ThreadPoolExecutor(1)
        self._listeners: list[Callable[[str], None]] = []
        self.is_dead = False
        """True when its process is gone: no call comes back."""

    async def _call(self, call: Callable[[], T]) -> T:
        def committed() -> T:
            with self._store.transaction():
                return call()

        if self.is_dead:
            await asyncio.Event().wait()
        found = await asyncio.get_running_loop().run_in_executor(self._thread, committed)
        if self.is_dead:
            await asyncio.Event().wait()
        return found

    async def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        queue = self._store.deliveries
        return await self._call(lambda: queue.claim(destination, limit, lease_s, self._clock.now(), apart, order))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return await self._call(lambda: self._store.deliveries.settle(settlements))

    async def next_due(self, destination: str) -> Any:
        return await self._call(lambda: self._store.deliveries.next_due(destination))

    async def depths(self) -> Any:
        return await self._call(self._store.deliveries.depths)

    async def keep_affinities(self, wishes: Sequence[AffinityWish]) -> list[str]:
        return await self._call(lambda: self._store.affinities.keep_affinities(wishes, self._clock.now()))

    async def accept(self, numbers: Sequence[int], destination: str) -> None:
        """Objects with these numbers wait for the destination."""
        arrivals = [(instance(number), [Dispatch("everything", destination)]) for number in numbers]
        await self._call(lambda: self._store.deliveries.accept(arrivals, self._clock.now()))

    def open_now(self, payload: PayloadRef) -> EncodedDataSet:
        return Body(b"data")

    def subscribe(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    def subscribe_to_operators(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    def notify(self, destination: str) -> None:
        """New deliveries wait for it."""
        for listener in self._listeners:
            listener(destination)

    def close(self) -> None:
        self._thread.shutdown()
        self._store.close()


class NotedLeases(SharedDestinationLeases):
    """Knows which couriers have ended."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._idle: set[tuple[str, int | None]] = set()

    def ended(self, destination: str) -> None:
        self._idle.add((destination, self.tokens().get(destination)))
        super().ended(destination)

    @property
    def overdue(self) -> list[str]:
        """Destinations whose courier has to be gone, and is not."""
        leaving = [each for each in self.tokens().items() if each[0] not in self.own and each not in self._idle]
        return [destination for destination, _ in leaving if self.left_s(destination) <= 0]


class DeliveringNode:
    """Couriers, leases and a journal."""

    def __init__(self, name: str, clock: NodeClock) -> None:
        self.name = name
        self.table = BreakableNodeTable(clock.url)
        node = GatewayNode(f"{name}-run", name, "1.0", "host", 7, NOON)
        self.leases = NotedLeases(lambda: self.table, node, lambda: "1", clock_s=clock.seconds, random=Random(1))
        store = PostgreSQLStore(clock.url, now=clock.now, tokens=self.leases.tokens)
        self.journal = cast(Any, StoreJournal(store, clock))
        self.pool = AssociationPool("GATEWAY")
        meter = NoMeter()
        self.service = DeliveryService(
            journal=self.journal,
            open_destination=lambda peer: DimseDestination(peer, self.pool, meter),
            meter=meter,
            now=clock.now,
            random=Random(1),
            leases=self.leases,
        )
        self.is_frozen = False

    async def step(self) -> None:
        """One round, unless its process stands still."""
        self.leases.look()
        if not self.is_frozen:
            await self.leases.round()

    async def stop(self) -> None:
        """In order."""
        assert await self.service.drain(60.0)
        await self.pool.close()
        self.journal.close()

    async def kill(self) -> None:
        """Its process is gone: nothing is given back and nothing released."""
        self.journal.is_dead = True
        self.table.is_cut = True
        await self.service.drain(0.0)
        await self.pool.close()
        self.journal.close()


@dataclass
class CountingSink:
    """A storage SCP for one destination: counts associations, and what comes over each."""

    name: str
    taken: list[str] = field(default_factory=list)
    """SOP Instance UIDs, in the order in which they were taken."""
    open_now: list[int] = field(default_factory=list)
    """Numbers of the associations that are open, in the order of their requests."""
    opened: int = 0
    faults: list[str] = field(default_factory=list)

    async def script(self, peer: Bytes) -> None:
        await accept(peer)
        self.opened += 1
        number = self.opened
        self.open_now.append(number)
        try:
            while True:
                command, *_ = await read_message(peer)
                if self.open_now[-1] != number:
                    self.faults.append(f"{self.name}: an object came over an association older than the newest")
                self.taken.append(command["AffectedSOPInstanceUID"])
                await asyncio.sleep(0.002)
                peer.send(message(1, response(command)))
        except (AssertionError, IndexError):  # A-RELEASE-RQ, A-ABORT, or the end of the connection
            peer.send(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        finally:
            self.open_now.remove(number)


@contextlib.asynccontextmanager
async def sinks(names: Collection[str]) -> AsyncIterator[tuple[dict[str, CountingSink], list[Peer]]]:
    """A sink for each name, and the peers to be configured: each takes one association at a time."""
    async with contextlib.AsyncExitStack() as stack:
        made = {name: CountingSink(name) for name in names}
        peers = []
        for name, sink in made.items():
            found = await stack.enter_async_context(acceptor(sink.script, associations=1, retry=QUICK))
            peers.append(Peer(name, "SINK", found.host, found.port, timers=found.timers, associations=1, retry=QUICK))
        yield made, peers


async def started(name: str, clock: NodeClock, peers: Sequence[Peer]) -> DeliveringNode:
    """A node that runs."""
    node = DeliveringNode(name, clock)
    await node.service.start(table(*peers))
    return node


async def run_alone(url: str, name: str, *destinations: str) -> None:
    """One node, until SIGTERM."""
    ports = dict(each.split("=") for each in destinations)
    peers = [
        Peer(each, "SINK", "127.0.0.1", int(port), timers=TIMERS, associations=1, retry=QUICK)
        for each, port in ports.items()
    ]
    node, ended = await started(name, RealClock(url), peers), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    running = asyncio.create_task(node.leases.run())
    while not ended.is_set():
        for destination in ports:
            node.journal.notify(destination)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCED_EACH_S):
                await ended.wait()
    await node.stop()
    await running


if __name__ == "__main__":
    asyncio.run(run_alone(*sys.argv[1:]))
