"""Nodes as processes, and an archive that sends what one node asks for by C-MOVE to another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydicom import dcmread

from tests.support.archive import QRSCP
from tests.support.peers import GatewayProcess, StoreSCP, free_port
from tests.support.postgresql_server import shared_server
from tests.support.processes import GUARD_S, POLL_S, until
from tests.support.retrieving import Retrieved, getscu, movescu
from tests.support.spread import WHOLE_STUDY, all_uids, give, uids, write_image, write_study

pytestmark = pytest.mark.postgresql

LARGE_BYTES = 100_000
END_LISTENERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database()
    AND query IN ('LISTEN gateway_due', 'LISTEN gateway_expected', 'SELECT current_schema()')
"""
SOME = 3
"""Instances that came before something happens: fewer than a handoff takes, and than there are."""
LEFT = ("expected_move", "expected_instance", "handed_instance")


@dataclass
class Site:
    """Two nodes; the archive knows the gateway's AE title to be at the second one."""

    folder: Path
    url: str
    archive: QRSCP
    workstation: StoreSCP
    first: GatewayProcess
    second: GatewayProcess
    sent: list[Path]

    def rows(self) -> Mapping[str, int]:
        """Table → rows of what is expected and handed over."""
        counts = {}
        with psycopg.connect(self.url) as connection:
            for table in LEFT:
                row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                assert row is not None
                counts[table] = int(row[0])
        return counts

    async def until_nothing_is_left(self) -> None:
        await until(lambda: not any(self.rows().values()), what="no row left")

    async def check(self) -> None:
        """C-MOVE to the workstation and C-GET of the study bring all, with its bytes."""
        images = {str(image.SOPInstanceUID): image for image in map(dcmread, self.sent)}
        moved = await self.moved()
        assert (moved.status, moved.counters) == (0x0000, (len(images), 0, 0)), moved.log
        got = await getscu(self.first.port, "study", WHOLE_STUDY, self.folder / "got")
        assert (got.status, got.counters) == (0x0000, (len(images), 0, 0)), got.log
        assert uids(self.workstation) == sorted(images)
        for path in (*self.workstation.files(), *(self.folder / "got").iterdir()):
            image = dcmread(path)
            assert image == images[str(image.SOPInstanceUID)], path
            path.unlink()

    async def again(self, node: GatewayProcess) -> None:
        """A node that was killed runs again, and nothing came yet."""
        node.launch()
        await node.wait_ready()
        for path in self.workstation.files():
            path.unlink()

    async def moved(self) -> Retrieved:
        return await movescu(self.first.port, "study", WHOLE_STUDY, destination="WS1")

    async def kept_by_rules(self) -> float:
        """Objects that the second node took for ones that the archive sends on its own."""
        return await self.second.metric("gateway_queue_deliveries", state="held")


def rules_of(archive: QRSCP, workstation: StoreSCP) -> Mapping[str, Any]:
    return {
        "peers": {
            "ws1": {"ae_title": "WS1", "address": f"127.0.0.1:{workstation.port}"},
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move", "get"]},
            "pacs": {
                "ae_title": archive.ae_title,
                "address": f"127.0.0.1:{archive.port}",
                "may": ["store"],
                "retrieve": "move",
            },
        },
        "routes": [],
        "query_retrieve": {"sources": ["pacs"]},
        "unmatched": "hold",
    }


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / "objects").mkdir()
    url, port = shared_server().new_database(), free_port()
    sent = [path for paths in write_study(tmp_path / "files").values() for path in paths]
    sent[0] = write_image(tmp_path / "files", 1, 1, LARGE_BYTES)
    async with AsyncExitStack() as stack:
        workstation = await stack.enter_async_context(StoreSCP(tmp_path / "ws1", ae_title="WS1"))
        archive = await stack.enter_async_context(QRSCP(tmp_path / "qrscp", destinations={"GATEWAY": port}))
        await give(archive, sent)
        nodes = []
        for name, at in (("n1", 0), ("n2", port)):
            settings = {
                "store": {"postgresql": url, "objects": {"folder": str(tmp_path / "objects")}, "node": name},
                "spool": {"path": str(tmp_path / name / "spool"), "min_free": "64 MiB", "large_object": "64 KiB"},
            }
            node = GatewayProcess(tmp_path / name, rules_of(archive, workstation), settings=settings, port=at)
            nodes.append(await stack.enter_async_context(node))
        yield Site(tmp_path, url, archive, workstation, nodes[0], nodes[1], sent)


@asynccontextmanager
async def stopped(workstation: StoreSCP) -> AsyncIterator[None]:
    """The workstation stands still, so that the retrieve does, with an instance on its way between the nodes."""
    workstation.pause()
    try:
        yield
    finally:
        workstation.resume()


@asynccontextmanager
async def half_way(site: Site) -> AsyncIterator[asyncio.Task[Retrieved]]:
    """A C-MOVE in the middle of it; at the end the workstation goes on."""
    async with stopped(site.workstation):
        moving = asyncio.create_task(site.moved())
        async with asyncio.timeout(GUARD_S):
            while await site.first.metric("gateway_source_instances_total", outcome="fetched") < SOME:
                await asyncio.sleep(POLL_S)
        await until(lambda: site.rows()["handed_instance"] > 0, what="the next one is on its way")
        yield moving


async def kill_the_node_at_which_they_arrive(site: Site) -> None:
    async with half_way(site) as moving:
        site.second.kill()
    moved = await moving
    completed, failed, _ = moved.counters
    assert (moved.status, completed + failed) == (0xB000, len(site.sent)), moved.log
    assert 0 < completed == len(uids(site.workstation)) == len(set(uids(site.workstation)))
    await site.until_nothing_is_left()
    await site.again(site.second)


async def kill_the_node_that_waits(site: Site) -> None:
    async with half_way(site) as moving:
        site.first.kill()
        assert site.rows()["expected_move"] == 1
        with psycopg.connect(site.url, autocommit=True) as connection:  # as some seconds later
            connection.execute("UPDATE node SET seen_at = seen_at - 10000000 WHERE name = 'n1'")
        await site.until_nothing_is_left()
    assert not (await moving).is_success
    assert await site.kept_by_rules() == 0
    await site.again(site.first)


async def check_without_notices(site: Site) -> None:
    """Nodes look all the same."""
    is_over = asyncio.Event()

    async def cut() -> int:
        """End the sessions that listen, as soon as they are there."""
        number = 0
        with psycopg.connect(site.url, autocommit=True) as connection:
            while not is_over.is_set():
                number += len(connection.execute(END_LISTENERS).fetchall())
                await asyncio.sleep(0.02)
        return number

    cutting = asyncio.create_task(cut())
    await site.check()
    is_over.set()
    assert await cutting > 0
    assert await site.kept_by_rules() == 0
    await site.until_nothing_is_left()


async def test_what_arrives_at_another_node_comes_to_the_retrieve_with_notices_and_without(site: Site) -> None:
    await site.check()
    assert {str(dcmread(path).SOPInstanceUID) for path in site.sent} == all_uids()
    assert await site.kept_by_rules() == 0, "none of them went through the rules"
    await site.until_nothing_is_left()
    assert not list((site.folder / "objects" / "large").glob("*"))
    await check_without_notices(site)


async def test_nodes_are_killed_half_way(site: Site) -> None:
    await kill_the_node_at_which_they_arrive(site)
    await kill_the_node_that_waits(site)
    await site.check()
