"""C-MOVE and C-GET of what the gateway holds itself, with dcmtk and stock pynetdicom as requestors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.peers import GatewayProcess, StoreSCP, storescu
from tests.support.processes import until
from tests.support.query_table import OBJECTS, ROE, write_objects
from tests.support.retrieving import Moving, getscu, movescu

MODELS = ("study", "patient", "patient_study")
OF_ROE = [each for each in OBJECTS if each["PatientID"] == ROE["PatientID"]]
ROE_OBJECTS, ROE_STUDIES = len(OF_ROE), {each["StudyInstanceUID"] for each in OF_ROE}
ROE_UIDS = {each["SOPInstanceUID"] for each in OBJECTS if each["StudyInstanceUID"] == ROE["StudyInstanceUID"]}


@pytest.fixture
async def first(tmp_path: Path) -> AsyncIterator[StoreSCP]:
    async with StoreSCP(tmp_path / "first", ae_title="WS1") as peer:
        yield peer


@pytest.fixture
async def second(tmp_path: Path) -> AsyncIterator[StoreSCP]:
    async with StoreSCP(tmp_path / "second", ae_title="WS2") as peer:
        yield peer


def site(*peers: StoreSCP, **settings: Any) -> Mapping[str, Any]:
    """Destinations, and a requestor that may do everything."""
    return {
        "peers": {
            "viewer": {"ae_title": "VIEWER", "may": ["find", "move", "get"]},
            **{
                peer.ae_title.lower(): {"ae_title": peer.ae_title, "address": f"127.0.0.1:{peer.port}"}
                for peer in peers
            },
            "gone": {"ae_title": "GONE", "address": "127.0.0.1:9"},
        },
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["local"],
            "move_destinations": {"BOTH": [peer.ae_title.lower() for peer in peers], "HALF": ["gone", "ws1"]},
            **settings,
        },
    }


@pytest.fixture
async def gateway(tmp_path: Path, first: StoreSCP, second: StoreSCP) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(tmp_path / "gateway", site(first, second)) as process:
        sent = await storescu(process.port, write_objects(tmp_path / "objects"))
        assert sent.returncode == 0, sent.output
        yield process


def uids(peer: StoreSCP) -> list[str]:
    return sorted(str(dcmread(path).SOPInstanceUID) for path in peer.files())


STUDY = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={ROE['StudyInstanceUID']}")
PATIENT = ("QueryRetrieveLevel=PATIENT", f"PatientID={ROE['PatientID']}")


async def test_many_at_once_to_destinations_that_serve_one_at_a_time(gateway: GatewayProcess) -> None:
    """dcmtk's storescp lets further associations wait, also for one that does nothing; nobody waits in vain."""
    requestors = [Moving(gateway.port) for _ in range(12)]
    identifier = {0x00080052: ("STUDY",), 0x0020000D: (ROE["StudyInstanceUID"],)}

    finals = await asyncio.gather(
        *(one.move(("BOTH", "WS1", "WS2")[number % 3], identifier) for number, one in enumerate(requestors))
    )

    assert [(final.status, final.failed) for final in finals] == [(0x0000, 0)] * 12, gateway.log


async def test_movescu_to_two_destinations_at_once(gateway: GatewayProcess, first: StoreSCP, second: StoreSCP) -> None:
    moved = await movescu(gateway.port, "study", STUDY, destination="BOTH")

    assert moved.is_success, moved.log
    assert uids(first) == uids(second) == sorted(ROE_UIDS)
    assert moved.counters == (6, 0, 0)


@pytest.mark.parametrize(
    ("keys", "level", "studies", "completed", "status"),
    [
        (STUDY, "STUDY", {ROE["StudyInstanceUID"]}, len(ROE_UIDS), "0x0000"),
        (PATIENT, "PATIENT", ROE_STUDIES, ROE_OBJECTS, "0x0000"),
        (("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3.4"), "STUDY", {"1.2.3.4"}, 0, "0x0000"),
    ],
    ids=["study", "patient", "not here"],
)
@pytest.mark.parametrize("service", ["move", "get"])
async def test_the_log_names_what_was_retrieved(
    gateway: GatewayProcess,
    tmp_path: Path,
    service: str,
    keys: tuple[str, ...],
    level: str,
    studies: set[str],
    completed: int,
    status: str,
) -> None:
    """The found studies of a patient; never the patient."""
    if service == "move":
        done = await movescu(gateway.port, "patient", keys, destination="WS1")
    else:
        done = await getscu(gateway.port, "patient", keys, tmp_path / "got")
    assert done.is_success, done.log
    await until(lambda: any(event["event"] == "retrieve_served" for event in gateway.events()))
    (line,) = [event for event in gateway.events() if event["event"] == "retrieve_served"]
    assert (line["service"], line["query_retrieve_level"], set(line["study_instance_uids"])) == (
        service,
        level,
        studies,
    )
    assert (line["completed"], line["failed"], line["warning"], line["remaining"]) == (completed, 0, 0, 0)
    assert line["status"] == status
    assert ROE["PatientID"] not in gateway.log
