"""`gateway move` and `gateway get` as people use them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread

from gateway.cli import main
from tests.support.archive import QRSCP
from tests.support.peers import Orthanc, StoreSCP
from tests.support.spread import (
    PATIENT_ID,
    STUDY_UID,
    all_uids,
    give,
    instance_uid,
    orthanc,
    series_uid,
    uids,
    write_study,
)


@dataclass(frozen=True, slots=True)
class Site:
    rules: Path
    archives: dict[str, QRSCP | Orthanc]
    workstation: StoreSCP


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("commands")
    workstation = StoreSCP(folder / "ws1", ae_title="WS1")
    destinations = {"WS1": workstation.port}
    archives: dict[str, QRSCP | Orthanc] = {
        "qrscp": QRSCP(folder / "qrscp", destinations=destinations),
        "orthanc": orthanc(folder / "orthanc", "ORTHANC", destinations),
    }
    rules = folder / "rules.yaml"
    peers = "".join(
        f"  {name}: {{ae_title: {archive.ae_title}, address: '127.0.0.1:{archive.port}'}}\n"
        for name, archive in archives.items()
    )
    rules.write_text(
        "gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}\nunmatched: hold\n"
        f"peers:\n{peers}  gone: {{ae_title: GONE, address: '127.0.0.1:9'}}\n"
    )

    async def begin() -> None:
        await workstation.start()
        files = [path for paths in write_study(folder / "files").values() for path in paths]
        for archive in archives.values():
            await archive.start()
            await give(archive, files)

    with contextlib.ExitStack() as stack:
        for each in (workstation, *archives.values()):
            stack.callback(each.stop)
        asyncio.run(begin())
        yield Site(rules, archives, workstation)


def gateway(site: Site, *words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words), "--rules", str(site.rules)])


@pytest.mark.parametrize("peer", ["qrscp", "orthanc"])
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((f"StudyInstanceUID={STUDY_UID}",), all_uids()),
        ((f"PatientID={PATIENT_ID}",), all_uids()),
        ((f"StudyInstanceUID={STUDY_UID}", f"SeriesInstanceUID={series_uid(2)}"), all_uids([2])),
        (("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY_UID}"), all_uids()),
    ],
    ids=["study", "patient", "series", "a level as a key"],
)
def test_get(site: Site, tmp_path: Path, peer: str, keys: tuple[str, ...], expected: set[str]) -> None:
    done = gateway(site, "get", peer, tmp_path / "got", *keys)

    assert done.exit_code == 0, done.output
    found = {path.name.removesuffix(".dcm"): dcmread(path) for path in (tmp_path / "got").iterdir()}
    assert found.keys() == expected
    assert {str(dataset.SOPInstanceUID) for dataset in found.values()} == expected
    assert done.output == f"{peer}: {len(expected)} objects stored in {tmp_path / 'got'}, 0 failed, 0x0000\n"


def test_the_bytes_are_as_they_were(site: Site, tmp_path: Path) -> None:
    keys = (
        f"StudyInstanceUID={STUDY_UID}",
        f"SeriesInstanceUID={series_uid(1)}",
        f"SOPInstanceUID={instance_uid(1, 2)}",
    )
    assert gateway(site, "get", "orthanc", tmp_path, *keys).exit_code == 0

    dataset = dcmread(tmp_path / f"{instance_uid(1, 2)}.dcm")
    assert dataset.PixelData == bytes([1, 2]) * 1000
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("peer", ["qrscp", "orthanc"])
def test_move(site: Site, peer: str) -> None:
    done = gateway(site, "move", peer, "WS1", f"StudyInstanceUID={STUDY_UID}")

    assert done.exit_code == 0, done.output
    assert done.output == f"{peer}: 20 objects sent, 0 failed, 0x0000\n"
    assert set(uids(site.workstation)) == all_uids()


def test_an_unknown_destination(site: Site) -> None:
    done = gateway(site, "move", "qrscp", "NOBODY", f"StudyInstanceUID={STUDY_UID}")

    assert done.exit_code == 1
    assert done.output.startswith("qrscp: 0 objects sent, 0 failed, 0xA801")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("move", "gone", "WS1", "StudyInstanceUID=1"), 1, "gone at 127.0.0.1:9 cannot be reached"),
        (("move", "qrscp", "WS1", "StudyDate=20260101"), 2, "a retrieve names PatientID"),
        (("move", "qrscp", "WS1", "StudyInstanceUID"), 2, "StudyInstanceUID has no value"),
        (("move", "qrscp", "WS1", "nonsense=1"), 2, "nonsense"),
        (("move", "qrscp", "WS1", "PatientID=1", "--model", "study"), 2, "--model study has no level patient"),
        (("move", "qrscp", "WS1", "PatientID=1", "--level", "series"), 2, "level series needs a KEY of that level"),
        (("move", "qrscp", "WS1"), 2, "Missing argument"),
        (("get", "nobody", "out", "StudyInstanceUID=1"), 2, "no peer 'nobody'"),
    ],
    ids=["gone", "a date", "no value", "nonsense", "model", "level", "no key", "nobody"],
)
def test_mistakes(site: Site, tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    with contextlib.chdir(tmp_path):
        done = gateway(site, *words)

    assert done.exit_code == code
    assert said in done.output
