"""The AE titles of the original requestor, passed on: for stores, also after a restart, and for queries."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from tests.support.federation import VIEWER, Source, answering, ask
from tests.support.peers import GatewayProcess, free_port, storescu
from tests.support.query_table import OBJECTS
from tests.support.spread import write_study

CALLING, CALLED = "{{ association.calling_ae_title }}", "{{ association.called_ae_title }}"
GUARD_S = 120.0


class Archive:
    """Counts by (calling, called AE title) what it is sent."""

    def __init__(self, port: int) -> None:
        self.got: Counter[tuple[str, str]] = Counter()
        ae = AE("ARCHIVE")
        ae.add_supported_context(CTImageStorage)
        self._server: Any = ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: Any) -> int:
        self.got[event.assoc.requestor.ae_title, event.assoc.requestor.primitive.called_ae_title] += 1
        return 0

    async def until(self, number: int) -> None:
        async with asyncio.timeout(GUARD_S):
            while self.got.total() < number:
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        self._server.shutdown()


@pytest.mark.peers
async def test_stores_go_on_under_their_senders_titles_also_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    rules = {
        "peers": {
            "archive": {
                "ae_title": "ARCHIVE",
                "address": f"127.0.0.1:{port}",
                "calling_ae_title": CALLING,
                "associate": {"ae_title": CALLED},
                "delivery": {"retry": {"first": "100 ms", "max": "200 ms"}},
            },
            "ct1": {"ae_title": "CT1", "may": ["store"]},
            "ct2": {"ae_title": "CT2", "may": ["store"]},
        },
        "routes": [{"name": "all", "to": ["archive"]}],
        "unmatched": "hold",
    }
    gateway = GatewayProcess(tmp_path / "gateway", rules)
    files = write_study(tmp_path / "files")
    await gateway.start()
    try:
        for title, series in (("CT1", 1), ("CT2", 2)):
            sent = await storescu(gateway.port, files[series], calling=title)
            assert sent.returncode == 0, sent.output
        gateway.stop()
        await gateway.start()
        archive = Archive(port)
        try:
            await archive.until(10)
            sent = await storescu(gateway.port, [*files[3]], calling="CT2")
            assert sent.returncode == 0, sent.output
            await archive.until(15)
        finally:
            await asyncio.to_thread(archive.stop)
    finally:
        gateway.stop()
    assert set(archive.got) == {("CT1", "GATEWAY"), ("CT2", "GATEWAY")}
    assert (archive.got["CT1", "GATEWAY"], archive.got["CT2", "GATEWAY"]) == (5, 10)


async def test_a_query_goes_on_under_its_requestors_title(tmp_path: Path) -> None:
    async with Source("pacs", OBJECTS).running() as source:
        passing = dataclasses.replace(source.peer, calling_ae_title=CALLING)
        async with answering(tmp_path, passing) as gateway:
            told = await ask(gateway.port, "STUDY")
    assert told.final.status == 0
    assert told.answers
    assert set(source.requestors) == {"VIEWER"}


async def test_a_requestor_whose_title_makes_none_gets_a_failure_that_says_so(tmp_path: Path) -> None:
    async with Source("pacs", OBJECTS).running() as source:
        passing = dataclasses.replace(source.peer, calling_ae_title=f"A_RATHER_LONG_{CALLING}")
        async with answering(tmp_path, passing, requestor=VIEWER) as gateway:
            told = await ask(gateway.port, "STUDY")
    assert told.final.status == 0xC001
    assert not source.asked
