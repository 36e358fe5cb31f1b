"""P-DATA-TF, cut and put together (PS3.8 §9.3.1, §9.3.5, Annexes D.1 and E)."""

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import P_DATA_TF

from gateway.dimse.protocol.pdata import (
    COMMAND,
    LAST,
    MalformedPData,
    PDUReader,
    WholePDU,
    encode_command,
    encode_data_set,
    fragment_bytes,
    fragments,
    header,
)
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, AbortReason, encode_abort, encode_reject

Piece = tuple[int, int, bytes]


def item(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def p_data(*items: bytes) -> bytes:
    body = b"".join(items)
    return struct.pack(">BxI", 4, len(body)) + body


def as_piece(fragment: Any) -> Piece:
    context_id, control, data = fragment
    return context_id, control, bytes(data)


def read(reader: PDUReader, *chunks: bytes) -> list[object]:
    """Everything that comes out; every chunk is overwritten after it was read, as the receive buffer is."""
    found: list[object] = []
    for chunk in chunks:
        buffer = bytearray(chunk)
        reader.feed(memoryview(buffer))
        while (piece := reader.next()) is not None:
            is_whole = isinstance(piece, WholePDU | MalformedPData)
            found.append(piece if is_whole else as_piece(piece))
        buffer[:] = b"\xee" * len(buffer)
    return found


def joined(found: list[object]) -> list[Piece]:
    """Fragments with the pieces of each put together again."""
    whole: list[Piece] = []
    open_piece = b""
    for piece in found:
        assert isinstance(piece, tuple)
        context_id, control, data = piece
        open_piece += data
        if control & LAST:
            whole.append((context_id, control, open_piece))
            open_piece = b""
    return whole


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", AbortReason.UNRECOGNIZED_PDU),
        (bytes.fromhex("0000 00000000"), AbortReason.UNRECOGNIZED_PDU),
        (bytes.fromhex("0800 00000004 00000000"), AbortReason.UNRECOGNIZED_PDU),
        (bytes.fromhex("1603 01020001"), AbortReason.UNRECOGNIZED_PDU),
        (bytes.fromhex("0100 FFFFFFFF"), AbortReason.INVALID_PARAMETER),
        (bytes.fromhex("0100 00000010"), AbortReason.INVALID_PARAMETER),
        (bytes.fromhex("0500 00000005"), AbortReason.INVALID_PARAMETER),
        (bytes.fromhex("0700 00000000"), AbortReason.INVALID_PARAMETER),
        (bytes.fromhex("0400 FFFFFFFF"), AbortReason.INVALID_PARAMETER),
        (bytes.fromhex("0400 00000000"), AbortReason.INVALID_PARAMETER),
        (bytes.fromhex("0400 00000005"), AbortReason.INVALID_PARAMETER),
        (p_data(bytes.fromhex("00000001 01 03")), AbortReason.INVALID_PARAMETER),
        (p_data(bytes.fromhex("00000000 01 03")), AbortReason.INVALID_PARAMETER),
        (p_data(bytes.fromhex("000000FF 01 03 00")), AbortReason.INVALID_PARAMETER),
        (p_data(item(1, 3, b"ab"), b"\0\0\0"), AbortReason.INVALID_PARAMETER),
    ],
    ids=[
        "HTTP",
        "zeros",
        "PDU type 8",
        "TLS",
        "endless A-ASSOCIATE-RQ",
        "A-ASSOCIATE-RQ too short",
        "A-RELEASE-RQ too long",
        "A-ABORT too short",
        "endless P-DATA-TF",
        "empty P-DATA-TF",
        "P-DATA-TF shorter than an item header",
        "item length 1",
        "item length 0",
        "item beyond its PDU",
        "rest shorter than an item header",
    ],
)
def test_malformed_streams_break_the_reader(stream: bytes, reason: AbortReason) -> None:
    for chunks in ([stream], [bytes([byte]) for byte in stream]):
        reader = PDUReader(16384)
        found = read(reader, *chunks, b"more")
        assert isinstance(found[-1], MalformedPData)
        assert found[-1].reason is reason
        assert reader.is_broken


def test_longer_than_offered_is_taken_up_to_a_bound() -> None:
    assert joined(read(PDUReader(16384), p_data(item(1, LAST, bytes(900_000))))) == [(1, LAST, bytes(900_000))]
    found = read(PDUReader(16384), p_data(item(1, LAST, bytes(1_100_000)))[:6])
    assert isinstance(found[0], MalformedPData)


