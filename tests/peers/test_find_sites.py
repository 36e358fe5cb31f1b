"""findscu asks a gateway in front of two Orthancs and one dcmqrscp that hold overlapping studies: in every model and at
every level, and with each of them in turn gone, silent, or killed in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context

from tests.support.archive import QRSCP, Found, findscu
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import Modality, Orthanc, storescu
from tests.support.processes import GUARD_S, free_port, until
from tests.support.query_table import DOE, MUELLER, OBJECTS, ROE, ROE_AGAIN, YAMADA, write_object

pytestmark = pytest.mark.peers

R1, R2, D1, M1, Y1 = STUDIES = tuple(each["StudyInstanceUID"] for each in (ROE, ROE_AGAIN, DOE, MUELLER, YAMADA))
HELD = {"qrscp": (R1, D1), "first": (R1, R2), "second": (R2, D1, Y1), "local": (M1, R1)}
TIMEOUT_S = 5.0
Archive = QRSCP | Orthanc


@dataclass(frozen=True, slots=True)
class Site:
    archives: dict[str, Archive]
    patient: GatewayProcess
    """It waits for its sources, however busy they are, and holds what `local` says, as do the others."""
    gateways: dict[str, GatewayProcess]
    """By `partial`; they wait so long as `TIMEOUT_S` says."""


def rules(archives: dict[str, Archive], partial: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    return {
        "peers": {
            "viewer": {"ae_title": "FINDSCU", "may": ["find"]},
            "orthanc": {"ae_title": "SECOND", "may": ["find"], "hosts": ["127.0.0.1"]},
            **{
                name: {"ae_title": name.upper(), "address": f"127.0.0.1:{each.port}"} for name, each in archives.items()
            },
        },
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["qrscp", "local", "first", "second"],
            "partial": partial,
            "timeout": f"{timeout_s:g} s",
        },
    }


async def start(stack: AsyncExitStack, folder: Path) -> Site:
    files = [write_object(folder / f"{number}.dcm", each) for number, each in enumerate(OBJECTS)]
    port = free_port()
    archives: dict[str, Archive] = {
        "qrscp": QRSCP(folder / "qrscp", ae_title="QRSCP"),
        **{
            name: Orthanc(
                folder / name,
                ae_title=name.upper(),
                modalities={"gateway": Modality("GATEWAY", port)},
                settings={"DicomAlwaysAllowFind": True, "DefaultEncoding": "Utf8"},
            )
            for name in ("first", "second")
        },
    }
    patient = GatewayProcess(folder / "patient", rules(archives, "fail", GUARD_S), port=port)
    gateways = {partial: GatewayProcess(folder / partial, rules(archives, partial)) for partial in ("fail", "accept")}
    running: list[Any] = [*archives.values(), patient, *gateways.values()]
    await asyncio.gather(*(stack.enter_async_context(each) for each in running))
    for name, port_of, title in [
        *((name, each.port, each.ae_title) for name, each in archives.items()),
        *(("local", each.port, each.ae_title) for each in (patient, *gateways.values())),
    ]:
        held = [path for path, each in zip(files, OBJECTS, strict=True) if each["StudyInstanceUID"] in HELD[name]]
        sent = await storescu(port_of, held, called=title)
        assert sent.returncode == 0, sent.output
    return Site(archives, patient, gateways)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """Started and stopped by loops of its own: the tests of a module share it."""
    stack = AsyncExitStack()
    made = asyncio.run(start(stack, folder))
    try:
        yield made
    finally:
        asyncio.run(stack.aclose())


async def ask(gateway: GatewayProcess, root: str, *keys: str) -> Found:
    return await asyncio.to_thread(findscu, gateway.port, root, keys, called="GATEWAY")


def uids(found: Found, keyword: str = "StudyInstanceUID") -> list[str]:
    return sorted(str(answer.get(keyword, "")) for answer in found.answers)


# --- every model and level -------------------------------------------------------------------------------------------

QUESTIONS: dict[str, tuple[str, tuple[str, ...], str, tuple[str, ...]]] = {
    "patients": (
        "patient",
        ("QueryRetrieveLevel=PATIENT", "PatientID="),
        "PatientID",
        ("P-001", "P-002", "P-003", "P-004"),
    ),
    "a patient by name": (
        "patient",
        ("QueryRetrieveLevel=PATIENT", "PatientID=", "PatientName=DOE*"),
        "PatientID",
        ("P-002",),
    ),
    "studies": ("study", ("QueryRetrieveLevel=STUDY", "StudyInstanceUID="), "StudyInstanceUID", STUDIES),
    "studies by date": (
        "study",
        ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=", "StudyDate=20240101-20240131"),
        "StudyInstanceUID",
        (R1, M1),
    ),
    "studies by accession number": (
        "study",
        ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=", "AccessionNumber=B-2001"),
        "StudyInstanceUID",
        (D1,),
    ),
    "studies of a patient": (
        "patient",
        ("QueryRetrieveLevel=STUDY", "PatientID=P-001", "StudyInstanceUID="),
        "StudyInstanceUID",
        (R1, R2),
    ),
    "patient/study only": (
        "patient_study",
        ("QueryRetrieveLevel=STUDY", "PatientID=P-001", "StudyInstanceUID="),
        "StudyInstanceUID",
        (R1, R2),
    ),
    "series": (
        "study",
        ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={R2}", "SeriesInstanceUID=", "Modality=MR"),
        "SeriesInstanceUID",
        (f"{R2}.1", f"{R2}.2"),
    ),
    "series, patient root": (
        "patient",
        ("QueryRetrieveLevel=SERIES", "PatientID=P-001", f"StudyInstanceUID={R1}", "SeriesInstanceUID="),
        "SeriesInstanceUID",
        (f"{R1}.1", f"{R1}.2"),
    ),
    "images": (
        "study",
        ("QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={D1}", f"SeriesInstanceUID={D1}.1", "SOPInstanceUID="),
        "SOPInstanceUID",
        (f"{D1}.1.1", f"{D1}.1.10"),
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_everything_once(site: Site, name: str) -> None:
    root, keys, unique, expected = QUESTIONS[name]
    found = await ask(site.patient, root, *keys)
    assert found.is_success, found.log + site.patient.log
    assert uids(found, unique) == sorted(expected)
    assert {answer.RetrieveAETitle for answer in found.answers} == {"GATEWAY"}


@pytest.mark.parametrize("character_set", ["ISO_IR 192", "ISO_IR 100"])
async def test_names_in_the_character_set_that_is_asked_for(site: Site, character_set: str) -> None:
    keys = (f"SpecificCharacterSet={character_set}", "QueryRetrieveLevel=STUDY", "StudyInstanceUID=", "PatientName=")
    found = await ask(site.patient, "study", *keys)
    names = {str(answer.StudyInstanceUID): str(answer.PatientName) for answer in found.answers}
    assert names[M1] == MUELLER["PatientName"]
    assert names[R1] == ROE["PatientName"]
    assert names[Y1] == YAMADA["PatientName"]  # in UTF-8 also where Latin-1 is wanted, which has no kanji


async def test_stock_pynetdicom_asks(site: Site) -> None:
    found = await asyncio.to_thread(_stock, site.patient.port)
    assert sorted(found) == sorted(STUDIES)


def _stock(port: int) -> list[str]:
    model = "1.2.840.10008.5.1.4.1.2.2.1"
    association = AE("FINDSCU").associate("127.0.0.1", port, [build_context(model)], ae_title="GATEWAY")
    assert association.is_established
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = ""
    *matches, (final, _) = association.send_c_find(wanted, model)
    association.release()
    assert final.Status == 0x0000
    return [str(answer.StudyInstanceUID) for _, answer in matches if answer is not None]


ORTHANC_ASKS: dict[str, tuple[str, dict[str, str], str, list[str]]] = {
    "patients": ("Patient", {"PatientName": "*"}, "PatientID", ["P-001", "P-002", "P-003"]),
    "studies": ("Study", {"PatientID": ""}, "StudyInstanceUID", [R1, R2, D1, M1]),
    "series": (
        "Series",
        {"StudyInstanceUID": R1, "PatientID": "P-001"},
        "SeriesInstanceUID",
        [f"{R1}.1", f"{R1}.2"],
    ),
    "instances": (
        "Instance",
        {"StudyInstanceUID": R1, "SeriesInstanceUID": f"{R1}.1", "PatientID": "P-001"},
        "SOPInstanceUID",
        [f"{R1}.1.1", f"{R1}.1.2"],
    ),
}


@pytest.mark.parametrize("name", ORTHANC_ASKS)
async def test_orthanc_asks_the_gateway_that_asks_it(site: Site, name: str) -> None:
    """The second Orthanc is a source as well: its own studies do not come back to it, unless others hold them too."""
    level, keys, unique, expected = ORTHANC_ASKS[name]
    orthanc = site.archives["second"]
    assert isinstance(orthanc, Orthanc)
    query = await orthanc.post("/modalities/gateway/query", {"Level": level, "Query": keys})
    answers = await orthanc.get(f"/queries/{query['ID']}/answers?expand&simplify")
    assert sorted(answer[unique] for answer in answers) == sorted(expected)


# --- in trouble ------------------------------------------------------------------------------------------------------

ALL = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID=")
LOST = {"qrscp": STUDIES, "first": STUDIES, "second": (R1, R2, D1, M1)}
"""What is still found without each archive: only the second one holds something that nobody else does."""


async def is_whole(site: Site) -> bool:
    """Every source is asked again and answers."""
    answers = [await ask(gateway, "study", *ALL) for gateway in site.gateways.values()]
    return all(found.is_success and uids(found) == sorted(STUDIES) for found in answers)


async def check(site: Site, name: str) -> None:
    for partial, gateway in site.gateways.items():
        before = await _failed(gateway)
        found = await ask(gateway, "study", *ALL)
        assert uids(found) == sorted(LOST[name]), (name, partial)
        if partial == "accept":
            assert found.is_success, found.log
        else:
            assert not found.is_success
            assert "Failed: UnableToProcess" in found.log
            assert {*(await _failed(gateway) - before)} == {name}


async def _failed(gateway: GatewayProcess) -> Counter[str]:
    """Source → questions that it did not answer."""
    asked = (await gateway.metrics()).get("gateway_source_queries_total", [])
    return Counter({labels["source"]: int(value) for labels, value in asked if labels["outcome"] == "failed"})


@pytest.fixture
async def whole(site: Site) -> Site:
    async def ready() -> bool:
        return await is_whole(site)

    await until(ready, what="every source asked again")
    return site


@contextmanager
def stopped(archive: Archive) -> Iterator[None]:
    """The process, and what it forked for its associations: connections are taken, nothing is answered."""
    os.killpg(archive.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(archive.pid, signal.SIGCONT)


@pytest.mark.parametrize("name", ["qrscp", "first", "second"])
async def test_silent(whole: Site, name: str) -> None:
    with stopped(whole.archives[name]):
        await check(whole, name)
        again = await ask(whole.gateways["accept"], "study", *ALL)
    assert uids(again) == sorted(LOST[name])


@pytest.mark.parametrize("name", ["qrscp", "first", "second"])
async def test_gone(whole: Site, name: str) -> None:
    """Connections are refused; then it comes back."""
    archive = whole.archives[name]
    archive.kill()
    try:
        await check(whole, name)
    finally:
        await archive.start()


@pytest.mark.parametrize("name", ["qrscp", "first"])
async def test_killed_in_the_middle(whole: Site, name: str) -> None:
    archive = whole.archives[name]
    try:
        with stopped(archive):
            asking = [asyncio.create_task(ask(gateway, "study", *ALL)) for gateway in whole.gateways.values()]
            await asyncio.sleep(TIMEOUT_S / 3)  # the questions are out; if not, the outcome is the same
            archive.kill()
        failed, accepted = await asyncio.gather(*asking)
    finally:
        await archive.start()
    assert uids(failed) == uids(accepted) == sorted(LOST[name])
    assert accepted.is_success
    assert not failed.is_success
