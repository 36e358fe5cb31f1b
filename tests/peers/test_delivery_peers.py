"""Couriers against real storage SCPs: dcmtk's storescp and stock pynetdicom."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.delivery.service import DeliveryService
from gateway.destinations.opening import open_destination
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.requestor_association import associate
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.delivery import DeliveryState
from gateway.model.listener import Timers
from gateway.model.peer import Peer, Retry
from gateway.ports.meter import NoMeter
from tests.support.dimse.acceptor_rig import accept, acceptor, read_message, response
from tests.support.dimse.rig import Peer as Bytes
from tests.support.dimse.rig import message
from tests.support.fakes.delivery import reload, table
from tests.support.fakes.memory_journal import CT, EXPLICIT, IMPLICIT, MR, MemoryJournal, real_clock
from tests.support.peers import Orthanc, StockSCP, StoreSCP, free_port, read_part10

pytestmark = pytest.mark.peers

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
SOON = Retry(first_delay_s=0.1, factor=1.0, max_delay_s=0.1, jitter=0.0)
QUICK = Timers(connect_s=1.0, association_s=1.0, dimse_s=1.0)
JPEG = "1.2.840.10008.1.2.4.70"


def peer(name: str, port: int, **settings: Any) -> Peer:
    defaults: dict[str, Any] = {"ae_title": name.upper(), "host": "127.0.0.1", "associations": 1, "retry": SOON}
    return Peer(name, port=port, **{**defaults, **settings})


@asynccontextmanager
async def delivering(journal: MemoryJournal, *peers: Peer) -> AsyncIterator[DeliveryService]:
    service = DeliveryService(
        journal=journal,
        open_destination=lambda peer: open_destination(peer, AssociationPool("GATEWAY"), NoMeter()),
        meter=NoMeter(),
        now=real_clock,
        random=Random(1),
    )
    await service.start(table(*peers))
    try:
        yield service
    finally:
        await service.drain(5.0)


def data_set(sop_class_uid: str, sop_instance_uid: str, size_bytes: int = 500) -> bytes:
    """Explicit VR little endian: the two UIDs and pixel data."""

    def padded(value: bytes) -> bytes:
        return value + b"\0" * (len(value) % 2)

    def element(head: bytes, value: bytes) -> bytes:
        return head + len(value).to_bytes(2, "little") + value

    pixels = size_bytes.to_bytes(4, "little") + bytes(size_bytes)
    return (
        element(b"\x08\x00\x16\x00UI", padded(sop_class_uid.encode()))
        + element(b"\x08\x00\x18\x00UI", padded(sop_instance_uid.encode()))
        + b"\xe0\x7f\x10\x00OW\0\0"
        + pixels
    )


def fill(journal: MemoryJournal, destination: str, count: int, sop_class_uid: str = CT) -> list[str]:
    """Objects of one class in explicit VR little endian; their UIDs."""
    uids = []
    for number in range(count):
        uid = f"1.2.826.{len(journal.rows)}.{number}"
        journal.add(destination, sop_instance_uid=uid, sop_class_uid=sop_class_uid, data=data_set(sop_class_uid, uid))
        uids.append(uid)
    return uids


def in_order(files: Sequence[Path]) -> list[str]:
    """SOP Instance UIDs as stock pynetdicom got them."""
    numbered = sorted((int(path.name.split(".")[-2]), path) for path in files)
    return [path.name.rsplit(".", 2)[0] for _, path in numbered]


async def test_objects_arrive_in_order_over_one_association(stock_scp: StockSCP) -> None:
    journal = MemoryJournal()
    uids = fill(journal, "stock", 40)
    async with delivering(journal, peer("stock", stock_scp.port)):
        await journal.until_all(DELIVERED, "stock")
    assert in_order(stock_scp.files()) == uids


@pytest.mark.parametrize("made", [StoreSCP, StockSCP, Orthanc])
async def test_a_peer_that_grants_no_window_gets_one_object_after_the_other(
    made: Callable[[Path], Any], running: AsyncExitStack, tmp_path: Path
) -> None:
    """dcmtk and Orthanc do not answer the question, stock pynetdicom neither without a handler for it."""
    there = await running.enter_async_context(made(tmp_path / "scp"))
    asking = peer("scp", there.port, associate=AssociateKeywords(async_operations=(8, 1)))
    association = await associate(asking, own_ae_title="GATEWAY", contexts=(ProposedContext(CT, (EXPLICIT,)),))
    assert association.window == 1
    statuses = [
        await association.c_store(
            sop_class_uid=CT,
            sop_instance_uid=uid,
            transfer_syntax_uid=EXPLICIT,
            body=MemoryDataSet(data_set(CT, uid)),
        )
        for uid in ("1.2.3.1", "1.2.3.2")
    ]
    assert len(statuses) == 2, "and answers each"
    await association.release()


async def test_objects_arrive_in_order_where_a_window_was_asked_for_in_vain(stock_scp: StockSCP) -> None:
    journal = MemoryJournal()
    uids = fill(journal, "stock", 40)
    associate_with = AssociateKeywords(async_operations=(8, 1))
    async with delivering(journal, peer("stock", stock_scp.port, associate=associate_with)):
        await journal.until_all(DELIVERED, "stock")
    assert in_order(stock_scp.files()) == uids


async def test_every_kind_of_real_object_arrives_byte_for_byte(storescp: StoreSCP, corpus: tuple[Path, ...]) -> None:
    journal, expected = MemoryJournal(), Counter[str]()
    for number, path in enumerate(corpus):
        if path.stat().st_size > 300_000 or len(expected) == 60:
            continue
        try:
            part = read_part10(path)
        except ValueError:
            continue
        if len(part.sop_instance_uid) > 64 or not part.sop_class_uid or len(part.data_set) % 2:
            continue
        uid = f"1.2.826.0.{number}"  # some of these files share theirs
        journal.add(
            "storescp",
            sop_class_uid=part.sop_class_uid,
            transfer_syntax_uid=part.transfer_syntax_uid,
            sop_instance_uid=uid,
            data=part.data_set,
        )
        expected[hashlib.sha256(part.data_set).hexdigest()] += 1
    async with delivering(journal, peer("storescp", storescp.port, associations=2)):
        await journal.until(lambda: PENDING not in journal.states("storescp"), 60.0)
    kinds = {(row.instance.sop_class_uid, row.instance.transfer_syntax_uid) for row in journal.rows.values()}
    assert len(kinds) > 15
    refused = [row for row in journal.rows.values() if row.state is DEAD]
    assert all("accepted no presentation context" in row.reason for row in refused), refused
    assert len(refused) < 5
    for row in refused:  # private or retired classes that dcmtk does not know
        expected[hashlib.sha256(journal.payloads[row.instance.payload.name]).hexdigest()] -= 1
    arrived = Counter(hashlib.sha256(read_part10(path).data_set).hexdigest() for path in storescp.files())
    assert arrived == +expected


async def test_what_waited_is_sent_when_the_peer_comes_back(tmp_path: Path, running: AsyncExitStack) -> None:
    journal, port = MemoryJournal(), free_port()
    fill(journal, "storescp", 30)
    async with delivering(journal, peer("storescp", port, associations=3)):
        await journal.until(lambda: journal.rows[1].attempts >= 2)
        assert [row.attempts for row in journal.rows.values()][1:] == [0] * 29
        assert "cannot be reached" in journal.rows[1].reason
        scp = await running.enter_async_context(StoreSCP(tmp_path / "scp", port=port))
        await journal.until_all(DELIVERED, "storescp")
    assert len(scp.files()) == 30


async def test_what_was_cut_off_is_sent_again(tmp_path: Path, running: AsyncExitStack) -> None:
    journal = MemoryJournal()
    scp = await running.enter_async_context(StockSCP(tmp_path / "scp", delay_s=0.02))
    uids = fill(journal, "stock", 60)
    async with delivering(journal, peer("stock", scp.port)):
        await scp.received(5)
        scp.kill()
        await scp.wait()
        await running.enter_async_context(StockSCP(tmp_path / "again", port=scp.port))
        await journal.until_all(DELIVERED, "stock")
    arrived = in_order(scp.files()) + in_order(list((tmp_path / "again").iterdir()))
    assert set(arrived) == set(uids)
    assert len(arrived) <= len(uids) + 1  # only what was in hand may come twice


async def test_one_dead_peer_of_each_kind_holds_up_nobody_else(
    tmp_path: Path, storescp: StoreSCP, running: AsyncExitStack
) -> None:
    black_hole = running.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))  # connects, never answers
    silent = await running.enter_async_context(StockSCP(tmp_path / "silent", delay_s=600.0))
    ports = {
        "refusing": free_port(),
        "black_hole": black_hole.getsockname()[1],
        "silent": silent.port,
    }
    journal = MemoryJournal()
    for name in ports:
        fill(journal, name, 100)
    fill(journal, "storescp", 200)

    def attempts(name: str) -> int:
        return sum(row.attempts for row in journal.rows.values() if row.destination == name)

    once = Retry(first_delay_s=3600.0, jitter=0.0)  # however long the others take
    dead = [peer(name, port, associations=4, timers=QUICK, retry=once) for name, port in ports.items()]
    async with delivering(journal, *dead, peer("storescp", storescp.port)) as service:
        await journal.until_all(DELIVERED, "storescp")
        await journal.until(lambda: all(attempts(name) for name in ports))
        for name in ports:
            assert set(journal.states(name)) == {PENDING}
            assert attempts(name) <= 4, name  # one over each association
        assert [status.is_up for status in service.status()] == [False, False, False, True]
    assert len(storescp.files()) == 200
    assert journal.leased() == []


@pytest.mark.parametrize(
    ("status", "state"),
    [(0x0122, DEAD), (0xA900, DEAD), (0xC001, DEAD), (0xB000, DELIVERED), (0xB007, DELIVERED)],
    ids=lambda value: f"0x{value:04X}" if isinstance(value, int) else value.value,
)
async def test_the_peers_status_decides(tmp_path: Path, status: int, state: DeliveryState) -> None:
    journal = MemoryJournal()
    fill(journal, "stock", 3)
    async with StockSCP(tmp_path / "scp", status=status) as scp, delivering(journal, peer("stock", scp.port)):
        await journal.until_all(state, "stock")
    assert {entry.status for entry in journal.settlements} == {status}


async def test_out_of_resources_is_tried_again(tmp_path: Path) -> None:
    journal, port = MemoryJournal(), free_port()
    fill(journal, "stock", 5)
    async with delivering(journal, peer("stock", port)):
        async with StockSCP(tmp_path / "full", port=port, status=0xA700):
            await journal.until(lambda: "0xA700" in journal.rows[1].reason)
        async with StockSCP(tmp_path / "empty", port=port):
            await journal.until_all(DELIVERED, "stock")


async def test_a_class_that_the_peer_does_not_take_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    journal = MemoryJournal()
    fill(journal, "stock", 3, MR)
    fill(journal, "stock", 3, CT)
    fill(journal, "stock", 3, MR)
    async with StockSCP(tmp_path / "scp", only=[CT]) as scp, delivering(journal, peer("stock", scp.port)):
        await journal.until(lambda: PENDING not in journal.states("stock"))
    assert journal.states("stock") == [DEAD] * 3 + [DELIVERED] * 3 + [DEAD] * 3
    assert "MR Image Storage" in journal.rows[1].reason
    assert "Explicit VR Little Endian" in journal.rows[1].reason


async def test_more_than_128_contexts_are_split(stock_scp: StockSCP) -> None:
    journal = MemoryJournal()
    for number in range(300):
        sop_class, uid = f"1.2.826.0.1.3680043.{number}", f"1.2.3.{number}"
        journal.add("stock", sop_class_uid=sop_class, sop_instance_uid=uid, data=data_set(sop_class, uid))
    async with delivering(journal, peer("stock", stock_scp.port)):
        await journal.until_all(DELIVERED, "stock")
    assert len(stock_scp.files()) == 300


async def test_configured_contexts_are_all_that_is_proposed(stock_scp: StockSCP) -> None:
    journal = MemoryJournal()
    for sop_class, syntax in ((CT, EXPLICIT), (CT, IMPLICIT), (MR, IMPLICIT)):
        uid = f"1.2.3.{len(journal.rows)}"
        journal.add(
            "stock",
            sop_class_uid=sop_class,
            transfer_syntax_uid=syntax,
            sop_instance_uid=uid,
            data=data_set(sop_class, uid),
        )
    narrowed = AssociateKeywords(contexts=(ProposedContext(CT, (JPEG,)), ProposedContext(CT, (EXPLICIT,))))
    async with delivering(journal, peer("stock", stock_scp.port, associate=narrowed)):
        await journal.until(lambda: PENDING not in journal.states("stock"))
    assert journal.states("stock") == [DELIVERED, DELIVERED, DEAD]  # the second one in explicit VR
    assert "is not among the peer's configured contexts" in journal.rows[3].reason


async def test_a_peer_that_rejects_for_good_keeps_everything_pending(tmp_path: Path) -> None:
    journal = MemoryJournal()
    fill(journal, "storescp", 5)
    async with (
        StoreSCP(tmp_path / "scp", options=["--refuse"]) as scp,
        delivering(journal, peer("storescp", scp.port)),
    ):
        await journal.until(lambda: journal.rows[1].attempts >= 2)
        assert set(journal.states("storescp")) == {PENDING}
        assert "reject" in journal.rows[1].reason


async def test_a_peer_that_moves_while_we_send_gets_every_object_once(tmp_path: Path, running: AsyncExitStack) -> None:
    journal = MemoryJournal()
    fill(journal, "storescp", 300)
    scps = [await running.enter_async_context(StoreSCP(tmp_path / name)) for name in ("old", "new")]
    async with delivering(journal, peer("storescp", scps[0].port, associations=2)) as service:
        await scps[0].received(20)
        for turn in range(1, 12):
            await reload(service, table(peer("storescp", scps[turn % 2].port, associations=1 + turn % 3)))
            await asyncio.sleep(0.02)
        await journal.until_all(DELIVERED, "storescp")
    counts = [len(scp.files()) for scp in scps]
    assert sum(counts) == 300
    assert all(counts)
    assert {row.attempts for row in journal.rows.values()} == {1}


async def test_mending_the_address_repairs_what_was_stuck(storescp: StoreSCP) -> None:
    journal = MemoryJournal()
    fill(journal, "storescp", 10)
    patient = Retry(first_delay_s=600.0)
    async with delivering(journal, peer("storescp", free_port(), retry=patient)) as service:
        await journal.until(lambda: journal.rows[1].attempts == 1)
        await reload(service, table(peer("storescp", storescp.port, retry=patient)))
        await journal.until_all(DELIVERED, "storescp")
    assert len(storescp.files()) == 10


async def test_a_peer_that_closes_the_connection_after_each_object() -> None:
    """Whether we notice before or after the next object has left: it goes at once over a new association."""

    async def one_object_then_close(other: Bytes) -> None:
        await accept(other)
        command, _, _ = await read_message(other)
        other.send(message(1, response(command, AffectedSOPInstanceUID=command["AffectedSOPInstanceUID"])))
        await other.writer.drain()

    journal = MemoryJournal()
    fill(journal, "closing", 25)
    never = Retry(first_delay_s=3600.0)
    async with acceptor(one_object_then_close) as there:
        settings = replace(there, name="closing", associations=1, retry=never)
        async with delivering(journal, settings):
            await journal.until_all(DELIVERED, "closing")
    assert {row.attempts for row in journal.rows.values()} == {1}


async def test_an_answer_that_cannot_be_read_is_reported_and_tried_again() -> None:
    """First an A-ASSOCIATE-AC that is cut off, then a good one."""
    answers = 0

    async def cut_first(other: Bytes) -> None:
        nonlocal answers
        answers += 1
        if answers == 1:
            await other.pdu()
            other.send(b"\x02\x00" + (80).to_bytes(4, "big") + b"\x00\x01" + bytes(66) + b"\x21\x00\x00\xff" + bytes(8))
            assert (await other.pdu())[:1] == b"\x07"
            return
        await accept(other)
        while True:
            command, _, _ = await read_message(other)
            other.send(message(1, response(command, AffectedSOPInstanceUID=command["AffectedSOPInstanceUID"])))
            if command["AffectedSOPInstanceUID"] == last:
                return

    journal = MemoryJournal()
    last = fill(journal, "odd", 3)[-1]
    slow = Retry(first_delay_s=3600.0)
    async with acceptor(cut_first) as there:
        settings = replace(there, name="odd", associations=1, retry=slow)
        async with delivering(journal, settings) as service:
            await journal.until(lambda: journal.rows[1].attempts == 1)
            assert set(journal.states("odd")) == {PENDING}
            (status,) = service.status()
            assert "malformed A-ASSOCIATE-AC: item 0x21 of 255 bytes reaches beyond the PDU" in status.reason
            assert "malformed A-ASSOCIATE-AC" in journal.rows[1].reason
            await reload(service, table(settings))
            await journal.until_all(DELIVERED, "odd")
