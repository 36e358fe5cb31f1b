"""A server of ours and a peer made of bytes, for tests of what crosses the wire."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self

from pynetdicom import evt

from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.acceptor.identity_check import VerifyIdentity, nothing_verifies
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.message import Command, decode, encode
from gateway.dimse.protocol.proposal import encode_request
from gateway.dimse.server import Server
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Listener, Timers
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.meter import Meter, NoMeter

TIMERS = Timers(connect_s=120.0, tls_handshake_s=120.0, association_s=120.0, dimse_s=120.0)
"""They only guard against hanging."""

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CONTEXTS = (
    ProposedContext(VERIFICATION, (IMPLICIT,)),
    ProposedContext(CT, (IMPLICIT,)),
    ProposedContext(MR, (EXPLICIT, IMPLICIT)),
)
ECHO_ID, CT_ID, MR_ID = 1, 3, 5

Handler = Callable[..., Any]


def answer_success(event: Any) -> int:
    return 0x0000


class Running:
    """A server that listens on 127.0.0.1."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port


@contextlib.asynccontextmanager
async def serving(
    store: Handler = answer_success,
    *,
    echo: Handler = answer_success,
    handlers: Sequence[tuple[Any, ...]] | None = None,
    admission: Callable[[AssociationFacts], Admitted] = lambda facts: Admitted(None),
    receiver: Callable[[], DataSetReceiver] = MemoryReceiver,
    timers: Timers | None = None,
    limits: Limits | None = None,
    meter: Meter | None = None,
    listener: Listener | None = None,
    verify_identity: VerifyIdentity = nothing_verifies,
    table: Callable[[], Any] = lambda: "table",
) -> AsyncIterator[Running]:
    """Run a server; whatever is open when the test is over is aborted."""
    bound = [(evt.EVT_C_ECHO, echo), (evt.EVT_C_STORE, store)] if handlers is None else handlers
    server = Server(
        handlers=bound,
        admission=admission,
        receiver=receiver,
        ae_title="GATEWAY",
        timers=timers or Timers(association_s=120.0, dimse_s=120.0),
        limits=limits or Limits(),
        meter=meter or NoMeter(),
        verify_identity=verify_identity,
        table=table,
    )
    port = await server.listen(listener or Listener("main", 0, "127.0.0.1"))
    try:
        yield Running(server, port)
    finally:
        server.abort_all()
        await server.drain(5.0)


def store_command(message_id: int = 1, **more: Any) -> Command:
    return {
        "AffectedSOPClassUID": CT,
        "CommandField": 0x0001,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": "1.2.3.4",
        **more,
    }


def echo_command(message_id: int = 1, **more: Any) -> Command:
    return {
        "AffectedSOPClassUID": VERIFICATION,
        "CommandField": 0x0030,
        "MessageID": message_id,
        "CommandDataSetType": 0x0101,
        **more,
    }


def item(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def p_data(*items: bytes) -> bytes:
    body = b"".join(items)
    return struct.pack(">BxI", 4, len(body)) + body


def message(context_id: int, command: Command, data: bytes | None = None) -> bytes:
    """A message as PDUs, one for the command and one for the data set."""
    encoded = p_data(item(context_id, 3, encode(command)))
    return encoded if data is None else encoded + p_data(item(context_id, 2, data))


def associate_rq(
    calling: str = "TESTER",
    called: str = "GATEWAY",
    contexts: Sequence[ProposedContext] = CONTEXTS,
    associate: AssociateKeywords | None = None,
) -> bytes:
    return encode_request(calling, called, contexts, associate or AssociateKeywords())


class Peer:
    """Speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, **more: Any) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port, **more))

    @classmethod
    async def associated(cls, port: int, **more: Any) -> Self:
        """Connected and accepted."""
        peer = await cls.connect(port)
        peer.send(associate_rq(**more))
        accepted = await peer.pdu()
        assert accepted[0] == 2, accepted
        return peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def pdu(self, timeout_s: float = 60.0) -> bytes:
        """The next PDU; empty when the connection was closed."""
        async with asyncio.timeout(timeout_s):
            try:
                header = await self.reader.readexactly(6)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
            return header + await self.reader.readexactly(int.from_bytes(header[2:], "big"))

    async def response(self, timeout_s: float = 60.0) -> Command:
        """The command set of the next message, which has no data set and is in as many PDUs as it likes."""
        encoded = b""
        while True:
            pdu = await self.pdu(timeout_s)
            assert pdu[:1] == b"\x04", pdu[:10]
            position = 6
            while position < len(pdu):
                length = int.from_bytes(pdu[position : position + 4], "big")
                encoded += pdu[position + 6 : position + 4 + length]
                control = pdu[position + 5]
                position += 4 + length
            if control & 2:
                return decode(encoded)

    async def is_closed(self, timeout_s: float = 60.0) -> bool:
        """True when the other side closes without another PDU."""
        return await self.pdu(timeout_s) == b""
