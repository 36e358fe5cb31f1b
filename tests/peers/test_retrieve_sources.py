"""C-MOVE and C-GET of studies that are spread over two Orthancs and one dcmqrscp behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.archive import QRSCP
from tests.support.peers import GatewayProcess, Orthanc, StoreSCP, free_port, storescu
from tests.support.retrieving import getscu, movescu
from tests.support.spread import WHOLE_STUDY, all_uids, give, orthanc, uids, write_study


@dataclass(frozen=True, slots=True)
class Site:
    """Series 1 and 2 at dcmqrscp, 2 and 3 at the first Orthanc, 3 and 4 at the second one, one image here."""

    gateway: GatewayProcess
    archive: QRSCP
    first: Orthanc
    second: Orthanc
    workstations: tuple[StoreSCP, StoreSCP]


def rules(
    sources: dict[str, int], workstations: tuple[StoreSCP, ...], retrieve: str, **settings: Any
) -> dict[str, Any]:
    return {
        "peers": {
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move", "get"]},
            "sender": {"ae_title": "STORESCU", "may": ["store"]},
            **{
                name: {
                    "ae_title": name.upper(),
                    "address": f"127.0.0.1:{port}",
                    "may": ["store"],
                    "retrieve": retrieve,
                }
                for name, port in sources.items()
            },
            **{
                peer.ae_title.lower(): {"ae_title": peer.ae_title, "address": f"127.0.0.1:{peer.port}"}
                for peer in workstations
            },
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["local", *sources],
            "move_destinations": {"BOTH": [peer.ae_title.lower() for peer in workstations]},
            "timeout": "60 s",
            **settings,
        },
    }


@pytest.fixture(params=["get", "move"])
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    files = write_study(tmp_path / "files")
    port = free_port()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        archive = await enter(QRSCP(tmp_path / "qrscp", ae_title="QRSCP", destinations={"GATEWAY": port}))
        first = await enter(orthanc(tmp_path / "first", "FIRST", {"GATEWAY": port}))
        second = await enter(orthanc(tmp_path / "second", "SECOND", {"GATEWAY": port}))
        workstations = (
            await enter(StoreSCP(tmp_path / "ws1", ae_title="WS1")),
            await enter(StoreSCP(tmp_path / "ws2", ae_title="WS2")),
        )
        await give(archive, files[1] + files[2])
        await give(first, files[2] + files[3])
        await give(second, files[3] + files[4])
        sources = {"qrscp": archive.port, "first": first.port, "second": second.port}
        gateway = await enter(
            GatewayProcess(tmp_path / "gateway", rules(sources, workstations, request.param), port=port)
        )
        sent = await storescu(gateway.port, files[1][:1])
        assert sent.returncode == 0, sent.output
        yield Site(gateway, archive, first, second, workstations)


async def test_a_spread_study_to_two_destinations_at_once(site: Site) -> None:
    moved = await movescu(site.gateway.port, "study", WHOLE_STUDY, destination="BOTH")

    assert moved.is_success, moved.log + site.gateway.log
    for workstation in site.workstations:
        assert uids(workstation) == sorted(all_uids())
    assert moved.counters == (40, 0, 0)
    assert await site.gateway.metric("gateway_source_instances_total", outcome="fetched") == 19


async def test_a_spread_study_over_the_requestors_association(site: Site, tmp_path: Path) -> None:
    got = await getscu(site.gateway.port, "study", WHOLE_STUDY, tmp_path / "got")

    assert got.is_success, got.log + site.gateway.log
    found = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in (tmp_path / "got").iterdir()]
    assert sorted(found) == sorted(all_uids())
    assert got.counters == (20, 0, 0)
