"""Two nodes behind HAProxy, which gives each association to the other node than the one before: dcmtk, Orthanc and
stock pynetdicom store, ask and retrieve as at one gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.archive import findscu
from tests.support.haproxy import SOURCE, HAProxy
from tests.support.peers import GatewayProcess, Modality, Orthanc, StoreSCP, dcmsend, free_port, stock_scu, storescu
from tests.support.postgresql_server import shared_server
from tests.support.processes import run
from tests.support.retrieving import getscu, movescu
from tests.support.spread import STUDY_UID, WHOLE_STUDY, all_uids, uids, write_study

pytestmark = pytest.mark.postgresql

CALLER = "127.0.0.1"
LARGE_BYTES = 100_000
"""Above `spool.large_object` of these nodes: some objects go to the object store, others to the database."""
EVERYTHING = ["store", "find", "move", "get"]
CLIENTS = ("STORESCU", "DCMSEND", "STOCK", "ORTHANC", "VIEWER", "FINDSCU", "MOVESCU", "GETSCU")
QUIET = {"PYTHONWARNINGS": "ignore", "PATH": os.environ["PATH"]}
ALL = sorted(all_uids())
LEAST_ASSOCIATIONS = 5
"""Of twelve or more, of which the balancer gives each node every second one."""


@dataclass(frozen=True, slots=True)
class Site:
    """What clients see is the port of the balancer."""

    port: int
    nodes: list[GatewayProcess]
    workstation: StoreSCP
    archive: StoreSCP
    """Gets all that is stored."""
    orthanc: Orthanc
    folder: Path


def node(folder: Path, name: str, url: str, destinations: dict[str, int]) -> GatewayProcess:
    """It knows its clients by title and by their own address."""
    rules: dict[str, Any] = {
        "peers": {
            **{title: {"ae_title": title, "address": f"127.0.0.1:{port}"} for title, port in destinations.items()},
            **{f"from_{title}": {"ae_title": title, "hosts": [CALLER], "may": EVERYTHING} for title in CLIENTS},
        },
        "routes": [{"name": "all to the archive", "to": ["ARCHIVE"]}],
        "query_retrieve": {"sources": ["local"], "keep": "1 d"},
        "unmatched": "reject",
    }
    del rules["peers"]["from_ORTHANC"]
    rules["peers"]["ORTHANC"] |= {"hosts": [CALLER], "may": EVERYTHING}
    port = free_port()
    settings = {
        "admit": "known",
        "listeners": [{"port": port, "address": "127.0.0.1", "proxy_protocol": {"from": [SOURCE]}}],
        "store": {"postgresql": url, "objects": {"folder": str(folder / "objects")}, "node": name},
        "spool": {"path": str(folder / name / "spool"), "min_free": "64 MiB", "large_object": "64 KiB"},
    }
    return GatewayProcess(folder / name, rules, settings=settings, port=port)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / "objects").mkdir()
    url = shared_server().new_database()
    workstation, archive = (StoreSCP(tmp_path / title.lower(), ae_title=title) for title in ("WS1", "ARCHIVE"))
    orthanc = Orthanc(tmp_path / "orthanc", settings={"DicomAlwaysAllowMove": True})
    destinations = {peer.ae_title: peer.port for peer in (workstation, archive, orthanc)}
    nodes = [node(tmp_path, name, url, destinations) for name in ("n1", "n2")]
    servers = {each.port: f"port {each.http_port}" for each in nodes}
    backend = "balance roundrobin\n  option httpchk GET /readyz\n  timeout check 60s"
    haproxy = HAProxy(tmp_path / "haproxy", servers, "send-proxy-v2 check inter 500ms", backend=backend)
    orthanc.modalities["gateway"] = Modality("GATEWAY", haproxy.port)
    async with AsyncExitStack() as stack:
        running = [workstation, archive, orthanc, *nodes]
        for each in running:
            stack.push_async_callback(asyncio.to_thread, each.stop)
            each.launch()
        for each in running:
            await each.wait_ready()
        await stack.enter_async_context(haproxy)
        yield Site(haproxy.port, nodes, workstation, archive, orthanc, tmp_path)


def of_folder(folder: Path) -> list[str]:
    return sorted(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.iterdir())


def taken(peer: StoreSCP) -> list[str]:
    """What came; then it is forgotten."""
    found = uids(peer)
    for path in peer.files():
        path.unlink()
    return found


# --- who stores -------------------------------------------------------------------------------------------------


async def orthanc_stores(site: Site, files: list[Path]) -> None:
    held = [(await site.orthanc.post("/instances", path.read_bytes()))["ID"] for path in files]
    await site.orthanc.send("gateway", held)
    for each in held:
        await site.orthanc.request("DELETE", f"/instances/{each}")


async def stores(site: Site) -> None:
    """Each sender a series: all are in the archive, once, with their bytes."""
    series = {**write_study(site.folder / "files"), 1: write_study(site.folder / "large", LARGE_BYTES)[1]}
    for send, files in zip((storescu, dcmsend, stock_scu), (series[1], series[2], series[3]), strict=True):
        sent = await send(site.port, files)
        assert sent.returncode == 0, sent.output
    await orthanc_stores(site, series[4])
    await site.archive.received(len(ALL))
    for each in site.nodes:
        await each.idle()
    assert uids(site.archive) == ALL
    originals = {dcmread(path).SOPInstanceUID: dcmread(path) for files in series.values() for path in files}
    assert all(dcmread(path) == originals[dcmread(path).SOPInstanceUID] for path in site.archive.files())


# --- who asks ---------------------------------------------------------------------------------------------------


async def dcmtk_asks(site: Site) -> None:
    keys = ("QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={STUDY_UID}", "SeriesInstanceUID", "SOPInstanceUID")
    found = await asyncio.to_thread(findscu, site.port, "study", keys, called="GATEWAY", calling="VIEWER")
    assert sorted(str(answer.SOPInstanceUID) for answer in found.answers) == ALL, found.log
    moved = await movescu(site.port, "study", WHOLE_STUDY, destination="WS1")
    assert (moved.status, moved.counters) == (0x0000, (len(ALL), 0, 0)), moved.log
    assert taken(site.workstation) == ALL
    got = await getscu(site.port, "study", WHOLE_STUDY, site.folder / "got")
    assert (got.status, got.counters) == (0x0000, (len(ALL), 0, 0)), got.log
    assert of_folder(site.folder / "got") == ALL


async def pynetdicom_asks(site: Site) -> None:
    keys = [word for key in WHOLE_STUDY for word in ("-k", key)]
    place = ["127.0.0.1", str(site.port), "-S", *keys, "-aec", "GATEWAY"]
    application = [sys.executable, "-W", "ignore", "-m", "pynetdicom"]
    found = await run([*application, "findscu", *place, "-k", "NumberOfStudyRelatedInstances="], environment=QUIET)
    assert f"(0020,1208) IS [{len(ALL)}" in found.output, found.output
    moved = await run([*application, "movescu", *place, "-aem", "WS1"], environment=QUIET)
    assert "Success" in moved.output, moved.output
    assert taken(site.workstation) == ALL
    folder = site.folder / "got_too"
    folder.mkdir()
    got = await run([*application, "getscu", *place, "-od", str(folder)], environment=QUIET)
    assert "Success" in got.output, got.output
    assert of_folder(folder) == ALL


async def orthanc_asks(site: Site) -> None:
    asked = await site.orthanc.post(
        "/modalities/gateway/query", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY_UID}}
    )
    assert await site.orthanc.get(f"{asked['Path']}/answers") == ["0"]
    await site.orthanc.post(f"{asked['Path']}/retrieve", b"ORTHANC")
    assert len(await site.orthanc.received(len(ALL))) == len(ALL)


STEPS: tuple[Callable[[Site], Awaitable[None]], ...] = (stores, dcmtk_asks, pynetdicom_asks, orthanc_asks)


async def test_clients_of_nodes_behind_a_balancer_work_as_with_one_gateway(site: Site) -> None:
    for step in STEPS:
        await step(site)
    for each in site.nodes:
        accepted = [event for event in each.events() if event["event"] == "association_accepted"]
        assert len(accepted) >= LEAST_ASSOCIATIONS
        assert {(event["remote_host"], event.get("proxy_host")) for event in accepted} == {(CALLER, SOURCE)}
