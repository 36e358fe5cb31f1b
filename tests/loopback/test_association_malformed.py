"""Command sets with elements that are missing or wrong, and identifiers beyond all sense.

They get a status or an abort, and one line in the log; never a traceback.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from pynetdicom import evt

from gateway.dataset.encoding import deflate
from gateway.dimse.protocol.message import decode, encode
from gateway.query.identifier import MAX_BYTES, MOST_ELEMENTS, MOST_VALUES, excess
from tests.support.dimse.query_rig import EVENTS, FIND_ID, GET_ID, MOVE_ID, MR_ID, Requestor, request
from tests.support.dimse.query_rig import serving as serving_queries
from tests.support.dimse.rig import item, p_data

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
MIB = 1024**2
FIND, MOVE, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3"
MR = "1.2.840.10008.5.1.4.1.1.4"
SERVICES = {
    "C-STORE": (MR_ID, {"AffectedSOPClassUID": MR, "CommandField": 1, "AffectedSOPInstanceUID": "1.2.3"}),
    "C-FIND": (FIND_ID, {"AffectedSOPClassUID": FIND, "CommandField": 0x20}),
    "C-GET": (GET_ID, {"AffectedSOPClassUID": GET, "CommandField": 0x10}),
    "C-MOVE": (MOVE_ID, {"AffectedSOPClassUID": MOVE, "CommandField": 0x21, "MoveDestination": "STORE"}),
}
KEYWORDS = {
    "AffectedSOPClassUID": 0x0002,
    "CommandField": 0x0100,
    "MessageID": 0x0110,
    "MoveDestination": 0x0600,
    "Priority": 0x0700,
    "CommandDataSetType": 0x0800,
    "AffectedSOPInstanceUID": 0x1000,
    "MessageIDBeingRespondedTo": 0x0120,
    "MoveOriginatorMessageID": 0x1031,
    "Status": 0x0900,
}
VALUES = {
    "empty": b"",
    "one byte": b"\x01",
    "zero": b"\0\0",
    "the largest": b"\xff\xff",
    "two values": b"\x01\0\x02\0",
    "text": b"not a number or a UID ",
    "not ASCII": b"\xff\xfe\x80\0",
    "very long": b"1" * 60_000,
    "backslashes": b"\\" * 100,
}
IDENTIFIER = bytes.fromhex("0800520043530600") + b"STUDY "


def with_element(command: bytes, element: int, value: bytes | None) -> bytes:
    """The command set with another value of one element, or without it."""
    parts, position = {}, 0
    while position < len(command):
        _, number, length = struct.unpack_from("<HHL", command, position)
        parts[number] = command[position + 8 : position + 8 + length]
        position += 8 + length
    parts[element] = value if value is not None else b""
    if value is None:
        del parts[element]
    return b"".join(struct.pack("<HHL", 0, number, len(one)) + one for number, one in sorted(parts.items()))


@pytest.fixture(params=list(SERVICES))
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving_queries(store=lambda event: 0x0000, find=found, get=brought, move=moved) as port:
        yield port


def found(event: Any) -> Iterator[Any]:
    """No match."""
    return iter(())


def brought(event: Any) -> Iterator[Any]:
    """No instance."""
    yield 0


def moved(event: Any) -> Iterator[Any]:
    """To a destination that nobody knows."""
    yield None, None


async def outcome(requestor: Requestor, context_id: int, command: bytes) -> str:
    """What the acceptor does with it, and with a data set behind it."""
    requestor.send(p_data(item(context_id, 3, command)))
    has_data_set = decode(command).get("CommandDataSetType", 0x0101) != 0x0101
    if has_data_set:
        requestor.send(p_data(item(context_id, 2, IDENTIFIER)))
    else:
        requestor.send(bytes.fromhex("0500 00000004 00000000"))
    pdu = await requestor.pdu()
    return {4: "status", 6: "released", 7: "abort", -1: "closed"}[pdu[0] if pdu else -1]


@pytest.mark.parametrize("value", [None, *VALUES.values()], ids=["missing", *VALUES.keys()])
async def test_no_element_of_a_command_set_makes_a_traceback(service: str, port: int, value: bytes | None) -> None:
    context_id, command = SERVICES[service]
    whole = encode({**command, "MessageID": 7, "Priority": 0, "CommandDataSetType": 1})
    with structlog.testing.capture_logs() as lines:
        for keyword, element in KEYWORDS.items():
            async with await Requestor.open(port) as requestor:
                if value is None and struct.pack("<HH", 0, element) not in whole:
                    continue
                found = await outcome(requestor, context_id, with_element(whole, element, value))
                assert found in ("status", "abort", "released"), keyword
    errors = [line for line in lines if line["log_level"] in ("error", "critical") or "exc_info" in line]
    assert errors == []
    assert max(len(str(line)) for line in lines) < 2000, "a value from the network is logged in its whole length"


async def test_a_request_without_message_id_is_reported_in_one_line(service: str, port: int) -> None:
    context_id, command = SERVICES[service]
    with structlog.testing.capture_logs() as lines:
        async with await Requestor.open(port) as requestor:
            requestor.send(p_data(item(context_id, 3, encode({**command, "CommandDataSetType": 1}))))
            assert (await requestor.pdu())[:10] == bytes.fromhex("0700 00000004 0000 02 06")
    errors = [line for line in lines if line["event"] == "association_protocol_violated"]
    assert [line["detail"] for line in errors] == ["a request without Message ID"]


async def test_message_id_zero_is_a_message_id(port: int) -> None:
    async with await Requestor.open(port) as requestor:
        requestor.ask("find", 0)
        assert (await requestor.final()).command["MessageIDBeingRespondedTo"] == 0


# --- identifiers ----------------------------------------------------------------------------------------------------


def element(number: int, value: bytes = b"") -> bytes:
    return struct.pack("<HH2sH", 0x0021 + 2 * (number // 0xE000), 0x1000 + number % 0xE000, b"LO", len(value)) + value


def sequence(inner: bytes) -> bytes:
    return struct.pack("<HH2sxxL", 0x0040, 0x0275, b"SQ", len(inner)) + inner


def one_item(inner: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner


MANY = b"".join(map(element, range(MOST_ELEMENTS + 1)))
EXCESSIVE = {
    "elements": IDENTIFIER + MANY,
    "elements of an item": IDENTIFIER + sequence(one_item(MANY)),
    "items": IDENTIFIER + sequence(one_item(b"") * MOST_ELEMENTS),
    "half a million": IDENTIFIER + b"".join(map(element, range(500_000))),
    "values": IDENTIFIER + struct.pack("<HH2sxxL", 0x0020, 0x000D, b"UT", MOST_VALUES + 1) + b"\\" * (MOST_VALUES + 1),
}


@pytest.mark.parametrize("service", EVENTS)
@pytest.mark.parametrize("kind", EXCESSIVE)
async def test_excessive_identifiers_are_refused_undecoded(port: int, service: str, kind: str) -> None:
    async with await Requestor.open(port) as requestor:
        requestor.send(request(service, 1, EXCESSIVE[kind]))
        answer = await requestor.final()
        assert answer.status == 0xC000
        assert answer.command["ErrorComment"].startswith("the identifier has more than ")
        assert len(answer.command["ErrorComment"]) <= 64
        requestor.ask(service, 2)
        assert (await requestor.final()).status in (0x0000, 0xA801)


SENSIBLE = {
    "small": IDENTIFIER,
    "as many elements as are read": IDENTIFIER + b"".join(map(element, range(MOST_ELEMENTS - 1))),
    "a list of 65 535 UIDs": struct.pack("<HH2sxxL", 0x0008, 0x0058, b"UN", 65_535 * 12) + b"1.2.3.4.567\\" * 65_535,
    "bytes that are no elements": b"\xff" * 100,
}


@pytest.mark.parametrize("data", SENSIBLE.values(), ids=SENSIBLE.keys())
def test_what_is_not_excessive(data: bytes) -> None:
    assert excess(data, EXPLICIT) == ""
    assert excess(deflate([data]), DEFLATED) == ""


def test_deflated_identifiers_are_bounded_as_inflated() -> None:
    assert excess(deflate([EXCESSIVE["elements"]]), DEFLATED) == excess(EXCESSIVE["elements"], EXPLICIT) != ""
    assert excess(deflate([bytes(64 * MIB)]), DEFLATED) == f"the identifier inflates to more than {MAX_BYTES} bytes"
    assert excess(bytes(MAX_BYTES + 1), EXPLICIT) == f"the identifier has more than {MAX_BYTES} bytes"


def test_every_handler_has_its_row() -> None:
    assert set(EVENTS.values()) == {evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE}
