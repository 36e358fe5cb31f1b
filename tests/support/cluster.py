"""Nodes of a cluster in the test's process: a journal each, on one schema of PostgreSQL and one object store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from gateway.cluster.journal import ClusterJournal
from gateway.cluster.sealer import Sealer
from gateway.model.delivery import Dispatch
from gateway.model.instance import Instance
from gateway.model.listener import Limits
from gateway.model.settings import UNSEALED_LIMIT_BYTES, Spool
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.meter import NoMeter
from gateway.ports.object_store import ObjectStore
from gateway.ports.shared_payloads import StorePurpose
from gateway.postgresql.store import PostgreSQLStore
from gateway.spool.body import InMemoryDataSet
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.postgresql_server import shared_server
from tests.support.processes import GUARD_S, POLL_S
from tests.support.samples import TO_PACS, Clock, instance


class Node:
    """A node with its local folder, and others `beside` it. They refuse no object because the server is slow."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        large_object_bytes: int = 100_000,
        object_bytes: int = 10_000_000,
        url: str = "",
        objects: ObjectStore | None = None,
        poll_s: float = 0.02,
        answer_limit_s: float = GUARD_S,
        unsealed_limit_bytes: int = UNSEALED_LIMIT_BYTES,
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.url = url or shared_server().new_schema()
        self.objects = objects or MemoryObjectStore(clock)
        self.spool = Spool(str(folder / "spool"), min_free_bytes=0, large_object_bytes=large_object_bytes)
        self.limits = Limits(object_bytes=object_bytes)
        self.poll_s, self.answer_limit_s = poll_s, answer_limit_s
        self.unsealed_limit_bytes = unsealed_limit_bytes

    def beside(self, name: str) -> Node:
        """Another node of the same cluster."""
        return Node(
            self.folder / name,
            self.clock,
            large_object_bytes=self.spool.large_object_bytes,
            url=self.url,
            objects=self.objects,
            unsealed_limit_bytes=self.unsealed_limit_bytes,
        )

    async def start(self) -> None:
        self.journal = ClusterJournal(
            self.spool,
            self.open_store,
            self.objects,
            limits=self.limits,
            now=self.clock,
            poll_s=self.poll_s,
            answer_limit_s=self.answer_limit_s,
            unsealed_limit_bytes=self.unsealed_limit_bytes,
        )
        await self.journal.start()

    async def close(self) -> None:
        await self.journal.close()

    async def __aenter__(self) -> ClusterJournal:
        await self.start()
        return self.journal

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def open_store(self, purpose: StorePurpose = "reading") -> PostgreSQLStore:
        """The store as this node opens it for a purpose."""
        return PostgreSQLStore(
            self.url,
            now=self.clock,
            is_committing=purpose == "committing",
            is_quiet=purpose == "keeping",
            node=self.folder.name,
        )

    def sealer(self, forget_before: Callable[[], datetime] | None = None) -> Sealer:
        """A sealer that forgets what settled before then; all by default."""
        before = forget_before or self.clock
        return Sealer(
            self.open_store,
            self.objects,
            now=self.clock,
            forget_before=lambda: (before(), before(), before()),
            meter=NoMeter(),
        )

    def files(self, folder: str) -> Sequence[str]:
        """Names of the payloads below `folder`: objects of their own, or groups of small ones."""
        store = self.open_store()
        if folder == "large":
            self.sealer().delete_unnamed(store)
            names = [each.name for each in self.objects.list("large/")]
        else:
            names = [name for name in store.spool.payload_names() if name.startswith(folder)]
        store.close()
        return names

    def retry(self, destination: str) -> int:
        """Another process retries the deliveries to `destination`; how many."""
        operator = PostgreSQLStore(self.url, now=self.clock, must_exist=True)
        with operator.transaction():
            retried = operator.administration.retry(DeliveryFilter(destination=destination), self.clock())
        operator.close()
        return retried


async def kept(
    journal: ClusterJournal, data: bytes, number: int = 1, dispatches: Sequence[Dispatch] = (TO_PACS,)
) -> Instance:
    """An instance with these bytes, once it is acknowledged and in the node's cache, if it is small."""
    body = InMemoryDataSet([data])
    stored = await journal.commit(instance(number), body, None, dispatches)
    body.close()
    async with asyncio.timeout(GUARD_S):
        while stored.payload.name.startswith("journal/") and journal.open_cached(stored.payload) is None:
            await asyncio.sleep(POLL_S)
    return stored
