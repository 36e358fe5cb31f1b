"""A cluster as a site has one, under load, and faults of each of its parts: nodes behind HAProxy, PostgreSQL with a
synchronous standby, an S3 server, and links between them that can be cut."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Literal, Self

import psycopg

from gateway.lifecycle.exit_code import SOFTWARE
from tests.support.campaigns.kills import LARGE, SMALL, rules
from tests.support.haproxy import SOURCE, HAProxy
from tests.support.links import Links, LinkState
from tests.support.load.generator import Load, Target
from tests.support.load.objects import Sample
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess
from tests.support.postgresql_pair import PostgreSQLPair
from tests.support.processes import GUARD_S, free_port, until
from tests.support.seaweedfs import BUCKET, SeaweedFS

NODES = ("n1", "n2", "n3", "n4")
SINKS = ("PACS", "VNA")
DATABASE = "gateway"
RETENTION = "1 min"
"""So that instances and objects go meanwhile as well."""

FaultKind = Literal["node", "primary", "objects", "database link", "objects link", "destination link"]
KINDS: tuple[FaultKind, ...] = (
    "primary",
    "node",
    "database link",
    "objects",
    "node",
    "destination link",
    "objects link",
    "database link",
)
"""In turn: kill -9 of a node, of the PostgreSQL server, of the S3 server; the link from a node to one of them cut."""

HELD = """
SELECT destination FROM destination_lease JOIN node USING (instance)
WHERE node.name = %s AND until > extract(epoch FROM clock_timestamp()) * 1000000
"""
HOLDERS = """
SELECT destination, instance, until > extract(epoch FROM clock_timestamp()) * 1000000 FROM destination_lease
"""
UNDELIVERED = "SELECT destination, state, count(*) FROM delivery WHERE state <> 'delivered' GROUP BY 1, 2"


class Senders:
    """Small and large objects to one port, each again until it is stored; and one sender that calls anew for each."""

    def __init__(self, port: int) -> None:
        self._stored_at = [time.monotonic()]
        """When each object of the sender that calls anew was stored."""
        self.loads = [
            self._load(port, SMALL, 4, 50, lambda _: time.sleep(0.005)),
            self._load(port, SMALL, 4, 1 << 62, lambda _: time.sleep(0.005)),
            self._load(port, LARGE, 1, 5, lambda _: time.sleep(0.7)),
            self._load(port, SMALL, 1, 1, self._stored),
        ]
        self._threads = ThreadPoolExecutor(len(self.loads))
        self._running: list[asyncio.Future[Any]] = []

    @staticmethod
    def _load(port: int, what: Sample, associations: int, each: int, on_acknowledged: Callable[[str], None]) -> Load:
        return Load(
            Target(port, timeout_s=2 * GUARD_S),
            what=what,
            associations=associations,
            seconds=1e9,
            reconnect=True,
            again=True,
            objects_per_association=each,
            on_acknowledged=on_acknowledged,
        )

    def _stored(self, _: str) -> None:
        self._stored_at.append(time.monotonic())
        time.sleep(0.1)

    def slowest_s(self, began_s: float) -> float:
        """The longest time since then in which no object was stored over an association of its own."""
        times = [began_s, *(at for at in self._stored_at[:] if at > began_s)]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)

    def first_s(self, began_s: float) -> float | None:
        """The time from then to the first object that was stored over an association of its own."""
        return next((at - began_s for at in self._stored_at[:] if at > began_s), None)

    @property
    def acknowledged(self) -> int:
        return sum(len(load.report.acknowledged) for load in self.loads)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._running = [loop.run_in_executor(self._threads, load.run) for load in self.loads]
        return self

    async def until_each_stores(self) -> None:
        """Returns when each stored some more, or ended by an error."""
        before = [len(load.report.acknowledged) for load in self.loads]
        await until(
            lambda: (
                any(each.done() for each in self._running)
                or all(len(load.report.acknowledged) > number for load, number in zip(self.loads, before, strict=True))
            ),
            2 * GUARD_S,
            "an acknowledgement of each sender",
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for load in self.loads:
            load.stop()
        await asyncio.gather(*self._running)
        self._threads.shutdown()


@dataclass(slots=True)
class Times:
    """What was measured of one kind of fault, in seconds."""

    faults: int = 0
    new_association: list[float] = field(default_factory=list)
    taken_over: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    """From the order to promote a standby to the next object that is stored."""
    served: list[float] = field(default_factory=list)
    """From the order to the time when all nodes take objects."""


class Cluster:
    """All of it, with so many of `NODES`, below one folder. An asynchronous context manager."""

    def __init__(self, folder: Path, chance: Random, nodes: int = len(NODES)) -> None:
        self._folder = folder
        self._names = NODES[:nodes]
        self._chance = chance
        self._stack = AsyncExitStack()
        self.pair = PostgreSQLPair()
        self.seaweedfs = SeaweedFS(volumes=200)
        self.sinks = [Sink(folder / f"{title}.log", digest=True, ae_title=title) for title in SINKS]
        self.times: dict[str, Times] = {kind: Times() for kind in KINDS}
        self.nodes: dict[str, GatewayProcess] = {}
        self.starts_again = 0
        """How often a service manager would have had to start a node once more."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self.pair.stop)
            stack.push_async_callback(asyncio.to_thread, self.seaweedfs.stop)
            await asyncio.gather(asyncio.to_thread(self.pair.start), asyncio.to_thread(self.seaweedfs.start))
            self.pair.primary.execute(f"CREATE DATABASE {DATABASE}")
            for sink in self.sinks:
                await stack.enter_async_context(sink)
            self.links = await stack.enter_async_context(Links(self._folder / "links.log", self._targets()))
            self.nodes = {name: self._node(name) for name in self._names}
            for node in self.nodes.values():
                stack.push_async_callback(asyncio.to_thread, node.stop)
                node.launch()
            await self.ready()
            self.haproxy = await stack.enter_async_context(self._balancer())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _targets(self) -> dict[str, int]:
        targets: dict[str, int] = {}
        for name in self._names:
            targets |= {f"{name}-database-{number}": port for number, port in enumerate(self.pair.ports)}
            targets[f"{name}-objects"] = int(self.seaweedfs.endpoint.rpartition(":")[2])
            targets |= {f"{name}-{sink.ae_title}": sink.port for sink in self.sinks}
        return targets

    def _node(self, name: str) -> GatewayProcess:
        ports = self.links.ports
        hosts = ",".join(f"127.0.0.1:{ports[f'{name}-database-{number}']}" for number in (0, 1))
        s3 = {"endpoint": f"http://127.0.0.1:{ports[f'{name}-objects']}", "bucket": BUCKET, "prefix": "north"}
        s3 |= {"access_key_id": "gateway", "secret_access_key": "gateway"}
        site: Any = rules(*self.sinks)
        for peer in site["peers"].values():
            link = f"{name}-{peer['ae_title']}"
            peer["address"] = f"127.0.0.1:{ports[link]}"
        port = free_port()
        listener = {"port": port, "address": "127.0.0.1", "proxy_protocol": {"from": [SOURCE]}}
        store = {"postgresql": f"postgresql://postgres@{hosts}/{DATABASE}", "objects": {"s3": s3}, "node": name}
        spool = {"path": str(self._folder / name / "spool"), "min_free": "64 MiB", "retention": RETENTION}
        settings = {"store": store, "listeners": [listener], "spool": spool}
        return GatewayProcess(self._folder / name, site, settings=settings, port=port)

    def _balancer(self) -> HAProxy:
        servers = {node.port: f"port {node.http_port}" for node in self.nodes.values()}
        check = "send-proxy-v2 check inter 500ms fall 1 rise 1"
        return HAProxy(
            self._folder / "haproxy", servers, check, backend="balance leastconn\n  option httpchk GET /readyz"
        )

    async def ready(self) -> None:
        """Returns when each node takes objects. One that found a server away when it started is started again."""
        for name, node in self.nodes.items():
            await until(partial(self._is_ready, node), 2 * GUARD_S, f"{name} is ready")

    async def _is_ready(self, node: GatewayProcess) -> bool:
        if not node.is_running:
            assert node.returncode == SOFTWARE, node.log[-4000:]
            self.starts_again += 1
            node.launch()
        return await node.is_ready()

    # --- leases -------------------------------------------------------------------------------------------------

    def _ask(self, statement: str, *values: str) -> list[Any]:
        with psycopg.connect(self.pair.primary.address(DATABASE), autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def _held(self, name: str) -> set[str]:
        """The destinations that the node works on."""
        return {destination for (destination,) in self._ask(HELD, name)}

    def _holders(self) -> dict[str, str]:
        """Destination → the run of a node that works on it."""
        return {destination: instance for destination, instance, is_held in self._ask(HOLDERS) if is_held}

    def _busy_node(self) -> str:
        """A node that works on destinations, where there is one."""
        names = [*self._names]
        self._chance.shuffle(names)
        return next((name for name in names if self._held(name)), names[0])

    async def _taken_over(self, before: dict[str, str], of: set[str]) -> None:
        """Returns when another run of a node works on each of these destinations."""

        def is_so() -> bool:
            now = self._holders()
            return all(now.get(destination) not in (None, before[destination]) for destination in of)

        await until(lambda: asyncio.to_thread(is_so), 2 * GUARD_S, f"other nodes for {sorted(of)}")

    # --- faults -------------------------------------------------------------------------------------------------

    async def fault(self, number: int, senders: Senders) -> None:
        """One fault; returns when all is well again, and it was measured."""
        kind = KINDS[number % len(KINDS)]
        times = self.times[kind]
        began_s = time.monotonic()
        match kind:
            case "node":
                await self._kill_node(times)
            case "primary":
                await self._kill_primary(times, senders)
            case "objects":
                await self._kill_objects()
            case _:
                await self._cut(kind, times)
        await self.ready()
        await until(
            lambda: senders.first_s(time.monotonic() - 0.5) is not None, 2 * GUARD_S, "an object that is stored"
        )
        times.faults += 1
        times.new_association.append(senders.slowest_s(began_s))
        print(
            f"{number + 1}: {kind}: {time.monotonic() - began_s:.1f} s, {senders.acknowledged} acknowledged", flush=True
        )

    async def _kill_node(self, times: Times) -> None:
        name = await asyncio.to_thread(self._busy_node)
        before, held = await asyncio.to_thread(self._holders), await asyncio.to_thread(self._held, name)
        began_s = time.monotonic()
        self.nodes[name].kill()
        await asyncio.sleep(self._chance.uniform(0.0, 3.0))  # how long it is away is what this is about
        self.nodes[name].launch()
        if held:
            await self._taken_over(before, held)
            times.taken_over.append(time.monotonic() - began_s)

    async def _kill_primary(self, times: Times, senders: Senders) -> None:
        self.pair.primary.kill()
        await asyncio.sleep(self._chance.uniform(0.0, 2.0))  # until somebody notices
        began_s = time.monotonic()
        promoting = asyncio.create_task(asyncio.to_thread(self.pair.promote))
        await until(lambda: senders.first_s(began_s) is not None, 2 * GUARD_S, "an object after the promotion")
        times.stored.append(senders.first_s(began_s) or 0.0)
        await self.ready()
        times.served.append(time.monotonic() - began_s)
        await promoting
        await asyncio.to_thread(self.pair.follow)

    async def _kill_objects(self) -> None:
        self.seaweedfs.kill()
        await asyncio.sleep(self._chance.uniform(0.0, 5.0))
        await asyncio.to_thread(self.seaweedfs.start)

    async def _cut(self, kind: FaultKind, times: Times) -> None:
        """Cut the links from one node, or now and then from all, to a server or destination, for some seconds."""
        state: LinkState = self._chance.choice(("frozen", "refused", "reset"))
        name = await asyncio.to_thread(self._busy_node)
        before, held = await asyncio.to_thread(self._holders), await asyncio.to_thread(self._held, name)
        names = self._names if self._chance.random() < 0.2 else (name,)
        links = [link for each in names for link in self._links_of(kind, each, held)]
        began_s = time.monotonic()
        for link in links:
            await self.links.change(link, state)
        is_long = kind == "database link" and names != self._names and state != "reset" and self._chance.random() < 0.5
        if is_long and held:
            await self._taken_over(before, held)
            times.taken_over.append(time.monotonic() - began_s)
        else:
            await asyncio.sleep(self._chance.uniform(0.2, 5.0))
        after: LinkState = self._chance.choice(("whole", "reset")) if state == "frozen" else "whole"
        for link in links:
            await self.links.change(link, after)

    def _links_of(self, kind: FaultKind, name: str, held: set[str]) -> Iterator[str]:
        if kind == "database link":
            yield from (f"{name}-database-0", f"{name}-database-1")
        elif kind == "objects link":
            yield f"{name}-objects"
        else:
            yield from (f"{name}-{sink.ae_title}" for sink in self.sinks)

    # --- the end ------------------------------------------------------------------------------------------------

    async def idle(self, timeout_s: float) -> None:
        """Returns when nothing is owed, and nothing was given up."""
        await until(lambda: asyncio.to_thread(lambda: not self._ask(UNDELIVERED)), timeout_s, "an empty queue")

    def table(self) -> str:
        """What was measured, in lines of a table."""
        rows = [
            "seconds, median and longest",
            "| fault | times | new association | leases taken over | stored after a promotion | all nodes ready |",
        ]
        for kind, times in self.times.items():
            measured = (times.new_association, times.taken_over, times.stored, times.served)
            rows.append(f"| {kind} | {times.faults} | {' | '.join(map(_middle_and_most, measured))} |")
        return "\n".join([*rows, f"nodes that a service manager starts once more: {self.starts_again}"])


def _middle_and_most(times: list[float]) -> str:
    return f"{statistics.median(times):.1f}, {max(times):.1f}" if times else "-"
