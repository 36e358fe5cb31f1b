"""Sources that refuse, say nothing, are slow, or end in the middle: the outcome is what the settings say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive import QRSCP
from tests.support.peers import FolderSCP, GatewayProcess, Orthanc, StockSCP, StoreSCP, free_port, storescu
from tests.support.processes import GUARD_S
from tests.support.proxy import Proxy, Trouble
from tests.support.retrieving import SPREAD, Moving
from tests.support.spread import all_uids, give, instance_uid, orthanc, uids, write_study

SIZE_BYTES = 20_000
IN_THE_MIDDLE = 90_000
"""Bytes of answers: after the C-FINDs, before the end of the instances."""
TIMEOUT_S = 5.0
"""Of a source that says nothing: so long is waited for it."""
HELD = {"qrscp": (1, 2), "first": (2, 3), "second": (3, 4)}
"""Series by source; the gateway itself has the first image of series 1."""


@dataclass(frozen=True, slots=True)
class Archives:
    ports: dict[str, int]
    gateway_port: int
    local_file: Path


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archives]:
    """Two Orthancs and one dcmqrscp, which know the gateway on one port."""
    folder = tmp_path_factory.mktemp("archives")
    files = write_study(folder / "files", SIZE_BYTES)
    port = free_port()
    running: dict[str, QRSCP | Orthanc] = {
        "qrscp": QRSCP(folder / "qrscp", ae_title="QRSCP", destinations={"GATEWAY": port}),
        "first": orthanc(folder / "first", "FIRST", {"GATEWAY": port}),
        "second": orthanc(folder / "second", "SECOND", {"GATEWAY": port}),
    }

    async def begin() -> None:
        for name, archive in running.items():
            await archive.start()
            await give(archive, [path for series in HELD[name] for path in files[series]])

    try:
        asyncio.run(begin())
        yield Archives({name: archive.port for name, archive in running.items()}, port, files[1][0])
    finally:
        for archive in running.values():
            archive.stop()


@dataclass(frozen=True, slots=True)
class Site:
    gateway: GatewayProcess
    proxies: dict[str, Proxy]
    workstations: list[FolderSCP]
    moving: Moving


class Sites:
    """Gateways with one source in trouble each."""

    def __init__(self, archives: Archives, folder: Path, stack: AsyncExitStack) -> None:
        self._archives = archives
        self._folder = folder
        self._stack = stack

    async def open(
        self,
        source: str = "",
        trouble: Trouble = "none",
        *,
        retrieve: str = "get",
        dead_workstation: bool = False,
        timeout_s: float = GUARD_S,
        delay_s: float = 0.0,
        **settings: Any,
    ) -> Site:
        """`delay_s`: the first workstation takes one object after the other, so long each."""
        enter = self._stack.enter_async_context
        proxies = {
            name: await enter(Proxy(port, trouble if name == source else "none", after_bytes=IN_THE_MIDDLE))
            for name, port in self._archives.ports.items()
        }
        workstations: list[FolderSCP] = [
            await enter(StoreSCP(self._folder / name, ae_title=name.upper())) for name in ("ws1", "ws2")
        ]
        if delay_s:
            workstations[0] = await enter(StockSCP(self._folder / "slow", ae_title="WS1", delay_s=delay_s))
        peers: dict[str, Any] = {
            "sender": {"ae_title": "STORESCU", "may": ["store"]},
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move", "get"]},
        }
        for name, proxy in proxies.items():
            address = f"127.0.0.1:{proxy.port}"
            peers[name] = {
                "ae_title": name.upper(),
                "address": address,
                "may": ["store"],
                "retrieve": retrieve,
            }
        for workstation in workstations:
            port = 9 if dead_workstation and workstation is workstations[1] else workstation.port
            peers[workstation.ae_title.lower()] = {
                "ae_title": workstation.ae_title,
                "address": f"127.0.0.1:{port}",
                **({"delivery": {"associations": 1}} if delay_s else {}),
            }
        rules = {
            "peers": peers,
            "routes": [],
            "unmatched": "hold",
            "query_retrieve": {
                "sources": ["local", *proxies],
                "move_destinations": {"BOTH": ["ws1", "ws2"]},
                "timeout": f"{timeout_s:g} s",
                **settings,
            },
        }
        gateway = await enter(GatewayProcess(self._folder / "gateway", rules, port=self._archives.gateway_port))
        sent = await storescu(gateway.port, [self._archives.local_file])
        assert sent.returncode == 0, sent.output
        return Site(gateway, proxies, workstations, Moving(gateway.port))


@pytest.fixture
async def sites(archives: Archives, tmp_path: Path) -> AsyncIterator[Sites]:
    async with AsyncExitStack() as stack:
        yield Sites(archives, tmp_path, stack)


def alone_at(source: str) -> set[str]:
    """Instances that only this source has."""
    others = {one for name, series in HELD.items() for one in series if name != source}
    return all_uids(set(HELD[source]) - others) - {instance_uid(1, 1)}


@pytest.mark.parametrize(("trouble", "partial"), [("refused", "fail"), ("refused", "accept"), ("black hole", "fail")])
@pytest.mark.parametrize("source", HELD)
async def test_a_source_that_cannot_be_asked(sites: Sites, source: str, trouble: Trouble, partial: str) -> None:
    timeout_s = TIMEOUT_S if trouble == "black hole" else GUARD_S
    site = await sites.open(source, trouble, partial=partial, timeout_s=timeout_s)

    final = await site.moving.study("BOTH")

    there = all_uids() - alone_at(source)
    for workstation in site.workstations:
        assert uids(workstation) == sorted(there)
    assert final.status == (0xA701 if partial == "fail" else 0x0000), site.gateway.log
    assert (final.completed, final.failed, final.warning, final.remaining) == (2 * len(there), 0, 0, None)
    if partial == "fail":
        assert final.error_comment.startswith(f"incomplete: {source}: ")
    assert final.failed_sop_instance_uids == ()


@pytest.mark.parametrize("source", HELD)
@pytest.mark.parametrize("trouble", ["killed", "stalled"])
async def test_a_source_that_ends_in_the_middle(sites: Sites, source: str, trouble: Trouble) -> None:
    site = await sites.open(source, trouble, timeout_s=TIMEOUT_S if trouble == "stalled" else GUARD_S)

    final = await site.moving.study("BOTH")

    lost = set(final.failed_sop_instance_uids)
    assert lost <= alone_at(source), site.gateway.log
    assert bool(lost) == bool(alone_at(source))
    for workstation in site.workstations:
        assert uids(workstation) == sorted(all_uids() - lost)
    assert final.status == (0xB000 if lost else 0x0000)
    assert (final.completed, final.failed, final.warning) == (2 * (20 - len(lost)), 2 * len(lost), 0)


@pytest.mark.parametrize("retrieve", ["get", "move"])
async def test_the_same_study_for_many_at_once(sites: Sites, retrieve: str) -> None:
    """What comes for one of several C-MOVEs to ourselves is not taken for another one's."""
    site = await sites.open(retrieve=retrieve)

    finals = await asyncio.gather(*(site.moving.study("WS1") for _ in range(6)))

    assert [(final.status, final.completed, final.failed) for final in finals] == [(0x0000, 20, 0)] * 6


