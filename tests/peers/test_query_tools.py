"""dcmtk's findscu, movescu and getscu, and stock pynetdicom as requestor, against our server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt

from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.dimse.query_rig import STUDY_FIND, STUDY_GET, STUDY_MOVE, encoded, image, match, serving, uid
from tests.support.peers import StoreSCP, run
from tests.support.processes import program

MODELS = {"patient root": "-P", "study root": "-S", "patient/study only": "-O"}
KEYS = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]


def find(event: Any) -> Iterator[Any]:
    for number in range(3):
        found = match(number)
        found.PatientID = f"P{number}"
        yield 0xFF00, found


@pytest.mark.parametrize("model", [*MODELS, "worklist"])
async def test_findscu(model: str) -> None:
    async with serving(find=find) as port:
        option = MODELS.get(model, "-W")
        finished = await run([program("findscu"), "-v", option, *KEYS, "-aec", "GATEWAY", "127.0.0.1", str(port)])
    assert finished.returncode == 0, finished.output
    for number in range(3):
        assert f"[P{number}" in finished.output
    assert finished.output.count("(Pending)") == 3


@pytest.mark.parametrize("option", MODELS.values(), ids=MODELS)
async def test_movescu(option: str, tmp_path: Path) -> None:
    async with StoreSCP(tmp_path / "scp") as there:

        def move(event: Any) -> Iterator[Any]:
            assert event.move_destination == "WS1"
            yield "127.0.0.1", there.port
            yield 4
            yield 0xFF00, image(1)
            yield 0xFF00, image(2)
            yield 0xFF00, encoded(3)
            yield 0xFF00, encoded(4, 3_000_000)

        async with serving(move=move) as port:
            arguments = [*KEYS[:3], "StudyInstanceUID=1.2", "-aem", "WS1", "-aec", "GATEWAY", "127.0.0.1", str(port)]
            finished = await run([program("movescu"), "-d", option, *arguments])
        assert finished.returncode == 0, finished.output
        assert "Completed Suboperations       : 4" in finished.output
        files = await there.received(4)
    assert sorted(str(dcmread(path).SOPInstanceUID) for path in files) == [uid(number) for number in range(1, 5)]


@pytest.mark.parametrize("option", MODELS.values(), ids=MODELS)
async def test_getscu(option: str, tmp_path: Path) -> None:
    def get(event: Any) -> Iterator[Any]:
        yield 3
        yield 0xFF00, image(1)
        yield 0xFF00, encoded(2)
        yield 0xFF00, encoded(3, 3_000_000)

    async with serving(get=get, store=lambda event: 0x0110) as port:
        arguments = [*KEYS[:3], "StudyInstanceUID=1.2", "-aec", "GATEWAY", "127.0.0.1", str(port)]
        finished = await run([program("getscu"), "-d", option, "-od", str(tmp_path), *arguments])
    assert finished.returncode == 0, finished.output
    stored = {str(dcmread(path).SOPInstanceUID): path for path in tmp_path.iterdir()}
    assert sorted(stored) == [uid(number) for number in range(1, 4)]
    assert "Completed Suboperations       : 3" in finished.output


async def test_findscu_cancels() -> None:
    """`--cancel 2`: after two responses."""

    def endless(event: Any) -> Iterator[Any]:
        while not event.is_cancelled:
            yield 0xFF00, match(1)
        yield 0xFE00, None

    async with serving(find=endless) as port:
        arguments = ["--cancel", "2", *KEYS, "-aec", "GATEWAY", "127.0.0.1", str(port)]
        finished = await run([program("findscu"), "-v", "-S", *arguments])
    assert "Cancel" in finished.output
    assert finished.returncode == 0, finished.output


async def test_stock_pynetdicom_asks(tmp_path: Path) -> None:
    async with StoreSCP(tmp_path / "scp") as there:

        def move(event: Any) -> Iterator[Any]:
            yield "127.0.0.1", there.port
            yield 2
            yield 0xFF00, image(1)
            yield 0xFF00, "no instance"

        def get(event: Any) -> Iterator[Any]:
            yield 2
            yield 0xFF00, image(3)
            yield 0xFF00, encoded(4)

        async with serving(find=find, move=move, get=get) as port:
            found, moved, got, stored = await asyncio.to_thread(_ask_all, port)
        await there.received(1)
    assert [status.Status for status, _ in found] == [0xFF00] * 3 + [0]
    assert [identifier.PatientID for _, identifier in found[:3]] == ["P0", "P1", "P2"]
    assert moved[-1][0].Status == 0xB000
    assert moved[-1][0].NumberOfCompletedSuboperations == 1
    assert moved[-1][0].NumberOfFailedSuboperations == 1
    assert got[-1][0].Status == 0
    assert got[-1][0].NumberOfCompletedSuboperations == 2
    assert stored == [data_set(uid(3)), data_set(uid(4))]


def _ask_all(port: int) -> tuple[list[Any], list[Any], list[Any], list[bytes]]:
    stored: list[bytes] = []

    def store(event: Any) -> int:
        stored.append(event.encoded_dataset(include_meta=False))
        return 0

    ae = AE("STOCK")
    contexts = [build_context(uid, EXPLICIT) for uid in (STUDY_FIND, STUDY_MOVE, STUDY_GET, MR)]
    association = ae.associate(
        "127.0.0.1",
        port,
        contexts,
        ae_title="GATEWAY",
        ext_neg=[build_role(MR, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    assert association.is_established
    key = Dataset()
    key.QueryRetrieveLevel = "STUDY"
    key.StudyInstanceUID = "1.2"
    found = list(association.send_c_find(key, STUDY_FIND))
    moved = list(association.send_c_move(key, "WS1", STUDY_MOVE))
    got = list(association.send_c_get(key, STUDY_GET))
    association.release()
    return found, moved, got, stored
