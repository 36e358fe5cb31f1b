"""New connections get their transports: plain, behind a balancer's header, with TLS, and those that are given up."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gateway.dimse.acceptor.connection_setup import ConnectionSetup
from gateway.dimse.protocol.tls import server_context
from gateway.model.listener import Listener, Timers
from gateway.model.security import TLS
from gateway.network.proxy_header import Caller
from tests.support.fakes.meter import MemoryMeter
from tests.support.proxy_protocol import binary, line, local
from tests.support.tls import Certificates, certificates_in, files, listening

PLAIN = Listener("main", 0, "127.0.0.1")
TIMERS = Timers(association_s=60.0, tls_handshake_s=60.0)
PROXY = "10.0.0.5"


def server_tls(certificates: Certificates) -> TLS:
    return TLS(**files(certificates.server))


class Association(asyncio.Protocol):
    """Keeps what it receives; it is its own protocol."""

    is_closed = False

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.has_transport = asyncio.Event()
        self.received = b""
        self.came: tuple[str, Caller] | None = None

    def came_through(self, proxy_host: str, caller: Caller) -> None:
        self.came = (proxy_host, caller)

    def remote_hosts(self, transport: asyncio.BaseTransport) -> dict[str, str]:
        return {"remote_host": self.came[1].host if self.came else ""}

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
    def __init__(self, timers: Timers = TIMERS, *, takes: bool = True) -> None:
        self.meter = MemoryMeter()
        self.closed: list[Any] = []
        self.named: list[str] = []
        self._takes = takes
        self.has_closed = asyncio.Event()
        self.setup = ConnectionSetup(timers, self.meter, self._closed, self._named)
        self.ours, self.client = socket.socketpair()
        for end in (self.ours, self.client):
            end.setblocking(False)
        self.association = Association()

    def _closed(self, association: Any) -> None:
        self.closed.append(association)
        self.has_closed.set()

    def _named(self, association: Any, host: str) -> bool:
        assert association is self.association
        self.named.append(host)
        return self._takes

    def start(self, listener: Listener = PLAIN, context: ssl.SSLContext | None = None, proxy_host: str = "") -> None:
        self.setup.start(cast(Any, self.association), self.ours, listener, context, proxy_host)

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


# --- behind a balancer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "caller"),
    [(line("10.1.2.3"), Caller("10.1.2.3", 40000)), (binary("2001:db8::7"), Caller("2001:db8::7", 40000))],
    ids=["version 1", "version 2"],
)
async def test_a_header_names_the_caller_before_the_first_byte(header: bytes, caller: Caller) -> None:
    bench = Bench()
    bench.start(proxy_host=PROXY)
    bench.client.send(header + b"hello")
    async with asyncio.timeout(60):
        while bench.association.received != b"hello":
            await asyncio.sleep(0)
    assert bench.association.came == (PROXY, caller)
    assert bench.named == [caller.host]
    assert (bench.closed, bench.meter.counted) == ([], {})
    bench.end()
    await asyncio.sleep(0)


@pytest.mark.parametrize("header", [local(), b"PROXY UNKNOWN\r\n"], ids=["LOCAL", "UNKNOWN"])
async def test_a_connection_of_the_balancer_itself_keeps_its_address(header: bytes) -> None:
    bench = Bench()
    bench.start(proxy_host=PROXY)
    bench.client.send(header + b"hello")
    async with asyncio.timeout(60):
        while bench.association.received != b"hello":
            await asyncio.sleep(0)
    assert (bench.association.came, bench.named) == (None, [])
    bench.end()
    await asyncio.sleep(0)


async def test_a_header_comes_before_the_handshake(tmp_path: Path) -> None:
    bench, certificates = Bench(), certificates_in(tmp_path)
    tls = server_tls(certificates)
    bench.start(listening(tls), server_context(tls), PROXY)
    bench.client.send(line("10.1.2.3"))
    trusting = ssl.create_default_context(cafile=certificates.authority.certificate)
    async with asyncio.timeout(60):
        _, writer = await asyncio.open_connection(sock=bench.client, ssl=trusting, server_hostname="localhost")
        await bench.association.has_transport.wait()
        writer.write(b"hello")
        while bench.association.received != b"hello":
            await asyncio.sleep(0)
    assert bench.named == ["10.1.2.3"]
    writer.transport.abort()
    bench.end()
    await asyncio.sleep(0)


REJECTED = {
    "an A-ASSOCIATE-RQ": (b"\x01\0\0\0\0\xcd" + bytes(205), "the first bytes are no PROXY header"),
    "a malformed one": (b"PROXY TCP4 ::1 ::1 1 1\r\n", "an address that is not of TCP4"),
    "one that is cut off": (line("10.1.2.3")[:-1], "the connection ended after 41 bytes of a header"),
}


@pytest.mark.parametrize(("sent", "reason"), REJECTED.values(), ids=REJECTED)
async def test_what_is_no_header_is_logged_counted_and_closed(sent: bytes, reason: str) -> None:
    bench = Bench()
    with capture_logs() as events:
        bench.start(proxy_host=PROXY)
        bench.client.send(sent)
        bench.client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(60):
            await bench.has_closed.wait()
    (told,) = events
    assert (told["event"], told["listener"], told["remote_host"]) == ("proxy_header_rejected", "main", PROXY)
    assert reason in told["reason"]
    assert bench.meter.counted == {("gateway_proxy_headers_rejected_total", "main"): 1}
    assert (bench.ours.fileno(), bench.association.transport, bench.named) == (-1, None, [])
    bench.end()


@pytest.mark.parametrize(
    ("listener", "limit"),
    [(PLAIN, {"association_s": 0.05}), (listening(TLS()), {"tls_handshake_s": 0.05})],
    ids=["plain", "TLS"],
)
@pytest.mark.parametrize("sent", [b"", b"PROXY "], ids=["nothing", "a part"])
async def test_a_header_has_the_time_of_what_comes_behind_it(
    listener: Listener, limit: dict[str, float], sent: bytes
) -> None:
    bench = Bench(dataclasses.replace(TIMERS, **limit))
    with capture_logs() as events:
        bench.start(listener, proxy_host=PROXY)
        bench.client.send(sent)
        async with asyncio.timeout(60):
            await bench.has_closed.wait()
    assert [(event["event"], event["reason"]) for event in events] == [
        ("proxy_header_rejected", "no whole header came within 0.05 s")
    ]
    assert bench.client.recv(1) == b""
    bench.end()


async def test_a_look_whether_the_port_is_open_is_no_failure() -> None:
    bench = Bench()
    with capture_logs() as events:
        bench.start(proxy_host=PROXY)
        bench.client.close()
        async with asyncio.timeout(60):
            await bench.has_closed.wait()
    assert (events, bench.meter.counted, bench.ours.fileno()) == ([], {}, -1)


async def test_a_caller_of_whom_nothing_is_taken_now_is_closed() -> None:
    bench = Bench(takes=False)
    bench.start(proxy_host=PROXY)
    bench.client.send(line("10.1.2.3") + b"hello")
    async with asyncio.timeout(60):
        await bench.has_closed.wait()
    assert (bench.named, bench.association.transport, bench.ours.fileno()) == (["10.1.2.3"], None, -1)
    bench.end()


async def test_a_header_that_is_waited_for_can_be_given_up() -> None:
    bench = Bench()
    with capture_logs() as events:
        bench.start(proxy_host=PROXY)
        for _ in range(10):
            await asyncio.sleep(0)
        bench.setup.cancel(cast(Any, bench.association))
        async with asyncio.timeout(60):
            await bench.has_closed.wait()
    assert (events, bench.closed, bench.ours.fileno()) == ([], [bench.association], -1)
    bench.end()