async def test_a_slow_source(sites: Sites) -> None:
    site = await sites.open("second", "slow")

    final = await site.moving.study("BOTH")

    assert final.status == 0x0000, site.gateway.log
    assert (final.completed, final.failed, final.warning) == (40, 0, 0)
    for workstation in site.workstations:
        assert uids(workstation) == sorted(all_uids())


@pytest.mark.parametrize("retrieve", ["get", "move"])
async def test_one_dead_destination_does_not_stop_the_other(sites: Sites, retrieve: str) -> None:
    site = await sites.open(retrieve=retrieve, dead_workstation=True)

    final = await site.moving.study("BOTH")

    assert uids(site.workstations[0]) == sorted(all_uids())
    assert final.status == 0xB000
    assert (final.completed, final.failed, final.warning) == (20, 20, 0)
    assert sorted(final.failed_sop_instance_uids) == sorted(all_uids())


@pytest.mark.parametrize("retrieve", ["get", "move"])
async def test_kept_or_not(sites: Sites, retrieve: str) -> None:
    site = await sites.open(retrieve=retrieve, keep_retrieved=True)

    assert (await site.moving.study("WS1")).status == 0x0000
    fetched = await site.gateway.metric("gateway_source_instances_total", outcome="fetched")
    assert (await site.moving.study("WS2")).status == 0x0000

    assert fetched == 19
    assert await site.gateway.metric("gateway_source_instances_total", outcome="fetched") == 19  # all are here now
    assert await site.gateway.metric("gateway_queue_deliveries", state="held") == 20


