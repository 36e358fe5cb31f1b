"""The same handler functions on stock pynetdicom and on our runtime give the same on the wire.

Where they differ on purpose, the row says both and why; these are the stock engine's faults, mended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

from gateway.dimse.admission import Admitted
from gateway.dimse.message import CommandField
from gateway.dimse.server import Server
from gateway.model import Listener, Peer
from tests.support.caller import EXPLICIT, MR
from tests.support.processes import free_port
from tests.support.stock import no_delay
from tests.unit.dimse.acceptor_rig import read_message
from tests.unit.dimse.query_rig import (
    EVENTS,
    EVERYTHING,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    Requestor,
    image,
    match,
    storing,
    uid,
)

CONTEXTS = [build_context(MR, EXPLICIT)]
Handler = Callable[..., Any]


@contextlib.asynccontextmanager
async def ours(service: str, handler: Handler, *arguments: Any) -> AsyncIterator[int]:
    """Our server with one handler."""
    server = Server(
        handlers=[(EVENTS[service], handler, list(arguments)), (evt.EVT_C_STORE, lambda event: 0x0110)],
        admission=lambda facts: Admitted(Peer("tester", may=EVERYTHING)),
        ae_title="GATEWAY",
    )
    port = await server.listen(Listener("main", 0, "127.0.0.1"))
    try:
        yield port
    finally:
        server.abort_all()
        await server.drain(5.0)


@contextlib.asynccontextmanager
async def stock(service: str, handler: Handler, *arguments: Any) -> AsyncIterator[int]:
    """pynetdicom's server with the same one."""
    ae = AE("GATEWAY")
    for model in (STUDY_FIND, STUDY_MOVE, STUDY_GET):
        ae.add_supported_context(model, EXPLICIT)
    ae.add_supported_context(MR, EXPLICIT, scu_role=True, scp_role=True)
    port = free_port()
    handlers: Any = [(EVENTS[service], handler, list(arguments)), (evt.EVT_CONN_OPEN, no_delay)]
    server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield port
    finally:
        await asyncio.to_thread(server.shutdown)


class Said(NamedTuple):
    """Everything of one response."""

    elements: dict[str, Any]
    failed_uids: tuple[str, ...] = ()
    identifier: bytes = b""


async def conversation(port: int, service: str) -> list[Said]:
    """All responses to one request. A C-GET's sub-operations are accepted; those of UID 2 are answered 0xA700."""
    found: list[Said] = []
    async with await Requestor.open(port) as peer:
        peer.ask(service, 300)
        while not found or found[-1].elements["Status"] in (0xFF00, 0xFF01):
            command, data, _ = await read_message(peer)
            if command["CommandField"] == CommandField.C_STORE:
                peer.accept_store(command, 0xA700 if command["AffectedSOPInstanceUID"] == uid(2) else 0)
                continue
            for keyword in ("CommandGroupLength", "CommandDataSetType"):
                command.pop(keyword, None)
            found.append(_said(command, data, service))
    return found


def _said(command: dict[str, Any], data: bytes, service: str) -> Said:
    if service == "find":
        return Said(command, (), data)
    if not data:
        return Said(command)
    # an empty list is what the stock engine sends for none
    return Said(command, tuple(_uids(data)))


def _uids(data: bytes) -> list[str]:
    assert data[:6] == bytes.fromhex("080058005549")
    return [text for text in data[8:].rstrip(b"\0").decode().split("\\") if text]


def saying(status: int, **more: Any) -> Dataset:
    dataset = Dataset()
    dataset.Status = status
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def failed(*uids: str) -> Dataset:
    dataset = Dataset()
    dataset.FailedSOPInstanceUIDList = list(uids)
    return dataset


# Handlers of one kind: what they yield after the destination and the number. An exception is raised.
FINDS: dict[str, list[Any]] = {
    "matches": [(0xFF00, match(1)), (0xFF01, match(2))],
    "no match": [],
    "explicit success": [(0xFF00, match(1)), (0x0000, None)],
    "cancel": [(0xFF00, match(1)), (0xFE00, None), (0xFF00, match(2))],
    "out of resources": [(0xA700, None)],
    "identifier does not match": [(0xFF00, match(1)), (0xA900, None)],
    "unable to process": [(0xC001, None)],
    "not supported": [(0x0122, None)],
    "not authorized": [(0x0124, None)],
    "with comment": [(saying(0xA900, ErrorComment="no level", OffendingElement=0x00080052), None)],
    "unknown status": [(0x1234, None)],
    "pending without identifier": [(0xFF00, Dataset())],
    "wrong kind of status": [("text", None)],
    "status without Status": [(Dataset(), None)],
    "breaks": [(0xFF00, match(1)), ValueError("x")],
}

