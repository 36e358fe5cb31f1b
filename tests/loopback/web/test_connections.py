"""HTTP clients that are slow, many, or both."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import pytest
import structlog

from gateway.model.settings import HTTP
from gateway.network.offences import BURST
from gateway.ports.meter import NoMeter
from gateway.web.connections import MOST_BODY_BYTES, MOST_HEADERS, ConnectionLimits
from gateway.web.server import WebServer
from tests.support.processes import GUARD_S, until

NEVER = ConnectionLimits(request_s=600.0, response_s=600.0, look_s=600.0)
LONG_PAGE = bytes(8 * 1024**2)


class Surface:
    def __init__(self) -> None:
        self.reloads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def not_ready(self) -> Sequence[str]:
        return []

    async def metrics_page(self) -> tuple[bytes, str]:
        return LONG_PAGE, "text/plain"

    async def status(self) -> Mapping[str, object]:
        return {"state": "running"}

    async def reload(self) -> Mapping[str, object]:
        self.reloads += 1
        await self.gate.wait()
        return {"result": "applied", "problems": []}


class Counting(NoMeter):
    def __init__(self) -> None:
        self.results: Counter[str] = Counter()

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        self.results[labels.get("result", "")] += int(amount)


class Client:
    """Speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def is_closed(self) -> bool:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(GUARD_S):
                while await self.reader.read(65536):
                    pass
        return True


@contextlib.asynccontextmanager
async def client(server: WebServer, data: bytes = b"", host: str = "127.0.0.1") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(host, 0), limit=1024)
    writer.write(data)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def status_of(server: WebServer, path: str = "/livez", **more: object) -> int:
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
        session.request("POST" if path == "/-/reload" else "GET", path, **more) as answer,  # type: ignore[arg-type]
    ):
        return answer.status


def answering(server: WebServer) -> int:
    """Requests that are being served."""
    return sum(one.is_answering for one in server._connections._open)


HEADERS = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HALF_A_BODY = b"POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc"
QUICK = ConnectionLimits(request_s=0.3, response_s=0.3, look_s=0.05)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEADERS, id="half the headers"),
        pytest.param(HEADERS + b"\r\n", id="nothing more after a response"),
        pytest.param(
            b"POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc", id="half a body"
        ),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 3, id="does not read"),
    ],
)
async def test_who_is_too_slow_is_let_go(data: bytes) -> None:
    surface = Surface()
    async with WebServer(surface, HTTP(port=0), patience=QUICK) as server, client(server, data):
        await until(lambda: len(server._connections) > 0)
        await until(lambda: len(server._connections) == 0)
    assert surface.reloads == 0


async def test_a_client_that_waits_for_us_is_not_slow() -> None:
    surface = Surface()
    surface.gate.clear()
    async with WebServer(surface, HTTP(port=0), patience=QUICK) as server:
        waiting = asyncio.create_task(status_of(server, "/-/reload"))
        await asyncio.sleep(1.0)
        surface.gate.set()
        assert await waiting == 200


async def test_slow_clients_make_room() -> None:
    meter = Counting()
    async with (
        WebServer(Surface(), HTTP(port=0, connections=4), meter, NEVER) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        slow = [await stack.enter_async_context(client(server, HEADERS)) for _ in range(20)]
        assert await slow[0].is_closed()
        assert await status_of(server) == 200
        assert len(server._connections) <= 4
    assert meter.results["displaced"] >= 16


async def test_another_host_has_less_room() -> None:
    """As if nobody were this machine."""
    meter = Counting()
    async with (
        WebServer(Surface(), HTTP(port=0, connections=10, connections_per_host=2), meter, NEVER) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        server._connections._is_loopback = lambda host: host == "127.0.0.1"
        honest = await stack.enter_async_context(client(server, HEADERS, "127.0.0.2"))
        for _ in range(10):
            await stack.enter_async_context(client(server, HEADERS, "127.0.0.66"))
        await until(lambda: meter.results["displaced"] == 8)
        honest.writer.write(b"\r\n")
        assert (await honest.reader.readline()).startswith(b"HTTP/1.1 200")


async def test_where_all_are_being_answered_the_next_one_is_refused() -> None:
    surface, meter = Surface(), Counting()
    surface.gate.clear()
    async with WebServer(surface, HTTP(port=0, connections=2), meter, NEVER) as server:
        waiting = [asyncio.create_task(status_of(server, "/-/reload")) for _ in range(2)]
        await until(
            lambda: all(one.is_answering for one in server._connections._open) and len(server._connections) == 2
        )
        async with client(server, HEADERS + b"\r\n") as late:
            assert await late.is_closed()
        surface.gate.set()
        assert await asyncio.gather(*waiting) == [200, 200]
    assert meter.results["refused"] == 1


async def test_reloads_are_joined() -> None:
    surface = Surface()
    surface.gate.clear()
    async with WebServer(surface, HTTP(port=0), patience=NEVER) as server:
        waiting = [asyncio.create_task(status_of(server, "/-/reload")) for _ in range(20)]
        await until(lambda: answering(server) == 20)
        surface.gate.set()
        assert await asyncio.gather(*waiting) == [200] * 20
    assert 1 <= surface.reloads <= 2


async def test_more_than_may_wait_get_a_later_time() -> None:
    surface = Surface()
    surface.gate.clear()
    async with WebServer(surface, HTTP(port=0), patience=NEVER) as server:
        waiting = [asyncio.create_task(status_of(server, "/-/reload")) for _ in range(40)]
        await until(lambda: sum(task.done() for task in waiting) == 8)
        surface.gate.set()
        assert sorted(await asyncio.gather(*waiting)) == [200] * 32 + [503] * 8


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        pytest.param(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", b"400", id="line"),
        pytest.param(HEADERS + b"X: " + b"y" * 5000 + b"\r\n\r\n", b"400", id="field"),
        pytest.param(HEADERS + b"X: y\r\n" * (MOST_HEADERS + 1) + b"\r\n", b"400", id="number"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400", id="TLS"),
        pytest.param(
            b"POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (2 * MOST_BODY_BYTES)
            + bytes(2 * MOST_BODY_BYTES),
            b"413",
            id="body",
        ),
    ],
)
async def test_requests_are_bounded_and_no_stack_is_logged(request_head: bytes, status: bytes) -> None:
    with structlog.testing.capture_logs() as events:
        async with (
            WebServer(Surface(), HTTP(port=0), patience=NEVER) as server,
            client(server, request_head) as one,
        ):
            assert (await one.reader.readline()).split()[1] == status
    assert not [event for event in events if "exc_info" in event or event["event"] == "library_message_logged"]


async def test_a_client_that_goes_in_the_middle_of_a_body_leaves_no_stack(caplog: pytest.LogCaptureFixture) -> None:
    surface = Surface()
    async with WebServer(surface, HTTP(port=0), patience=NEVER) as server:
        for _ in range(3):
            async with client(server, HALF_A_BODY):
                await until(lambda: server._runner.server is not None and server._runner.server.requests_count > 0)
        await until(lambda: len(server._connections) == 0)
    assert not caplog.records
    assert surface.reloads == 0


async def test_a_host_that_is_too_slow_again_and_again_is_refused_for_a_while() -> None:
    meter = Counting()
    async with (
        WebServer(Surface(), HTTP(port=0, connections=2), meter, NEVER) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        clients = 0
        while not meter.results["refused"]:  # a machine that is busy gives the host time to be forgiven
            await stack.enter_async_context(client(server, HEADERS, "127.0.0.66"))
            clients += 1
        assert clients > BURST
        assert await status_of(server) == 200  # another host is heard