@pytest.mark.parametrize("pdu", [RELEASE_RQ, RELEASE_RP, encode_abort(2, 1), encode_reject(1, 1, 7)], ids=bytes.hex)
def test_other_pdus_come_out_whole(pdu: bytes) -> None:
    assert read(PDUReader(16384), pdu, *[bytes([byte]) for byte in pdu]) == [WholePDU(pdu[0], pdu)] * 2


def test_mid_pdu_says_what_the_peer_owes() -> None:
    reader, stream = PDUReader(16384), p_data(item(1, COMMAND, b"abcd"))
    for byte in stream[:-1]:
        read(reader, bytes([byte]))
        assert reader.is_mid_pdu
    read(reader, stream[-1:])
    assert not reader.is_mid_pdu


def test_hold_keeps_what_was_not_taken() -> None:
    reader = PDUReader(16384)
    buffer = bytearray(p_data(item(1, LAST, b"one!"), item(3, LAST, b"two!")))
    reader.feed(memoryview(buffer))
    first = reader.next()
    assert first is not None
    assert not isinstance(first, WholePDU | MalformedPData)
    assert bytes(first[2]) == b"one!"
    reader.hold()
    buffer[:] = bytes(len(buffer))
    reader.feed(memoryview(p_data(item(5, LAST, b"more"))))
    assert read(reader, b"") == [(3, LAST, b"two!"), (5, LAST, b"more")]


pieces = st.lists(
    st.tuples(st.sampled_from([1, 3, 255]), st.sampled_from([0, COMMAND]), st.binary(max_size=40)),
    min_size=1,
    max_size=6,
)


@given(messages=pieces, group=st.integers(1, 3), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_split_of_the_stream_gives_the_same_fragments(messages: list[Piece], group: int, cuts: list[int]) -> None:
    items = [item(context_id, kind | LAST, data) for context_id, kind, data in messages]
    stream = b"".join(p_data(*items[start : start + group]) for start in range(0, len(items), group))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found = read(PDUReader(16384), *[stream[a:b] for a, b in itertools.pairwise(edges)])
    assert joined(found) == [(context_id, kind | LAST, data) for context_id, kind, data in messages]


@given(
    data=st.binary(max_size=300),
    chunk=st.integers(1, 128),
    maximum=st.integers(16, 400),
)
def test_what_we_send_fits_the_peers_maximum_and_joins_again(data: bytes, chunk: int, maximum: int) -> None:
    chunks = [data[start : start + chunk] for start in range(0, len(data), chunk)]
    sent = b"".join(fragments(5, 0, chunks, len(data), fragment_bytes(maximum)))
    position = 0
    while position < len(sent):
        length = int.from_bytes(sent[position + 2 : position + 6], "big")
        assert length <= maximum
        P_DATA_TF().decode(sent[position : position + 6 + length])
        position += 6 + length
    found = read(PDUReader(16384), sent)
    assert joined(found) == [(5, LAST, data + b"\0" * (len(data) % 2))]
    assert all(len(piece[2]) % 2 == 0 for piece in found if isinstance(piece, tuple))


def test_a_command_is_never_padded() -> None:
    """Its lengths are ours, and even."""
    assert joined(read(PDUReader(16384), b"".join(fragments(3, COMMAND, [b"123"], 3, 100)))) == [
        (3, COMMAND | LAST, b"123")
    ]


@pytest.mark.parametrize("length", [5, 7], ids=["too long", "too short"])
def test_a_body_of_another_length_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(fragments(1, 0, [b"123456"], length, 100))


def test_a_command_leaves_in_one_pdu_or_in_many() -> None:
    command = bytes(range(100))
    assert encode_command(3, command, 100) == header(3, COMMAND | LAST, 100) + command
    assert joined(read(PDUReader(16384), encode_command(3, command, 10))) == [(3, COMMAND | LAST, command)]


@pytest.mark.parametrize("length", [0, 1, 99, 100, 101])
def test_a_data_set_in_memory_leaves_in_one_pdu_or_in_many(length: int) -> None:
    data = bytes(range(length))
    for largest in (10, 100):
        assert encode_data_set(3, data, largest) == b"".join(fragments(3, 0, (data,), length, largest))
    assert joined(read(PDUReader(16384), encode_data_set(3, data, 10))) == [(3, LAST, data + bytes(length % 2))]
