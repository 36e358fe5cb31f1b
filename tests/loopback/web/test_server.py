"""The HTTP listener against a surface that says what the test wants."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import pytest

from gateway.model.settings import HTTP
from gateway.ports.errors import ConfigurationError
from gateway.web.server import WebServer, change_objection, host_is_local, is_loopback

LOCAL = {"Host": "127.0.0.1:8080"}


class FakeSurface:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.result = "applied"
        self.reloads = 0

    def not_ready(self) -> Sequence[str]:
        return self.reasons

    async def metrics_page(self) -> tuple[bytes, str]:
        return b"gateway_x 1\n", "text/plain; version=1.0.0; charset=utf-8"

    async def status(self) -> Mapping[str, object]:
        return {"state": "running"}

    async def reload(self) -> Mapping[str, object]:
        self.reloads += 1
        return {"result": self.result, "problems": []}


@pytest.fixture
def surface() -> FakeSurface:
    return FakeSurface()


@pytest.fixture
async def http(surface: FakeSurface) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        WebServer(surface, HTTP(port=0)) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
    ):
        yield session


async def test_live_while_it_serves(http: aiohttp.ClientSession) -> None:
    async with http.get("/livez") as answer:
        assert answer.status == 200


async def test_ready_says_why_not(http: aiohttp.ClientSession, surface: FakeSurface) -> None:
    async with http.get("/readyz") as answer:
        assert answer.status == 200
    surface.reasons = ["draining", "spool full"]
    async with http.get("/readyz") as answer:
        assert (answer.status, await answer.text()) == (503, "draining\nspool full\n")


async def test_metrics_and_status_are_served(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert await answer.text() == "gateway_x 1\n"
    async with http.get("/status") as answer:
        assert await answer.json() == {"state": "running"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("LOCALHOST.", 200),
        ("[::1]:8080", 200),
        ("10.1.2.3:8080", 200),
        ("2001:db8::7", 421),
        (socket.gethostname(), 200),
        ("gateway.example.org", 200),
        ("gateway.example.org:8080", 200),
        ("evil.example.org", 421),
        ("127.0.0.1.evil.example.org", 421),
        ("localhost.evil.example.org:8080", 421),
        ("", 200),
    ],
)
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/status"])
async def test_only_known_names_are_answered(surface: FakeSurface, host: str, status: int, path: str) -> None:
    """A web page may ask by its own name that resolves to this machine."""
    async with (
        WebServer(surface, HTTP(port=0, hosts=("Gateway.example.org",))) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
        session.get(path, headers={"Host": host}) as answer,
    ):
        assert answer.status == status
        assert ("gateway.http.hosts" in await answer.text()) == (status == 421)


@pytest.mark.parametrize(("result", "status"), [("applied", 200), ("refused", 422)])
async def test_reload_reports_its_result(
    http: aiohttp.ClientSession, surface: FakeSurface, result: str, status: int
) -> None:
    surface.result = result
    async with http.post("/-/reload") as answer:
        assert answer.status == status
        assert (await answer.json())["result"] == result


async def test_a_reload_needs_post(http: aiohttp.ClientSession, surface: FakeSurface) -> None:
    async with http.get("/-/reload") as answer:
        assert answer.status == 405
    assert surface.reloads == 0


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}], ids=str
)
async def test_a_web_page_cannot_reload(
    http: aiohttp.ClientSession, surface: FakeSurface, headers: dict[str, str]
) -> None:
    async with http.post("/-/reload", headers=headers) as answer:
        assert answer.status == (421 if headers.get("Host") == "evil.example" else 403)
    assert surface.reloads == 0


@pytest.mark.parametrize(
    ("remote", "headers", "is_taken"),
    [
        ("127.0.0.1", LOCAL, True),
        ("127.0.0.1", {"Host": "localhost:8080"}, True),
        ("::1", {"Host": "[::1]:8080"}, True),
        ("::ffff:127.0.0.1", LOCAL, True),
        ("10.0.0.4", LOCAL, False),
        ("", LOCAL, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"Host": "gateway.example.org"}, False),
        ("127.0.0.1", {"Host": "127.0.0.1.evil.example"}, False),
        ("127.0.0.1", {**LOCAL, "Sec-Fetch-Site": "cross-site"}, False),
        ("127.0.0.1", {**LOCAL, "Referer": "http://evil.example/"}, False),
    ],
)
def test_who_may_reload(remote: str, headers: dict[str, str], is_taken: bool) -> None:
    assert (change_objection(remote, headers) == "") is is_taken


def test_what_is_this_machine() -> None:
    assert is_loopback("127.8.9.1")
    assert not is_loopback("unix")
    assert not host_is_local("")


async def test_a_taken_port_is_a_configuration_error(surface: FakeSurface) -> None:
    async with WebServer(surface, HTTP(port=0)) as first:
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{first.port}"):
            await WebServer(surface, HTTP(port=first.port)).__aenter__()


async def test_a_port_that_others_answer_on_too_has_all_pages_but_metrics(surface: FakeSurface) -> None:
    async with (
        WebServer(surface, HTTP(port=0), is_shared=True) as first,
        WebServer(surface, HTTP(port=first.port), is_shared=True),
        aiohttp.ClientSession(f"http://127.0.0.1:{first.port}") as http,
    ):
        for path, status in (("/livez", 200), ("/readyz", 200), ("/status", 200), ("/metrics", 404)):
            async with http.get(path) as answer:
                assert answer.status == status
                text = await answer.text()
        assert "worker N at this port plus N" in text