async def test_what_is_not_to_be_kept_is_not_routed(sites: Sites) -> None:
    site = await sites.open(retrieve="move")

    assert (await site.moving.study("WS1")).status == 0x0000

    assert await site.gateway.metric("gateway_queue_deliveries", state="held") == 1
    assert await site.gateway.metric("gateway_received_instances_total") == 20


@pytest.mark.parametrize("retrieve", ["get", "move"])
async def test_cancel_in_the_middle(sites: Sites, retrieve: str) -> None:
    """At once: the source that says nothing more would be waited for much longer than the test does."""
    trouble: Trouble = "stalled" if retrieve == "get" else "slow"
    site = await sites.open("qrscp", trouble, retrieve=retrieve, timeout_s=10 * GUARD_S, delay_s=0.2)

    async with asyncio.timeout(2 * GUARD_S):
        final = await site.moving.cancelled(after=3)

    assert final.status == 0xFE00, site.gateway.log
    completed, failed, remaining = final.completed or 0, final.failed or 0, final.remaining or 0
    assert completed >= 3
    assert completed + failed + remaining == 20
    assert final.warning == 0
    assert len(final.failed_sop_instance_uids) == failed
    assert len(uids(site.workstations[0])) >= completed


@pytest.mark.parametrize("retrieve", ["get", "move"])
async def test_a_source_that_is_killed_is_replaced_by_the_next_holder(tmp_path: Path, retrieve: str) -> None:
    files = [path for paths in write_study(tmp_path / "files").values() for path in paths]
    port = free_port()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        archive = await enter(QRSCP(tmp_path / "qrscp", destinations={"GATEWAY": port}))
        other = await enter(orthanc(tmp_path / "other", "OTHER", {"GATEWAY": port}))
        slow = await enter(StockSCP(tmp_path / "slow", ae_title="SLOW", delay_s=0.05))
        for each in (archive, other):
            await give(each, files)
        peers: dict[str, Any] = {
            each.ae_title.lower(): {
                "ae_title": each.ae_title,
                "address": f"127.0.0.1:{each.port}",
                "may": ["store"],
                "retrieve": retrieve,
            }
            for each in (archive, other)
        }
        peers["slow"] = {
            "ae_title": "SLOW",
            "address": f"127.0.0.1:{slow.port}",
            "delivery": {"associations": 1},
        }
        peers["viewer"] = {"ae_title": "VIEWER", "may": ["move"]}
        rules = {
            "peers": peers,
            "routes": [],
            "unmatched": "hold",
            "query_retrieve": {"sources": ["qrscp", "other"], "timeout": f"{GUARD_S:g} s"},
        }
        gateway = await enter(GatewayProcess(tmp_path / "gateway", rules, port=port))
        async with Moving(gateway.port).begun("SLOW", SPREAD) as responses:
            async for response in responses:
                if response.completed == 3:
                    archive.kill()
                if not response.is_pending:
                    break

        assert response.status == 0x0000, gateway.log
        assert (response.completed, response.failed, response.warning) == (20, 0, 0)
        assert {path.name.rpartition(".")[0].rpartition(".")[0] for path in slow.files()} == all_uids()
        of_qrscp = await gateway.metric("gateway_source_instances_total", source="qrscp", outcome="fetched")
        of_other = await gateway.metric("gateway_source_instances_total", source="other", outcome="fetched")
        assert of_qrscp >= 3
        assert of_qrscp + of_other == 20
