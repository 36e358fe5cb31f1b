"""A connection made of bytes, from any loopback address."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from tests.support.load.wire import ASSOCIATE_AC, Context, associate_rq

STRANGER_HOST = "127.0.0.66"
KNOWN_HOST = "127.0.0.77"
KNOWN_TITLE = "EVIL"
"""A configured peer that has gone mad: it calls from `KNOWN_HOST`."""
CALLED = "GATEWAY"
VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
MAX_PDU_BYTES = 131072
CONTEXTS = tuple(
    Context(number * 2 + 1, abstract, syntaxes)
    for number, (abstract, syntaxes) in enumerate(
        (
            (VERIFICATION, (IMPLICIT,)),
            (CT, (IMPLICIT,)),
            (CT, (EXPLICIT,)),
            (CT, (DEFLATED,)),
            (STUDY_FIND, (IMPLICIT,)),
            (STUDY_MOVE, (IMPLICIT,)),
            (STUDY_GET, (IMPLICIT,)),
        )
    )
)
ECHO_ID, IMPLICIT_ID, EXPLICIT_ID, DEFLATED_ID, FIND_ID, MOVE_ID, GET_ID = (each.context_id for each in CONTEXTS)


class NotAccepted(ConnectionError):
    """The association was rejected, or the connection was closed."""


@dataclass(slots=True)
class Target:
    """What is attacked, `times` as hard as it was found to hurt, for `seconds` at most.

    `counts` is what the attack saw; `lines` are the connections that it wants to keep.
    """

    port: int
    http_port: int
    times: float = 1
    seconds: float = 25.0
    counts: Counter[str] = field(default_factory=Counter)
    lines: set[Line] = field(default_factory=set)

    def many(self, number: int) -> int:
        """`number` times `times`."""
        return max(1, round(number * self.times))

    async def connect(self, host: str = STRANGER_HOST, *, http: bool = False) -> Line:
        """A TCP connection from `host`.

        Raises:
            OSError: it was refused.
        """
        loop = asyncio.get_running_loop()
        port = self.http_port if http else self.port
        _, line = await loop.create_connection(lambda: Line(self.counts), "127.0.0.1", port, local_addr=(host, 0))
        self.counts["connections"] += 1
        return line

    async def associate(
        self, calling: str = KNOWN_TITLE, host: str = KNOWN_HOST, *, called: str = CALLED, request: bytes = b""
    ) -> Line:
        """An accepted association.

        Raises:
            NotAccepted: it was rejected, aborted or closed.
            OSError: there was no connection.
        """
        line = await self.connect(host)
        try:
            await line.send(request or associate_rq(called, calling, CONTEXTS, MAX_PDU_BYTES))
            answer = await line.pdu()
        except BaseException:
            line.close()
            raise
        if answer[:1] != bytes([ASSOCIATE_AC]):
            self.counts["not accepted"] += 1
            line.close()
            raise NotAccepted(f"answered with PDU type {answer[0] if answer else 'none'}")
        self.counts["accepted"] += 1
        return line


class Line(asyncio.Protocol):
    """One connection: what comes is kept until `pdu` takes it; `send` waits while the other side does not read."""

    def __init__(self, counts: Counter[str]) -> None:
        self.is_open = False
        self.opened_s = 0.0
        """By the monotonic clock."""
        self.is_listening = True
        """False: what comes is thrown away."""
        self._counts = counts
        self._received = bytearray()
        self._news = asyncio.Event()
        self._may_write = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.opened_s = time.monotonic()
        self.is_open = True
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        if self.is_listening:
            self._received += data
            self._news.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._may_write.set()
        self._news.set()

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Write, and wait until the other side has read enough of it.

        Raises:
            NotAccepted: the connection is closed.
        """
        if not self.is_open or self._transport is None:
            raise NotAccepted("closed")
        self._transport.write(data)
        self._counts["sent_bytes"] += len(data)
        await self._may_write.wait()
        await asyncio.sleep(0)
        if not self.is_open:
            raise NotAccepted("closed")

    async def pdu(self) -> bytes:
        """The next PDU with its header; empty when the connection is closed."""
        while True:
            if len(self._received) >= 6:
                (length,) = struct.unpack_from(">I", self._received, 2)
                if len(self._received) >= 6 + length:
                    found = bytes(self._received[: 6 + length])
                    del self._received[: 6 + length]
                    return found
            if not self.is_open:
                return b""
            self._news.clear()
            await self._news.wait()

    async def closed(self) -> None:
        """Wait until the other side has closed the connection."""
        while self.is_open:
            self._news.clear()
            await self._news.wait()

    def close(self) -> None:
        if self._transport is not None and self.is_open:
            self._transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
