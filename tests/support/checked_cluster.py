"""A cluster with payloads in all places, to be damaged and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from gateway.cluster.sealer import SEALED_AFTER_S
from gateway.common.steady_clock import utc_now
from gateway.model.instance import Instance
from gateway.model.settings import Settings
from gateway.postgresql.address import address
from gateway.repair.cluster_check import check_cluster
from gateway.repair.report import RepairReport
from tests.support.cluster import Node, kept
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.migrating import on_cluster
from tests.support.samples import Clock, settlement

SEALED, IN_JOURNAL, LARGE = (1, 2), (3, 4), 5
LARGE_BYTES = 200_000


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedCluster:
    """Instances 1 and 2 are sealed, 3 and 4 are in the journal, each in a group of its own; 5 is a large object."""

    node: Node
    objects: MemoryObjectStore
    stored: Mapping[int, Instance]
    settings: Settings

    def check(self, *, has_digests: bool = False, wait: Callable[[float], None] = lambda _: None) -> RepairReport:
        return check_cluster(self.settings, has_digests=has_digests, objects=self.objects, wait=wait)

    def group(self, number: int) -> str:
        """The name of the payload of an instance."""
        return self.stored[number].payload.name

    def object_of(self, number: int) -> str:
        """The object that holds a sealed payload."""
        (found,) = self.sql("SELECT object_name FROM sealed_group WHERE payload_name = %s", self.group(number))
        return str(found[0])

    def sql(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Change or read rows."""
        with psycopg.connect(address(self.node.url).conninfo) as connection:
            done = connection.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    def replace(self, name: str, data: bytes) -> None:
        """Other bytes in place of an object's."""
        self.objects.objects[name] = data, self.objects.objects[name][1]

    def put_unknown(self, name: str, age: timedelta) -> None:
        """An object that no row leads to."""
        self.objects.objects[name] = b"12345", utc_now() - age

    def seal(self) -> None:
        """A round of the node that seals; what has settled is forgotten."""
        self.node.clock.advance(SEALED_AFTER_S)
        store = self.node.open_store("keeping")
        try:
            self.node.sealer().do_round(store)
        finally:
            store.close()

    def deliver(self) -> None:
        """All that is owed."""
        store = self.node.open_store()
        with store.transaction():
            claimed = store.deliveries.claim("pacs", 100, 60.0, self.node.clock())
            store.deliveries.settle([settlement(each) for each in claimed])
        store.close()


async def made_cluster(folder: Path, during: Callable[[CheckedCluster], None]) -> CheckedCluster:
    """`during` is called while its node runs, whose sealer does nothing by itself."""
    clock = Clock(utc_now())
    objects = MemoryObjectStore(clock)
    node = Node(folder / "node", clock, objects=objects)
    settings = on_cluster(folder, url=node.url)
    async with node as journal:
        stored = {number: await kept(journal, b"bytes of %d" % number, number) for number in SEALED}
        stored[LARGE] = await kept(journal, bytes(LARGE_BYTES), LARGE)
        cluster = CheckedCluster(node, objects, stored, settings)
        cluster.seal()
        stored |= {number: await kept(journal, b"bytes of %d" % number, number) for number in IN_JOURNAL}
        during(cluster)
    return cluster
