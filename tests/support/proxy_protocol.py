"""Headers of the PROXY protocol as balancers write them, and a relay that puts one before each connection."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import struct
from collections.abc import AsyncIterator

SIGNATURE = bytes.fromhex("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A")
"""As the specification prints it (§2.2)."""
TCP4, TCP6 = 0x11, 0x21


def line(source: str, destination: str = "", port: int = 40000, own_port: int = 11112) -> bytes:
    """A header of version 1."""
    family = ipaddress.ip_address(source).version
    destination = destination or {4: "10.0.0.5", 6: "2001:db8::5"}[family]
    return f"PROXY TCP{family} {source} {destination} {port} {own_port}\r\n".encode("ascii")


def binary(
    source: str = "10.1.2.3",
    destination: str = "",
    port: int = 40000,
    *,
    more: bytes = b"",
    version_and_command: int = 0x21,
    family_and_protocol: int | None = None,
) -> bytes:
    """A header of version 2; `more`: type-length-values."""
    family = ipaddress.ip_address(source).version
    destination = destination or {4: "10.0.0.5", 6: "2001:db8::5"}[family]
    ends = b"".join(ipaddress.ip_address(one).packed for one in (source, destination))
    following = ends + struct.pack(">HH", port, 11112) + more
    kind = {4: TCP4, 6: TCP6}[family] if family_and_protocol is None else family_and_protocol
    return SIGNATURE + struct.pack(">BBH", version_and_command, kind, len(following)) + following


def local(more: bytes = b"", family_and_protocol: int = 0) -> bytes:
    """A header of version 2 before a connection of the balancer's own."""
    return SIGNATURE + struct.pack(">BBH", 0x20, family_and_protocol, len(more)) + more


class Relay:
    """A relay on 127.0.0.1 that writes `header` before what it passes on to `target`."""

    def __init__(self, target: int, header: bytes) -> None:
        self._target = target
        self._header = header
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, to_there = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            to_there.write(self._header)
            await asyncio.gather(_pass_on(reader, to_there), _pass_on(there, writer))
        finally:
            for one in (writer, to_there):
                one.transport.abort()
            self._tasks.discard(task)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@contextlib.asynccontextmanager
async def relaying(target: int, header: bytes) -> AsyncIterator[int]:
    """The port of such a relay."""
    relay = Relay(target, header)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await relay.end()
