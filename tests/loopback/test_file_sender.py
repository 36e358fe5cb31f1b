"""`gateway send`: files go over as many associations as asked for, and each has its result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.dataset.part10 import DicomFile, read_dicom_file
from gateway.model.peer import Peer
from gateway.scu.echo_store import FileSender, SentFile
from tests.support.caller import new_uid, write_file
from tests.support.dimse.query_rig import serving
from tests.support.processes import GUARD_S


def peer_at(port: int) -> Peer:
    return Peer("pacs", "PACS", "127.0.0.1", port)


def files(folder: Path, number: int) -> list[DicomFile]:
    return [read_dicom_file(write_file(folder, new_uid())) for _ in range(number)]


async def send(peer: Peer, chosen: list[DicomFile], associations: int = 1) -> list[SentFile]:
    results: list[SentFile] = []
    async with asyncio.timeout(GUARD_S):
        await FileSender(peer, "SENDER", results.append, associations).send(chosen)
    return results


@asynccontextmanager
async def storing(statuses: dict[str, int], seen: list[Any]) -> AsyncIterator[Peer]:
    """A peer that answers with these statuses, 0x0000 to all others."""

    def store(event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        seen.append((uid, event.assoc))
        return statuses.get(uid, 0x0000)

    async with serving(store=store) as port:
        yield peer_at(port)


@pytest.mark.parametrize("associations", [1, 3])
async def test_each_file_is_sent_once_and_has_its_status(tmp_path: Path, associations: int) -> None:
    chosen = files(tmp_path, 8)
    seen: list[Any] = []
    statuses = {chosen[1].sop_instance_uid: 0xB000, chosen[2].sop_instance_uid: 0xC000}
    async with storing(statuses, seen) as peer:
        results = await send(peer, chosen, associations)
    assert sorted(uid for uid, _ in seen) == sorted(file.sop_instance_uid for file in chosen)
    by_path = {result.path: result for result in results}
    assert len(results) == len(chosen)
    for file in chosen:
        result = by_path[file.path]
        assert result.status == statuses.get(file.sop_instance_uid, 0)
        assert result.size_bytes == file.path.stat().st_size - file.offset_bytes


async def test_a_peer_that_is_not_there_is_tried_once(tmp_path: Path) -> None:
    tries = 0

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        results = await send(peer_at(server.sockets[0].getsockname()[1]), files(tmp_path, 4))
    assert tries == 1
    assert [result.status for result in results] == [None] * 4
    assert all(result.reason for result in results)


async def test_a_lost_association_costs_one_file_and_the_next_goes_over_a_new_one(tmp_path: Path) -> None:
    chosen, lost = files(tmp_path, 3), threading.Event()

    def store(event: Any) -> int:
        if not lost.is_set():
            lost.set()
            event.assoc.abort()
        return 0x0000

    async with serving(store=store) as port:
        results = await send(peer_at(port), chosen)
    assert [result.status for result in results] == [None, 0, 0]


async def test_a_file_that_is_gone_is_no_loss_to_the_others(tmp_path: Path) -> None:
    chosen = files(tmp_path, 2)
    chosen[0].path.unlink()
    async with storing({}, []) as peer:
        results = await send(peer, chosen)
    assert [result.status for result in results] == [None, 0]
    assert "No such file" in results[0].reason
