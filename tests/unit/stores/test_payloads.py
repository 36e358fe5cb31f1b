"""Payloads as a command reads them: of a spool beside its gateway, and of a cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cluster.sealer import SEALED_AFTER_S
from gateway.model.settings import ObjectStoreSettings, Settings, Spool
from gateway.objects.folder import FolderObjectStore
from gateway.ports.errors import PayloadLost
from gateway.spool.body import InMemoryDataSet
from gateway.spool.journal import GroupCommitJournal
from gateway.sqlite.store import SQLiteStore
from gateway.stores.payloads import opened_payloads
from tests.support.cluster import Node, kept
from tests.support.samples import TO_PACS, Clock, instance

DATA = {"empty": b"", "small": b"small", "large": b"large" * 50_000}


def settings_of(spool: Spool, objects: ObjectStoreSettings | None) -> Settings:
    return Settings("GATEWAY", (), spool, "queue.db", objects=objects)


@pytest.mark.parametrize("name", DATA)
async def test_of_a_spool_beside_its_gateway(tmp_path: Path, name: str) -> None:
    spool = Spool(str(tmp_path / "spool"), min_free_bytes=0, large_object_bytes=100_000)
    journal = GroupCommitJournal(spool, lambda: SQLiteStore(tmp_path / "queue.db"))
    await journal.start()
    stored = await journal.commit(instance(1, body=DATA[name]), InMemoryDataSet([DATA[name]]), None, [TO_PACS])
    store = SQLiteStore(tmp_path / "queue.db", is_read_only=True)
    with opened_payloads(settings_of(spool, None), store) as open_payload:
        body = open_payload(stored.payload)
        assert b"".join(body.chunks(70_000)) == DATA[name]
        body.close()
    store.close()
    await journal.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    (tmp_path / "objects").mkdir()
    made = Node(tmp_path, Clock(), objects=FolderObjectStore(str(tmp_path / "objects")))
    await made.start()
    yield made
    await made.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("is_sealed", [False, True], ids=["fresh", "sealed"])
async def test_of_a_cluster(node: Node, tmp_path: Path, name: str, *, is_sealed: bool) -> None:
    stored = await kept(node.journal, DATA[name])
    store = node.open_store("keeping")
    if is_sealed:
        node.clock.advance(SEALED_AFTER_S)
        sealer = node.sealer(lambda: node.clock.at.replace(year=2000))
        while sealer._seal_one(store):
            pass
    settings = settings_of(node.spool, ObjectStoreSettings(folder=str(tmp_path / "objects")))
    with opened_payloads(settings, store) as open_payload:
        body = open_payload(stored.payload)
        assert b"".join(body.chunks(70_000)) == DATA[name]
        body.close()
        with pytest.raises(PayloadLost):
            b"".join(open_payload(dataclasses.replace(stored.payload, digest=bytes(32))).chunks(70_000))
    store.close()
