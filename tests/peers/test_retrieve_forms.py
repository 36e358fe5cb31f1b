"""In which form retrieved instances leave: changed by rules for some, converted for who takes nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from tests.support.archive import QRSCP
from tests.support.peers import GatewayProcess, StockSCP, StoreSCP, storescu
from tests.support.retrieving import getscu, movescu
from tests.support.spread import STUDY_UID, WHOLE_STUDY, all_uids, give, instance_uid, series_uid, write_study

FIRST_SERIES = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={series_uid(1)}")
COMPRESSED = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={series_uid(9)}")


@dataclass(frozen=True, slots=True)
class Site:
    """Series 1 and 9 (compressed) are here, series 2 is at a source."""

    gateway: GatewayProcess
    changed: StoreSCP
    plain: StoreSCP
    implicit: StockSCP
    converted: StockSCP


def compressed(path: Path) -> Path:
    image = dcmread(path)
    image.SeriesInstanceUID, image.SOPInstanceUID = series_uid(9), instance_uid(9, 1)
    image.compress(RLELossless, generate_instance_uid=False)
    written = path.with_name("compressed.dcm")
    image.save_as(written, enforce_file_format=True)
    return written


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("forms")
    changed = StoreSCP(folder / "changed", ae_title="CHANGED")
    plain = StoreSCP(folder / "plain", ae_title="PLAIN")
    only: dict[str, Any] = {"only": [CTImageStorage], "transfer_syntaxes": [ImplicitVRLittleEndian]}
    implicit = StockSCP(folder / "implicit", ae_title="IMPLICIT", **only)
    converted = StockSCP(folder / "converted", ae_title="CONVERTED", **only)
    source = QRSCP(folder / "source")
    peers: dict[str, Any] = {
        peer.ae_title.lower(): {"ae_title": peer.ae_title, "address": f"127.0.0.1:{peer.port}"}
        for peer in (changed, plain, implicit, converted)
    }
    peers["converted"]["delivery"] = {"fallback": ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"]}
    peers["source"] = {"ae_title": "QRSCP", "address": f"127.0.0.1:{source.port}"}
    peers["sender"] = {"ae_title": "STORESCU", "may": ["store"]}
    peers["viewer"] = {"ae_title": "VIEWER", "may": ["move", "get"]}
    peers["other"] = {"ae_title": "OTHER", "may": ["get"]}
    rules = {
        "peers": peers,
        "routes": [],
        "unmatched": "hold",
        "query_retrieve": {
            "sources": ["local", "source"],
            "move_destinations": {"EVERY": ["changed", "plain", "implicit", "converted"]},
            "move_originator": "THEGATE",
            "coercions": [
                {
                    "to": ["changed", "viewer"],
                    "when": {"modality": ["CT"]},
                    "then": [{"set": {"InstitutionName": "North"}}, {"remove": ["PatientName"]}],
                },
                {"to": ["changed"], "when": {"modality": ["MR"]}, "then": [{"set": {"InstitutionName": "Never"}}]},
            ],
        },
    }
    gateway = GatewayProcess(folder / "gateway", rules)

    async def begin() -> None:
        files = write_study(folder / "files")
        for each in (changed, plain, implicit, converted, source, gateway):
            await each.start()
        await give(source, files[2])
        sent = await storescu(gateway.port, files[1])
        assert sent.returncode == 0, sent.output
        sent = await storescu(gateway.port, [compressed(files[1][0])], options=("-xr",))
        assert sent.returncode == 0, sent.output

    with contextlib.ExitStack() as stack:
        for each in (changed, plain, implicit, converted, source, gateway):
            stack.callback(each.stop)
        asyncio.run(begin())
        yield Site(gateway, changed, plain, implicit, converted)


def received(peer: StoreSCP | StockSCP) -> dict[str, Dataset]:
    """By SOP Instance UID; then it is forgotten."""
    found: dict[str, Dataset] = {}
    for path in peer.files():
        dataset = dcmread(path)
        found[str(dataset.SOPInstanceUID)] = dataset
        path.unlink()
    return found


async def test_each_destination_gets_its_own_form(site: Site) -> None:
    moved = await movescu(site.gateway.port, "study", WHOLE_STUDY, destination="EVERY")

    here = all_uids([1, 2])
    changed, plain = received(site.changed), received(site.plain)
    implicit, converted = received(site.implicit), received(site.converted)
    assert changed.keys() == plain.keys() == converted.keys() == here | {instance_uid(9, 1)}
    assert implicit.keys() == here  # nothing converts what is compressed for it
    assert moved.status == 0xB000
    assert moved.counters == (43, 1, 0)
    assert {(str(one.get("InstitutionName")), "PatientName" in one) for one in changed.values()} == {("North", False)}
    assert {("InstitutionName" in one, str(one.PatientName)) for one in plain.values()} == {(False, "Spread^Study")}
    syntax = {uid: one.file_meta.TransferSyntaxUID for uid, one in plain.items()}
    assert syntax.pop(instance_uid(9, 1)) == RLELossless
    assert set(syntax.values()) == {ExplicitVRLittleEndian}
    assert {one.file_meta.TransferSyntaxUID for one in converted.values()} == {ImplicitVRLittleEndian}
    pixels = converted[instance_uid(9, 1)].PixelData
    assert pixels == converted[instance_uid(1, 1)].PixelData == bytes([1, 1]) * 1000


async def test_what_a_get_brings_is_changed_for_the_requestor_alone(site: Site, tmp_path: Path) -> None:
    for calling, expected in (("VIEWER", "North"), ("OTHER", "None")):
        got = await getscu(site.gateway.port, "study", FIRST_SERIES, tmp_path / calling, calling=calling)
        assert got.is_success, got.log
        found = [dcmread(path) for path in (tmp_path / calling).iterdir()]
        assert {str(one.SOPInstanceUID) for one in found} == all_uids([1])
        assert {str(one.get("InstitutionName")) for one in found} == {expected}


async def test_what_is_kept_here_stays_as_it_is(site: Site) -> None:
    await movescu(site.gateway.port, "study", FIRST_SERIES, destination="CHANGED")
    await movescu(site.gateway.port, "study", FIRST_SERIES, destination="PLAIN")

    assert {str(one.get("InstitutionName")) for one in received(site.changed).values()} == {"North"}
    assert {str(one.get("InstitutionName")) for one in received(site.plain).values()} == {"None"}
