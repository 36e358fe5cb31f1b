"""A peer made of bytes that accepts our associations and plays a script."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.dimse.acceptor.negotiation import Policy, encode_accept, negotiate
from gateway.dimse.protocol.associate_request import parse
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import Command, decode
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from tests.support.dimse.rig import CONTEXTS, CT, IMPLICIT, TIMERS
from tests.support.dimse.rig import Peer as Bytes

Script = Callable[[Bytes], Awaitable[None]]
BIG_ENDIAN = "1.2.840.10008.1.2.2"
QUICK = Timers(connect_s=120.0, association_s=1.0, dimse_s=0.3)


@contextlib.asynccontextmanager
async def acceptor(script: Script, **peer: Any) -> AsyncIterator[Peer]:
    """A peer that plays `script` on every connection; what the script raises fails the test."""
    scripts: list[asyncio.Task[None]] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with Bytes(reader, writer) as other:
            await script(other)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scripts.append(asyncio.ensure_future(play(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Peer("pacs", "PACS", "127.0.0.1", port, timers=peer.pop("timers", TIMERS), **peer)
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*scripts), 60.0)


async def accept(
    peer: Bytes,
    *,
    max_pdu_bytes: int = 16384,
    services: frozenset[str] | None = None,
    window: tuple[int, int] | None = None,
) -> bytes:
    """Take the A-ASSOCIATE-RQ and say yes. `window` is the answer to a proposed asynchronous operations window."""
    pdu = await peer.pdu()
    request = parse(pdu)
    policy = Policy(frozenset({"echo", "store"}) if services is None else services)
    answer = negotiate(request.contexts, request.roles, policy)
    accepted = encode_accept(request, answer, max_pdu_bytes=max_pdu_bytes)
    if window is not None:
        place = accepted.index(b"\x53\0\0\4") + 4
        accepted = accepted[:place] + struct.pack(">HH", *window) + accepted[place + 4 :]
    peer.send(accepted)
    return pdu


async def until_closed(peer: Bytes) -> list[bytes]:
    """What still comes, until the connection is closed or the peer that asked for the end closes it."""
    pdus: list[bytes] = []
    while pdu := await peer.pdu():
        pdus.append(pdu)
        if pdu[0] in (6, 7):
            break
    return pdus


async def open_to(peer: Peer) -> RequestorAssociation:
    return await associate(peer, own_ae_title="GATEWAY", contexts=CONTEXTS)


async def store(association: RequestorAssociation, data: bytes = b"data", **more: Any) -> Any:
    return await association.c_store(
        sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=IMPLICIT, body=MemoryDataSet(data), **more
    )


async def read_message(peer: Bytes) -> tuple[Command, bytes, list[int]]:
    """(command set, data set, lengths of the PDUs) of the next message."""
    command, data, lengths = b"", bytearray(), []
    expects_data = False
    while True:
        pdu = await peer.pdu()
        assert pdu[0] == 4, pdu[:20]
        lengths.append(len(pdu) - 6)
        position = 6
        while position < len(pdu):
            length = int.from_bytes(pdu[position : position + 4], "big")
            control, value = pdu[position + 5], pdu[position + 6 : position + 4 + length]
            position += 4 + length
            if control & 1:
                command += value
                expects_data = bool(control & 2) and decode(command)["CommandDataSetType"] != 0x0101
                if control & 2 and not expects_data:
                    return decode(command), bytes(data), lengths
            else:
                data += value
                if control & 2:
                    return decode(command), bytes(data), lengths


def response(command: Command, status: int = 0, **more: Any) -> Command:
    return {
        "CommandField": command["CommandField"] | 0x8000,
        "MessageIDBeingRespondedTo": command["MessageID"],
        "CommandDataSetType": 0x0101,
        "Status": status,
        **more,
    }
