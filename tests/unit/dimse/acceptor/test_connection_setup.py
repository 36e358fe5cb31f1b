"""New connections get their transports: plain, with TLS, and those that are given up."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gateway.dimse.acceptor.connection_setup import ConnectionSetup
from gateway.dimse.protocol.tls import server_context
from gateway.model.listener import Listener
from gateway.model.security import TLS
from tests.support.fakes.meter import MemoryMeter
from tests.support.tls import Certificates, certificates_in, files, listening

PLAIN = Listener("main", 0, "127.0.0.1")


def server_tls(certificates: Certificates) -> TLS:
    return TLS(**files(certificates.server))


class Association(asyncio.Protocol):
    """Keeps what it receives; it is its own protocol."""

    is_closed = False

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.has_transport = asyncio.Event()
        self.received = b""

    @property
    def protocol(self) -> Association:
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(transport)

    def attach(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.has_transport.set()

    def data_received(self, data: bytes) -> None:
        self.received += data


class Bench:
    def __init__(self, handshake_s: float = 60.0) -> None:
        self.meter = MemoryMeter()
        self.closed: list[Any] = []
        self.has_closed = asyncio.Event()
        self.setup = ConnectionSetup(handshake_s, self.meter, self._closed)
        self.ours, self.client = socket.socketpair()
        for end in (self.ours, self.client):
            end.setblocking(False)
        self.association = Association()

    def _closed(self, association: Any) -> None:
        self.closed.append(association)
        self.has_closed.set()

    def start(self, listener: Listener = PLAIN, context: ssl.SSLContext | None = None) -> None:
        self.setup.start(cast(Any, self.association), self.ours, listener, context)

    def end(self) -> None:
        self.client.close()
        if isinstance(self.association.transport, asyncio.Transport):
            self.association.transport.abort()


async def test_a_plain_connection_has_its_transport() -> None:
    bench = Bench()
    bench.start()
    async with asyncio.timeout(60):
        await bench.association.has_transport.wait()
        bench.client.send(b"hello")
        while bench.association.received != b"hello":
            await asyncio.sleep(0)
    assert bench.closed == []
    bench.end()
    await asyncio.sleep(0)


async def test_a_set_up_that_is_cancelled_before_it_began_closes_the_connection() -> None:
    bench = Bench()
    bench.start()
    bench.setup.cancel(cast(Any, bench.association))
    async with asyncio.timeout(60):
        await bench.has_closed.wait()
    assert bench.closed == [bench.association]
    assert bench.client.recv(1) == b""
    assert bench.ours.fileno() == -1
    bench.setup.cancel(cast(Any, bench.association))  # it is over: nothing happens
    bench.end()


async def test_the_association_works_on_the_encrypted_transport(tmp_path: Path) -> None:
    bench, certificates = Bench(), certificates_in(tmp_path)
    tls = server_tls(certificates)
    bench.start(listening(tls), server_context(tls))
    trusting = ssl.create_default_context(cafile=certificates.authority.certificate)
    async with asyncio.timeout(60):
        _, writer = await asyncio.open_connection(sock=bench.client, ssl=trusting, server_hostname="localhost")
        await bench.association.has_transport.wait()
        writer.write(b"hello")
        while bench.association.received != b"hello":
            await asyncio.sleep(0)
    transport = bench.association.transport
    assert transport is not None
    assert transport.get_extra_info("ssl_object") is not None
    writer.transport.abort()
    bench.end()
    await asyncio.sleep(0)


@pytest.mark.parametrize("client", ["speaks no TLS", "closes"])
async def test_a_failed_handshake_is_logged_and_counted(tmp_path: Path, client: str) -> None:
    bench, certificates = Bench(), certificates_in(tmp_path)
    tls = server_tls(certificates)
    with capture_logs() as events:
        bench.start(listening(tls), server_context(tls))
        if client == "closes":
            bench.client.close()
        else:
            bench.client.send(b"\x01\0\0\0\0\xcd" + bytes(205))
        async with asyncio.timeout(60):
            await bench.has_closed.wait()
    assert [event["event"] for event in events] == ["tls_handshake_failed"]
    assert bench.meter.counted == {("gateway_tls_handshakes_failed_total",): 1}
    assert bench.association.transport is None
    bench.end()
    await asyncio.sleep(0)


async def test_a_handshake_that_is_cancelled_is_no_failure(tmp_path: Path) -> None:
    bench, certificates = Bench(), certificates_in(tmp_path)
    tls = server_tls(certificates)
    with capture_logs() as events:
        bench.start(listening(tls), server_context(tls))
        for _ in range(10):  # into the handshake
            await asyncio.sleep(0)
        bench.setup.cancel(cast(Any, bench.association))
        async with asyncio.timeout(60):
            await bench.has_closed.wait()
    assert (events, bench.meter.counted) == ([], {})
    bench.end()
    await asyncio.sleep(0)