RETRIEVES: dict[str, list[Any]] = {
    "all well": [2, (0xFF00, image(1)), (0xFF00, image(3))],
    "one fails": [3, (0xFF00, image(1)), (0xFF00, image(2)), (0xFF00, image(3))],
    "all fail": [1, (0xFF00, image(2))],
    "none": [0],
    "too many": [65536],
    "number is text": ["x"],
    "breaks at the number": [ValueError("x")],
    "breaks later": [2, (0xFF00, image(1)), ValueError("x")],
    "breaks after a failure": [3, (0xFF00, image(2)), ValueError("x")],
    "cancel": [4, (0xFF00, image(1)), (0xFF00, image(2)), (0xFE00, None)],
    "cancel with list": [4, (0xFF00, image(1)), (0xFE00, failed("1.8", "1.9"))],
    "failure": [3, (0xFF00, image(2)), (0xA701, None)],
    "failure with list": [3, (0xFF00, image(1)), (0xC000, failed("1.8", "1.9"))],
    "failure with comment": [2, (saying(0xA702, ErrorComment="why", OffendingElement=0x00100020), None)],
    "frames": [2, (0xAA03, None)],
    "warning": [3, (0xFF00, image(1)), (0xB000, failed("1.8", "1.9"))],
    "success said": [1, (0xFF00, image(1)), (0x0000, None)],
    "more than announced": [1, (0xFF00, image(1)), (0xFF00, image(3))],
    "wrong kind of status": [2, ("text", None)],
}


def generator(event: Any, said: list[Any]) -> Iterator[Any]:
    for item in said:
        if isinstance(item, Exception):
            raise item
        yield item


async def both(service: str, said: list[Any]) -> tuple[list[Said], list[Said]]:
    async with ours(service, generator, said) as port:
        mine = await conversation(port, service)
    async with stock(service, generator, said) as port:
        theirs = await conversation(port, service)
    return mine, theirs


@pytest.mark.parametrize("name", FINDS)
async def test_find(name: str) -> None:
    mine, theirs = await both("find", FINDS[name])
    assert mine == theirs


def _without_remaining(said: Said) -> Said:
    """The stock engine leaves Number of Remaining Sub-operations in final responses (PS3.4 §C.4.2.1.6 does not)."""
    if said.elements["Status"] in (0xFF00, 0xFE00):
        return said
    return said._replace(
        elements={key: value for key, value in said.elements.items() if key != "NumberOfRemainingSuboperations"}
    )


@pytest.mark.parametrize("name", RETRIEVES)
async def test_get(name: str) -> None:
    mine, theirs = await both("get", RETRIEVES[name])
    assert mine == [_without_remaining(said) for said in theirs]


@pytest.mark.parametrize("name", RETRIEVES)
async def test_move(name: str) -> None:
    def store(event: Any) -> int:
        return 0xA700 if event.sop_instance_uid == uid(2) else 0

    async with storing(store) as there:
        mine, theirs = await both("move", [("127.0.0.1", there, {"contexts": CONTEXTS}), *RETRIEVES[name]])
    assert mine == [_without_remaining(said) for said in theirs]


DESTINATIONS: dict[str, list[Any]] = {
    "unknown": [(None, None)],
    "nothing": [],
    "breaks": [ValueError("x")],
    "a number": [5],
    "an unknown keyword": [("127.0.0.1", 104, {"colour": 1}), 1],
}


@pytest.mark.parametrize("name", DESTINATIONS)
async def test_destinations(name: str) -> None:
    mine, theirs = await both("move", DESTINATIONS[name])
    for said in mine:
        said.elements.pop("ErrorComment", None)  # ours says why
    assert mine == theirs


MENDED: dict[str, tuple[str, list[Any], list[int], list[int]]] = {
    "early failure of C-GET": ("get", [(0xA900, None)], [0xA900], [0xC413]),
    "early failure of C-MOVE": ("move", [(0xA900, None)], [0xA900], [0xA801]),
    "fewer than announced": ("get", [3, (0xFF00, image(1))], [0xFF00, 0xB000], [0xFF00, 0x0000]),
    "success too early": ("get", [3, (0xFF00, image(1)), (0x0000, None)], [0xFF00, 0xB000], [0xFF00, 0x0000]),
}
"""What the handler yields, the statuses of ours, those of the stock engine."""


@pytest.mark.parametrize("name", MENDED)
async def test_what_is_mended(name: str) -> None:
    service, said, expected, of_stock = MENDED[name]
    mine, theirs = await both(service, said)
    assert [answer.elements["Status"] for answer in mine] == expected
    assert [answer.elements["Status"] for answer in theirs] == of_stock


async def test_a_destination_that_is_known_but_takes_nothing_is_not_unknown() -> None:
    """The stock engine says 0xA801, without counters."""
    async with storing(peer=Peer("nobody", may=frozenset({"echo"}))) as there:
        said = [("127.0.0.1", there, {"contexts": CONTEXTS}), 1, (0xFF00, image(1))]
        mine, theirs = await both("move", said)
    assert [answer.elements["Status"] for answer in theirs] == [0xA801]
    assert "NumberOfFailedSuboperations" not in theirs[0].elements
    assert mine[-1].elements["Status"] == 0xA702
    assert mine[-1].elements["NumberOfFailedSuboperations"] == 1
    assert mine[-1].failed_uids == (uid(1),)
