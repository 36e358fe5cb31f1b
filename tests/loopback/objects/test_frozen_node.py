"""A node whose object store hangs: who waits for it, and who does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cluster import journal as journal_module
from gateway.cluster.journal import OBJECT_THREADS, ClusterJournal
from gateway.model.instance import Instance
from gateway.objects.s3 import S3ObjectStore
from gateway.spool.body import InMemoryDataSet
from tests.support.cluster import Node, kept
from tests.support.fakes.s3_server import FakeS3, Fault
from tests.support.object_stores import PATIENT
from tests.support.processes import GUARD_S, POLL_S
from tests.support.samples import TO_PACS, Clock, instance

pytestmark = pytest.mark.postgresql


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


def large(journal: ClusterJournal, number: int) -> asyncio.Task[Instance]:
    body = InMemoryDataSet([b"x" * 200_000])
    return asyncio.create_task(journal.commit(instance(number), body, None, [TO_PACS]))


async def test_large_objects_that_wait_hold_up_neither_what_is_fetched_nor_what_is_received(
    tmp_path: Path, server: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the end wait for them longer than for one request."""
    monkeypatch.setattr(journal_module, "END_LIMIT_S", 0.0)
    node = Node(tmp_path, Clock(), objects=S3ObjectStore(server.place(), PATIENT))
    async with node as journal:
        stored_large = await large(journal, 1)
        server.faults.append(Fault("freeze", "PUT", "large/"))
        waiting = [large(journal, number) for number in range(2, 2 + 2 * OBJECT_THREADS)]
        async with asyncio.timeout(GUARD_S):
            while sum("PUT" in each and "large/" in each for each in server.requests) < 1 + OBJECT_THREADS:
                await asyncio.sleep(POLL_S)
            for payload in ((await kept(journal, b"small", 20)).payload, stored_large.payload):
                journal._folder.cache.drop(payload.name)
                body = await journal.fetch(payload)
                assert body.length_bytes == payload.length_bytes
                body.close()
            receiver = journal.receiver()
            await asyncio.wrap_future(journal._threads.workers.submit(int))
            receiver.discard()
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_fetches_that_wait_hold_up_no_large_object(tmp_path: Path, server: FakeS3) -> None:
    node = Node(tmp_path, Clock(), objects=S3ObjectStore(server.place(), PATIENT))
    async with node as journal:
        stored = await large(journal, 1)
        freeze = Fault("freeze", "GET", "large/")
        server.faults.append(freeze)
        journal._folder.cache.drop(stored.payload.name)
        waiting = [asyncio.create_task(journal.fetch(stored.payload)) for _ in range(OBJECT_THREADS)]
        async with asyncio.timeout(GUARD_S):
            while freeze.times > 1_000_000 - OBJECT_THREADS:
                await asyncio.sleep(POLL_S)
            await large(journal, 2)
            await kept(journal, b"small", 3)
        server.__exit__(None, None, None)
        await asyncio.gather(*waiting, return_exceptions=True)
