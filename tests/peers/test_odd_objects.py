"""Objects of odd length, and objects that a peer cannot read, on their way to real storage SCPs."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.delivery.suspects import MOST_TRIES
from gateway.model.delivery import DeliveryState
from tests.peers.test_delivery_peers import delivering, peer
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.load.raw_store import store
from tests.support.load.sink import Sink
from tests.support.odd_objects import OddObject, odd_objects
from tests.support.peers import GatewayProcess, Orthanc, StockSCP, StoreSCP, read_part10, stored
from tests.support.processes import run

pytestmark = pytest.mark.peers

RESPONSE_S = 60.0
DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
OBJECTS = {one.name: one for one in odd_objects()}
ODD = [one for one in OBJECTS.values() if len(one.data) % 2]
RECEIVERS: dict[str, Callable[[Path], StoreSCP | StockSCP | Orthanc]] = {
    "storescp": lambda folder: StoreSCP(folder, bit_preserving=False),
    "storescp, bit by bit": StoreSCP,
    "pynetdicom": StockSCP,
    "Orthanc": Orthanc,
}


def add(journal: MemoryJournal, one: OddObject) -> int:
    return journal.add(
        data=one.data,
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
    )


@pytest.mark.parametrize("name", RECEIVERS)
async def test_odd_lengths_arrive_with_a_zero_behind_them(name: str, tmp_path: Path) -> None:
    journal = MemoryJournal()
    assert len(ODD) == 4
    async with RECEIVERS[name](tmp_path / "scp") as there:
        for one in ODD:
            add(journal, one)
        async with delivering(journal, peer("pacs", there.port, ae_title=there.ae_title)):
            await journal.until_all(DELIVERED)
        if isinstance(there, Orthanc):
            assert len(await there.instances()) == len(ODD)
            return
        found = {part.sop_instance_uid: part.data_set for part in map(read_part10, stored(there.folder))}
    assert found.keys() == {one.sop_instance_uid for one in ODD}
    if name in ("storescp, bit by bit", "pynetdicom"):
        assert found == {one.sop_instance_uid: one.data + b"\0" for one in ODD}


async def test_an_object_that_storescp_hangs_up_over_is_set_aside_and_the_others_arrive(tmp_path: Path) -> None:
    journal = MemoryJournal()
    good = [one for one in OBJECTS.values() if one.name.startswith("VR of two spaces")]
    async with StoreSCP(tmp_path / "scp", bit_preserving=False) as there:
        bad = add(journal, OBJECTS["text in a sequence (implicit)"])
        with capture_logs() as logs:
            async with delivering(journal, peer("pacs", there.port, ae_title=there.ae_title)) as service:
                for tries in range(1, MOST_TRIES):
                    await journal.until(lambda tries=tries: journal.rows[bad].attempts >= tries)  # type: ignore[misc]
                    add(journal, good[tries])
                    await journal.until(lambda: all(row.state is DELIVERED for row in list(journal.rows.values())[1:]))
                await journal.until(lambda: journal.rows[bad].state is not PENDING)
                (status,) = service.status()
        assert status.is_up
        assert len(stored(there.folder)) == MOST_TRIES - 1
    assert journal.rows[bad].state is DEAD
    assert journal.rows[bad].reason.startswith("set aside after")
    assert "destination_failed" not in [line["event"] for line in logs]


async def test_what_nobody_can_read_is_held_and_goes_out_as_it_came_when_it_is_released(tmp_path: Path) -> None:
    cut = OBJECTS["nothing odd"].data[:-4]
    one = OBJECTS["nothing odd"]
    names = (one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid)
    async with Sink(tmp_path / "sink.log", digest=True) as sink:
        to = {"ae_title": sink.ae_title, "address": f"127.0.0.1:{sink.port}"}
        rules = {
            "peers": {"sink": to},
            "routes": [{"name": "all", "to": ["sink"]}],
            "unmatched": "reject",
            "unreadable": "hold",
            "query_retrieve": {"sources": ["local"]},
        }
        async with GatewayProcess(tmp_path / "gateway", rules) as gateway:
            status = await asyncio.to_thread(
                store, gateway.port, *names, cut, called=gateway.ae_title, timeout_s=RESPONSE_S
            )
            assert status == 0x0000
            command = [sys.executable, "-m", "gateway", "queue"]
            listed = await run([*command, "list", "--rules", gateway.rules_folder])
            assert "(unreadable)" in listed.output
            released = ["release", "--rule", "(unreadable)", "--to", "sink", "--rules", str(gateway.rules_folder)]
            finished = await run([*command, *released])
            assert "1 delivery released" in finished.output
            await sink.received(1)
            objects: dict[str, list[str]] = sink.ask("objects")["objects"]
    assert objects == {one.sop_instance_uid: [hashlib.sha256(cut).hexdigest()]}
