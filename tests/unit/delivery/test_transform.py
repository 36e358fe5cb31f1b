"""Actions on a copy, or the stored bytes as they are."""

import hashlib
import os
import struct
from pathlib import Path

import pytest

from gateway.delivery.transform import outbound_for
from gateway.model.delivery import Delivery
from gateway.ports.errors import ConfigurationError, PayloadLost, Refusal, Unreadable
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.stored_actions import canonical_json
from gateway.spool.body import FileDataSet
from gateway.spool.pieces import EditedDataSet
from tests.support.fakes.memory_journal import CT, IMPLICIT, Body, MemoryJournal


def element(tag: int, value: bytes) -> bytes:
    """Implicit VR little endian."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


DATA = (
    element(0x00080016, CT.encode())
    + element(0x00080018, b"1.2.3.1")
    + element(0x00080080, b"North ")
    + element(0x00100020, b"P1")
    + element(0x0020000D, b"1.2")
)


def delivery(*actions: dict[str, object], data: bytes = DATA) -> tuple[Delivery, Body]:
    journal = MemoryJournal()
    number = journal.add(
        data=data, transfer_syntax_uid=IMPLICIT, actions_json=canonical_json(list(actions)) if actions else ""
    )
    return journal.rows[number], Body(data)


async def test_without_actions_the_body_is_the_stored_one_and_is_not_even_read() -> None:
    row, body = delivery(data=b"no data set at all")
    outbound = await outbound_for(row, body)
    assert outbound.body is body
    assert (outbound.sop_class_uid, outbound.sop_instance_uid) == (CT, "1.2.3.1")
    with pytest.raises(Unreadable):
        outbound.facts.values(parse("PatientID"))  # only who asks for a value reads it


async def test_actions_change_a_copy() -> None:
    row, body = delivery({"set": {"InstitutionName": "South {{ association.calling_ae_title }}"}})
    outbound = await outbound_for(row, body)
    assert bytes(outbound.body.view()) == DATA.replace(
        element(0x00080080, b"North "), element(0x00080080, b"South CT1 ")
    )
    assert body.data == DATA
    assert outbound.facts.values(parse("InstitutionName")) == ("South CT1",)
    assert outbound.facts.values(parse("PatientID")) == ("P1",)
    assert outbound.body.length_bytes == outbound.facts.length_bytes == len(bytes(outbound.body.view()))


async def test_a_changed_sop_instance_uid_is_the_one_that_is_sent() -> None:
    row, body = delivery({"set": {"SOPInstanceUID": "1.2.999"}})
    outbound = await outbound_for(row, body)
    assert outbound.sop_instance_uid == outbound.facts.sop_instance_uid == "1.2.999"
    assert outbound.facts.values(parse("SOPInstanceUID")) == ("1.2.999",)


async def test_facts_after_edits_are_known_without_joining_the_new_data_set() -> None:
    row, body = delivery(
        {"set": {"PatientID": "P2"}}, {"remove": ["InstitutionName"]}, {"set_if_missing": {"PatientName": "A"}}
    )
    outbound = await outbound_for(row, body)
    asked = ("PatientID", "InstitutionName", "PatientName", "StudyInstanceUID", "SeriesInstanceUID")
    assert [outbound.facts.values(parse(keyword)) for keyword in asked] == [("P2",), None, ("A",), ("1.2",), None]


async def test_a_file_whose_bytes_changed_on_disk_is_never_edited_and_sent(tmp_path: Path) -> None:
    row, _ = delivery({"set": {"InstitutionName": "South"}})
    path = tmp_path / "1.payload"
    path.write_bytes(DATA)
    whole = FileDataSet(os.open(path, os.O_RDONLY), 0, len(DATA), path.name, digest=hashlib.sha256(DATA).digest())
    assert (await outbound_for(row, whole)).body.length_bytes == len(DATA)
    path.write_bytes(DATA.replace(b"P1", b"P2"))
    with pytest.raises(PayloadLost, match="the stored bytes are changed"):
        await outbound_for(row, whole)


async def test_actions_that_change_nothing_leave_the_stored_body() -> None:
    row, body = delivery({"set_if_missing": {"PatientID": "X"}}, {"remove": ["PatientName"]})
    outbound = await outbound_for(row, body)
    assert bytes(outbound.body.view()) == DATA


async def test_closing_the_edited_body_closes_the_stored_one() -> None:
    row, body = delivery({"remove": ["PatientID"]})
    outbound = await outbound_for(row, body)
    outbound.body.close()
    assert body.is_closed


async def test_an_object_that_cannot_be_read_is_refused() -> None:
    row, body = delivery({"remove": ["PatientID"]}, data=DATA[:-1])
    with pytest.raises(Refusal):
        await outbound_for(row, body)


async def test_actions_that_are_not_understood_any_more_say_so() -> None:
    journal = MemoryJournal()
    number = journal.add(data=DATA, transfer_syntax_uid=IMPLICIT, actions_json='[{"shred":{}}]')
    with pytest.raises(ConfigurationError, match="not understood"):
        await outbound_for(journal.rows[number], Body(DATA))


SMALL = ((10,), (3, 0, 4), (1, 1, 1, 1), (0,), (), (100, 1, 250))
LARGE = ((700_000, 5, 800_000), (5, 1_048_576, 1), (2_000_000,))


@pytest.mark.parametrize(
    ("lengths", "size_bytes"),
    [
        *((lengths, size_bytes) for lengths in SMALL for size_bytes in (1, 3, 7, 64, 4096)),
        *((lengths, size_bytes) for lengths in LARGE for size_bytes in (1000, 4096, 1_048_576, 5_000_000)),
    ],
)
def test_pieces_come_in_whole_chunks_whatever_their_lengths(lengths: tuple[int, ...], size_bytes: int) -> None:
    pieces = [bytes([index % 251]) * length for index, length in enumerate(lengths)]
    body = EditedDataSet(pieces, Body(b""))
    chunks = [bytes(chunk) for chunk in body.chunks(size_bytes)]
    assert b"".join(chunks) == b"".join(pieces) == bytes(body.view())
    assert all(len(chunk) == size_bytes for chunk in chunks[:-1])
    assert all(chunks)
