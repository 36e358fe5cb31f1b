"""A C-STORE SCP made of bytes that fails in one of the ways in which members of groups do, until it is mended."""

from __future__ import annotations

import asyncio
import socket
from typing import Literal, Self

from gateway.dimse.protocol.upper_layer import RELEASE_RP
from gateway.model.listener import Timers
from gateway.model.peer import Peer, Retry
from tests.support.dimse.acceptor_rig import accept, read_message, response
from tests.support.dimse.rig import Peer as Bytes
from tests.support.dimse.rig import message

Fault = Literal["refused", "black-holed", "frozen", "killed", "0xA700", ""]
FAULTS: tuple[Fault, ...] = ("refused", "black-holed", "frozen", "killed", "0xA700")
OUT_OF_RESOURCES = 0xA700
SOON = Timers(connect_s=60.0, association_s=0.5, dimse_s=0.5)
QUICK = Retry(first_delay_s=0.05, factor=1.0, max_delay_s=0.05, jitter=0.0)


class FailingMember:
    """`refused`: nothing listens; `black-holed`: nobody answers; `frozen`: objects are taken, and not answered;
    `killed`: the connection is reset in the middle of an object; `0xA700`: each object is answered so."""

    def __init__(self, name: str, fault: Fault = "") -> None:
        self.name = name
        self.fault = fault
        self.have: list[str] = []
        """SOP Instance UIDs of the objects that came whole and were not refused, as often as they came."""
        self._is_mended = asyncio.Event()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._socket.bind(("127.0.0.1", 0))
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def peer(self) -> Peer:
        port = self._socket.getsockname()[1]
        return Peer(self.name, "MEMBER", "127.0.0.1", port, associations=1, retry=QUICK, timers=SOON)

    async def __aenter__(self) -> Self:
        if self.fault == "black-holed":
            self._socket.listen(100)
        elif self.fault != "refused":
            await self._serve()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()
        for each in self._connections:
            each.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def mend(self) -> None:
        self.fault = ""
        self._is_mended.set()
        if self._server is None:
            await self._serve()

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._connected, sock=self._socket)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._play(reader, writer))
        self._connections.add(task)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with Bytes(reader, writer) as other:
            try:
                await accept(other)
                while await self._take_one(other):
                    pass
            except AssertionError:  # A-RELEASE-RQ
                other.send(RELEASE_RP)
            except (IndexError, ConnectionError, asyncio.IncompleteReadError):
                return  # the connection is gone

    async def _take_one(self, other: Bytes) -> bool:
        """Take one object; False ends the connection."""
        if self.fault == "killed":
            await other.pdu()
            other.writer.transport.abort()
            return False
        command, _, _ = await read_message(other)
        uid = str(command["AffectedSOPInstanceUID"])
        if self.fault == "frozen":
            self.have.append(uid)
            await self._is_mended.wait()
            return False
        status = OUT_OF_RESOURCES if self.fault == "0xA700" else 0
        if not status:
            self.have.append(uid)
        other.send(message(1, response(command, status)))
        return True
