"""Two patients with one Study Instance UID in one archive: C-FIND shows both, and a retrieve of one brings one's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.support.archive import QRSCP, findscu
from tests.support.gateway_process import GatewayProcess
from tests.support.identifiers import CT
from tests.support.peers import Orthanc, storescu
from tests.support.processes import free_port
from tests.support.query_table import write_object
from tests.support.retrieving import getscu
from tests.support.spread import orthanc

pytestmark = pytest.mark.peers

STUDY = "1.2.826.0.9.1"
PATIENTS = {"ADAM": "Adam^Anna", "BAUM": "Baum^Bert"}
PLACES = ("local", "orthanc by C-GET", "orthanc by C-MOVE", "dcmqrscp by C-GET")


def series(patient: str) -> str:
    return f"{STUDY}.{list(PATIENTS).index(patient) + 1}"


def instances(*patients: str) -> list[str]:
    return sorted(f"{series(patient)}.{number}" for patient in patients for number in (1, 2))


def write(folder: Path) -> list[Path]:
    """Two images of each patient."""
    folder.mkdir(parents=True)
    keywords = {"SOPClassUID": CT, "StudyInstanceUID": STUDY, "Modality": "CT", "StudyDate": "20240105", "StudyID": "1"}
    return [
        write_object(
            folder / f"{patient}-{number}.dcm",
            {
                **keywords,
                "PatientID": patient,
                "PatientName": name,
                "SeriesInstanceUID": series(patient),
                "SOPInstanceUID": f"{series(patient)}.{number}",
                "SeriesNumber": "1",
                "InstanceNumber": str(number),
            },
        )
        for patient, name in PATIENTS.items()
        for number in (1, 2)
    ]


@dataclass(frozen=True, slots=True)
class Site:
    gateways: dict[str, GatewayProcess]
    archives: dict[str, QRSCP | Orthanc]


def _rules(source: str, **peers: Any) -> dict[str, Any]:
    askers = {title.lower(): {"ae_title": title, "may": ["find", "get"]} for title in ("FINDSCU", "VIEWER")}
    return {
        "peers": {**askers, "sender": {"ae_title": "STORESCU", "may": ["store"]}, **peers},
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {"sources": [source]},
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("two-patients")
    ports = {name: free_port() for name in PLACES}
    known = {"GATEWAY": ports["orthanc by C-MOVE"]}
    archives: dict[str, QRSCP | Orthanc] = {
        "orthanc": orthanc(folder / "orthanc", "ORTHANC", known),
        "dcmqrscp": QRSCP(folder / "qrscp"),
    }
    gateways = {"local": GatewayProcess(folder / "local", _rules("local"), port=ports["local"])}
    for name in PLACES[1:]:
        source, _, service = name.partition(" by C-")
        archive = archives[source]
        peer = {
            "ae_title": archive.ae_title,
            "address": f"127.0.0.1:{archive.port}",
            "retrieve": service.lower(),
            "may": ["store"],
        }
        gateways[name] = GatewayProcess(
            folder / name.replace(" ", "-"), _rules(source, **{source: peer}), port=ports[name]
        )
    running = AsyncExitStack()

    async def start() -> None:
        for each in (*archives.values(), *gateways.values()):
            await running.enter_async_context(each)
        files = write(folder / "files")
        for port, title in (
            *((archive.port, archive.ae_title) for archive in archives.values()),
            (ports["local"], "GATEWAY"),
        ):
            sent = await storescu(port, files, called=title)
            assert sent.returncode == 0, sent.output

    try:
        asyncio.run(start())
        yield Site(gateways, archives)
    finally:
        asyncio.run(running.aclose())


STUDIES = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}")


@pytest.mark.parametrize("keys", [(), ("PatientID=",), ("PatientName=", "StudyDate=")], ids=lambda keys: " ".join(keys))
@pytest.mark.parametrize("place", PLACES)
def test_both_are_found(site: Site, place: str, keys: tuple[str, ...]) -> None:
    found = findscu(site.gateways[place].port, "study", (*STUDIES, *keys), called="GATEWAY")
    assert found.is_success, found.log
    there = 2
    if place.startswith("dcmqrscp"):  # it answers once a Study Instance UID, with the patient of one of them
        archive = site.archives["dcmqrscp"]
        there = len(findscu(archive.port, "study", (*STUDIES, *keys)).answers)
    assert len(found.answers) == there
    if "PatientID=" in keys and there == 2:
        assert sorted(answer.PatientID for answer in found.answers) == sorted(PATIENTS)


@pytest.mark.parametrize("patient", PATIENTS)
@pytest.mark.parametrize("place", PLACES)
def test_series_of_one(site: Site, place: str, patient: str) -> None:
    keys = ("QueryRetrieveLevel=SERIES", f"PatientID={patient}", f"StudyInstanceUID={STUDY}", "SeriesInstanceUID=")
    found = findscu(site.gateways[place].port, "patient", keys, called="GATEWAY")
    assert found.is_success, found.log
    assert [str(answer.SeriesInstanceUID) for answer in found.answers] == [series(patient)]


@pytest.mark.parametrize("named", ["study", "patient"])
@pytest.mark.parametrize("patient", PATIENTS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_retrieve_of_one_brings_one_s(site: Site, tmp_path: Path, place: str, patient: str, named: str) -> None:
    keys = (
        ("QueryRetrieveLevel=STUDY", f"PatientID={patient}", f"StudyInstanceUID={STUDY}")
        if named == "study"
        else ("QueryRetrieveLevel=PATIENT", f"PatientID={patient}")
    )
    got = await getscu(site.gateways[place].port, "patient", keys, tmp_path / "got")
    assert got.is_success, got.log + site.gateways[place].log
    assert got.counters == (2, 0, 0)
    assert _brought(tmp_path / "got") == instances(patient)


@pytest.mark.parametrize("place", PLACES)
async def test_a_retrieve_of_the_study_brings_both(site: Site, tmp_path: Path, place: str) -> None:
    got = await getscu(site.gateways[place].port, "study", STUDIES, tmp_path / "got")
    assert got.is_success, got.log + site.gateways[place].log
    assert _brought(tmp_path / "got") == instances(*PATIENTS)


def _brought(folder: Path) -> list[str]:
    return sorted(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.iterdir())
