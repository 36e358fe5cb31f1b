"""Two nodes as processes: what one took is found at the other, and retrieved from it: before it is sealed and after."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from pydicom import dcmread

from tests.support.archive import findscu
from tests.support.peers import GatewayProcess, StoreSCP, storescu
from tests.support.postgresql_server import shared_server
from tests.support.processes import until
from tests.support.retrieving import getscu, movescu
from tests.support.spread import STUDY_UID, WHOLE_STUDY, uids, write_image

pytestmark = pytest.mark.postgresql

LARGE_BYTES = 100_000
UNSEALED = """
SELECT count(*) FROM instance
WHERE payload_name LIKE 'journal/%' AND payload_name NOT IN (SELECT payload_name FROM sealed_group)
"""
HOURS = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^journal_[0-9]+$'"


def node(folder: Path, name: str, url: str, workstation: StoreSCP) -> GatewayProcess:
    """It holds what comes, and may be asked by VIEWER."""
    rules = {
        "peers": {
            "ws1": {"ae_title": "WS1", "address": f"127.0.0.1:{workstation.port}"},
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move", "get"]},
            "sender": {"ae_title": "STORESCU", "may": ["store"]},
        },
        "query_retrieve": {"sources": ["local"], "keep": "1 d"},
        "unmatched": "hold",
    }
    settings = {
        "store": {"postgresql": url, "objects": {"folder": str(folder / "objects")}, "node": name},
        "spool": {"path": str(folder / name / "spool"), "min_free": "64 MiB", "large_object": "64 KiB"},
    }
    return GatewayProcess(folder / name, rules, settings=settings)


async def check_retrieved(asked: GatewayProcess, workstation: StoreSCP, folder: Path, sent: list[Path]) -> None:
    """C-FIND, C-MOVE and C-GET of the study: all that was sent, with its bytes."""
    images = {str(image.SOPInstanceUID): image for image in map(dcmread, sent)}
    keys = ("QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY_UID}", "SeriesInstanceUID", "SOPInstanceUID")
    found = await asyncio.to_thread(findscu, asked.port, "study", keys, called="GATEWAY", calling="VIEWER")
    assert sorted(str(answer.SOPInstanceUID) for answer in found.answers) == sorted(images), found.log

    moved = await movescu(asked.port, "study", WHOLE_STUDY, destination="WS1")
    assert (moved.status, moved.counters) == (0x0000, (len(sent), 0, 0)), moved.log
    got = await getscu(asked.port, "study", WHOLE_STUDY, folder)
    assert (got.status, got.counters) == (0x0000, (len(sent), 0, 0)), got.log
    assert uids(workstation) == sorted(images)
    for path in (*workstation.files(), *folder.iterdir()):
        image = dcmread(path)
        assert image == images[str(image.SOPInstanceUID)], path
        path.unlink()


async def test_what_one_node_took_is_found_at_and_retrieved_from_another(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    url = shared_server().new_database()
    sent = [write_image(tmp_path / "files", 1, number) for number in (1, 2, 3)]
    sent.append(write_image(tmp_path / "files", 2, 1, LARGE_BYTES))
    async with StoreSCP(tmp_path / "ws1", ae_title="WS1") as workstation:
        first, second = (node(tmp_path, name, url, workstation) for name in ("n1", "n2"))
        async with first, second:
            stored = await storescu(first.port, sent)
            assert stored.returncode == 0, stored.output
            await check_retrieved(second, workstation, tmp_path / "got", sent)
            assert await second.metric("gateway_payloads_fetched_total", source="journal") > 0

            with psycopg.connect(url, autocommit=True) as connection:

                def unsealed() -> int:
                    row = connection.execute(UNSEALED.encode()).fetchone()
                    assert row is not None
                    return int(row[0])

                await until(lambda: unsealed() == 0, what="all groups in the object store")
                for (hour,) in connection.execute(HOURS.encode()).fetchall():
                    connection.execute(f"TRUNCATE {hour}".encode())  # as the end of its hour would leave it
            before = await second.metric("gateway_payloads_fetched_total", source="object_store")
            await check_retrieved(second, workstation, tmp_path / "got", sent)
            assert await second.metric("gateway_payloads_fetched_total", source="object_store") > before
