"""Nodes of a cluster in one process, on the tables of a real server whose clock the test sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg

from gateway.cluster.destination_leases import SharedDestinationLeases
from gateway.model.node import ClusterView, GatewayNode
from gateway.ports.errors import SpoolFull
from gateway.postgresql.node_table import PostgreSQLNodeTable
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import NOON

FAKE_CLOCK = """
CREATE TABLE test_clock (at timestamptz NOT NULL);
INSERT INTO test_clock VALUES (%s);
CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM test_clock';
"""
"""In a schema that is searched before the server's own functions."""


class ClusterClock:
    """The server's clock and that of the nodes, which go evenly: both stand but for `advance`."""

    def __init__(self) -> None:
        self.url = f"{shared_server().new_schema()},pg_catalog"
        PostgreSQLStore(self.url).close()  # makes the tables
        self._connection = psycopg.connect(self.url, autocommit=True)
        self._connection.execute(FAKE_CLOCK.replace("%s", f"'{NOON.isoformat()}'").encode())
        self.passed_s = 0.0

    def now(self) -> datetime:
        """The server's time."""
        return NOON + timedelta(seconds=self.passed_s)

    def seconds(self) -> float:
        """The nodes' own clock."""
        return 1000.0 + self.passed_s

    def advance(self, seconds: float) -> None:
        self.passed_s += seconds
        self._connection.execute("UPDATE test_clock SET at = %s", (self.now(),))

    def close(self) -> None:
        self._connection.close()


class BreakableNodeTable(PostgreSQLNodeTable):
    """The server cannot be reached while `is_cut`."""

    is_cut = False

    def _run(self, name: str, **values: Any) -> Any:
        if self.is_cut:
            raise SpoolFull("cut off")
        return super()._run(name, **values)


@dataclass
class TestedNode:
    """A node with couriers that only note what they may do."""

    __test__ = False

    name: str
    clock: ClusterClock
    courier_rounds: int = 0
    """The number of rounds that a courier takes to end."""
    taken: list[str] = field(default_factory=list)
    """Destinations in the order in which they were taken."""
    changes: list[frozenset[str]] = field(default_factory=list)
    ending: dict[str, int] = field(default_factory=dict)
    """Destination → rounds until its courier has ended."""
    is_frozen: bool = False

    def __post_init__(self) -> None:
        self.table = BreakableNodeTable(self.clock.url)
        started_at = datetime(2026, 1, 1, tzinfo=UTC)
        node = GatewayNode(f"{self.name}-run", self.name, "1.0", "host", 7, started_at)
        self.leases = SharedDestinationLeases(
            lambda: self.table, node, lambda: "rules-1", clock_s=self.clock.seconds, random=Random(1)
        )
        self.leases.subscribe(self._changed)
        self._was: frozenset[str] = frozenset()

    def _changed(self, own: frozenset[str]) -> None:
        self.changes.append(own)
        self._follow(own)

    def _follow(self, own: frozenset[str]) -> None:
        self.taken += sorted(own - self._was)
        self.ending |= dict.fromkeys(self._was - own, self.courier_rounds)
        self._was = own

    def want(self, destinations: Collection[str]) -> None:
        self.leases.want(destinations)
        self._follow(self.leases.own)

    async def step(self) -> None:
        """One round, and what its couriers do meanwhile."""
        if self.is_frozen:
            return
        self.leases.look()
        for destination in [*self.ending]:
            self.ending[destination] -= 1
            if self.ending[destination] < 0 or self.leases.left_s(destination) <= 0:
                del self.ending[destination]
                self.leases.ended(destination)
        await self.leases.round()

    def may_send(self) -> set[str]:
        """Destinations that it may begin an object for at this moment, or finish one."""
        begun = {each for each in self._was if self.leases.may_send(each)}
        return begun | {each for each in self.ending if self.leases.left_s(each) > 0}

    def kill(self) -> None:
        """Its process ends, and releases nothing."""
        self.table.close()


class Cluster:
    """Nodes by name."""

    def __init__(self, clock: ClusterClock) -> None:
        self.clock = clock
        self.nodes: dict[str, TestedNode] = {}
        self.gone: list[TestedNode] = []

    def start(self, name: str, destinations: Collection[str], **settings: Any) -> TestedNode:
        node = self.nodes[name] = TestedNode(name, self.clock, **settings)
        node.want(destinations)
        return node

    def kill(self, name: str) -> None:
        node = self.nodes.pop(name)
        node.kill()
        self.gone.append(node)

    async def stop(self, name: str) -> None:
        """In order."""
        node = self.nodes.pop(name)
        await node.leases.release_all()

    async def rounds(
        self, number: int, order: Callable[[list[TestedNode]], Iterable[TestedNode]] = lambda nodes: nodes
    ) -> None:
        """A second passes, each node looks, and so on; at no moment two of them may send to one destination."""
        for _ in range(number):
            self.clock.advance(0.5)
            self.check()
            self.clock.advance(0.5)
            for node in order([*self.nodes.values()]):
                await node.step()
                self.check()

    def check(self) -> None:
        """Nobody sends where another one does; a frozen node sends nothing."""
        workers: dict[str, str] = {}
        for node in self.nodes.values():
            if node.is_frozen:
                continue
            for destination in node.may_send():
                assert destination not in workers, f"{destination}: {workers[destination]} and {node.name}"
                workers[destination] = node.name

    def own(self) -> Mapping[str, frozenset[str]]:
        return {name: node.leases.own for name, node in self.nodes.items()}

    def numbers(self) -> list[int]:
        """The numbers of destinations of the nodes, from the lowest on."""
        return sorted(len(own) for own in self.own().values())

    def close(self) -> None:
        for node in (*self.nodes.values(), *self.gone):
            node.kill()


def seen(view: ClusterView) -> dict[str, tuple[str, bool, int]]:
    """Name → state, whether it is live, number of destinations."""
    return {each.node.name: (each.state, each.is_live, each.leases) for each in view.nodes}
