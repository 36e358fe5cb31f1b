"""Requestors of retrieves: Orthanc, stock pynetdicom's applications, dcmtk; one with hidden studies; one that is a
source.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.archive import QRSCP
from tests.support.peers import GatewayProcess, Modality, Orthanc, StoreSCP, free_port, run, storescu
from tests.support.processes import until
from tests.support.retrieving import Moving, getscu, movescu
from tests.support.spread import PATIENT_ID, STUDY_UID, WHOLE_STUDY, all_uids, give, series_uid, uids, write_study


@dataclass(frozen=True, slots=True)
class Site:
    """Series 1 is here, 2 at Orthanc, 3 at dcmqrscp, which both are also requestors; nobody has 4."""

    gateway: GatewayProcess
    orthanc: Orthanc
    workstation: StoreSCP


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("clients")
    port = free_port()
    workstation = StoreSCP(folder / "ws1", ae_title="WS1")
    orthanc = Orthanc(
        folder / "orthanc",
        modalities={"gateway": Modality("GATEWAY", port)},
        settings={"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True},
    )
    archive = QRSCP(folder / "qrscp", destinations={"GATEWAY": port})
    everything = ["find", "move", "get"]
    peers: dict[str, Any] = {
        "ws1": {"ae_title": "WS1", "address": f"127.0.0.1:{workstation.port}"},
        "orthanc": {"ae_title": "ORTHANC", "address": f"127.0.0.1:{orthanc.port}", "may": ["store", *everything]},
        "qrscp": {"ae_title": "QRSCP", "address": f"127.0.0.1:{archive.port}", "may": ["store", *everything]},
        "sender": {"ae_title": "STORESCU", "may": ["store"]},
        "viewer": {"ae_title": "VIEWER", "may": everything},
        "stock": {"ae_title": "MOVESCU", "may": everything},
        "stock_get": {"ae_title": "GETSCU", "may": everything},
        "blind": {"ae_title": "BLIND", "may": everything},
    }
    rules = {
        "peers": peers,
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["local", "orthanc", "qrscp"],
            "hide": [{"when": {"attribute": {"select": "PatientID", "equals": PATIENT_ID}}, "from": ["blind"]}],
        },
    }
    gateway = GatewayProcess(folder / "gateway", rules, port=port)

    async def begin() -> None:
        files = write_study(folder / "files")
        for each in (workstation, orthanc, archive, gateway):
            await each.start()
        await give(orthanc, files[2])
        await give(archive, files[3])
        sent = await storescu(gateway.port, files[1])
        assert sent.returncode == 0, sent.output

    with contextlib.ExitStack() as stack:
        for each in (workstation, orthanc, archive, gateway):
            stack.callback(each.stop)
        asyncio.run(begin())
        yield Site(gateway, orthanc, workstation)


def received(peer: StoreSCP) -> list[str]:
    """What came; then it is forgotten."""
    found = uids(peer)
    for path in peer.files():
        path.unlink()
    return found


HERE = sorted(all_uids([1, 2, 3]))


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("study", WHOLE_STUDY),
        ("patient", ("QueryRetrieveLevel=PATIENT", f"PatientID={PATIENT_ID}")),
        ("patient", ("QueryRetrieveLevel=STUDY", f"PatientID={PATIENT_ID}", f"StudyInstanceUID={STUDY_UID}")),
        ("patient_study", ("QueryRetrieveLevel=STUDY", f"PatientID={PATIENT_ID}", f"StudyInstanceUID={STUDY_UID}")),
    ],
    ids=["study root", "patient root", "patient root, study", "patient/study only"],
)
async def test_dcmtk_in_every_model(site: Site, tmp_path: Path, model: str, keys: tuple[str, ...]) -> None:
    moved = await movescu(site.gateway.port, model, keys, destination="WS1")
    got = await getscu(site.gateway.port, model, keys, tmp_path / "got")

    assert moved.is_success, moved.log
    assert got.is_success, got.log
    assert received(site.workstation) == HERE
    assert sorted(str(dcmread(path).SOPInstanceUID) for path in (tmp_path / "got").iterdir()) == HERE


async def test_series_and_images(site: Site) -> None:
    series = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={series_uid(2)}")
    assert (await movescu(site.gateway.port, "study", series, destination="WS1")).is_success
    assert received(site.workstation) == sorted(all_uids([2]))
    three = sorted(all_uids([3]))[:3]
    images = (
        "QueryRetrieveLevel=IMAGE",
        f"StudyInstanceUID={STUDY_UID}",
        f"SeriesInstanceUID={series_uid(3)}",
        "SOPInstanceUID=" + "\\".join(three),
    )
    assert (await movescu(site.gateway.port, "study", images, destination="WS1")).is_success
    assert received(site.workstation) == three


APPLICATION = [sys.executable, "-W", "ignore", "-m", "pynetdicom"]


async def test_stock_pynetdicom(site: Site, tmp_path: Path) -> None:
    keys = [word for key in WHOLE_STUDY for word in ("-k", key)]
    place = ["127.0.0.1", str(site.gateway.port), "-S", *keys, "-aec", "GATEWAY"]
    quiet = {"PYTHONWARNINGS": "ignore", "PATH": os.environ["PATH"]}

    moved = await run([*APPLICATION, "movescu", *place, "-aem", "WS1"], environment=quiet)
    assert "Success" in moved.output, moved.output
    assert received(site.workstation) == HERE

    (tmp_path / "got").mkdir()
    got = await run([*APPLICATION, "getscu", *place, "-od", str(tmp_path / "got")], environment=quiet)
    assert "Success" in got.output, got.output
    found = [dcmread(path) for path in (tmp_path / "got").iterdir()]
    assert sorted(str(one.SOPInstanceUID) for one in found) == HERE


async def test_orthanc_moves_to_itself_what_it_does_not_have(site: Site) -> None:
    """It is a source itself: it is not asked for what it asks for."""
    before = len(await site.orthanc.instances())
    asked = await site.orthanc.post(
        "/modalities/gateway/query", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY_UID}}
    )
    assert await site.orthanc.get(f"{asked['Path']}/answers") == ["0"]

    await site.orthanc.post(f"{asked['Path']}/retrieve", b"ORTHANC")

    assert before == 5
    assert len(await site.orthanc.received(15)) == 15

    def served() -> list[dict[str, Any]]:
        """Its line in the log, which is written after the answer."""
        lines = [event for event in site.gateway.events() if event["event"] == "retrieve_served"]
        return [line for line in lines if line["peer"] == "orthanc"]

    await until(served)
    assert [(line["completed"], line["failed"]) for line in served()] == [(10, 0)]


async def test_hidden_studies_are_as_not_there(site: Site, tmp_path: Path) -> None:
    final = await Moving(site.gateway.port, calling="BLIND").study("WS1")
    assert (final.status, final.completed, final.failed, final.warning) == (0x0000, 0, 0, 0)
    got = await getscu(site.gateway.port, "study", WHOLE_STUDY, tmp_path / "got", calling="BLIND")
    assert got.is_success
    assert not list((tmp_path / "got").iterdir())
    assert received(site.workstation) == []
