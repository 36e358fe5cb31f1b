"""Peers of all kinds behind real sockets: a table of answers and the finding that each gives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.acceptor.admission import Admitted, Rejected
from gateway.doctor import peers
from gateway.doctor.finding import DoctorFinding
from gateway.doctor.site import Site
from gateway.model.associate import AssociateKeywords
from gateway.model.association import AssociationFacts
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.security import TLS
from gateway.scu import echo_store
from tests.support.certificates import Authority
from tests.support.dimse.rig import serving
from tests.support.steady_loop import let_pass
from tests.unit.doctor.rig import codes, on, site_in, unused_port

SHORT_S = 5.0
"""Less than the peers' own time limits."""
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[int]:
    """A server that does as `answer` with each connection; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> None:
    """Read an A-ASSOCIATE-RQ."""
    head = await reader.readexactly(6)
    assert head[0] == 1
    await reader.readexactly(int.from_bytes(head[2:], "big"))


def sending(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(data)
        await writer.drain()
        await reader.read()

    return answer


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)


def rejecting(result: int, source: int, reason: int) -> Answer:
    """A-ASSOCIATE-RJ (PS3.8 §9.3.4)."""
    return sending(bytes((3, 0, 0, 0, 0, 4, 0, result, source, reason)))


ABORT = bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def archive(port: int, **more: object) -> Peer:
    return replace(Peer("pacs", "PACS", "127.0.0.1", port), **more)  # type: ignore[arg-type]


async def found(site: Site, one: Peer, limit_s: float = 60.0) -> list[DoctorFinding]:
    return await peers.peer(one, replace(site, limit_s=limit_s))


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (rejecting(1, 1, 1), "rejected-without-reason", "1/1/1"),
        (rejecting(1, 1, 2), "application-context-not-supported", "1/1/2"),
        (rejecting(1, 1, 3), "calling-ae-title-not-recognized", "ourselves GATEWAY"),
        (rejecting(1, 1, 7), "called-ae-title-not-recognized", "we called it PACS"),
        (rejecting(1, 1, 9), "rejected", "1/1/9"),
        (rejecting(1, 2, 1), "rejected-without-reason", "for good (1/2/1"),
        (rejecting(1, 2, 2), "protocol-version-not-supported", "1/2/2"),
        (rejecting(2, 3, 1), "temporary-congestion", "for now (2/3/1"),
        (rejecting(2, 3, 2), "local-limit-exceeded", "for now (2/3/2"),
        (sending(ABORT), "aborted", "aborted by the peer's service user"),
        (closing, "aborted", "the peer closed the connection"),
        (sending(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "no-dicom", "HTTP"),
        (sending(b"\x15\x03\x03\x00\x02\x02\x46"), "no-dicom", "TLS"),
    ],
)
async def test_what_a_peer_answers(tmp_path: Path, answer: Answer, expected: str, said: str) -> None:
    async with answering(answer) as port:
        [finding] = await found(site_in(tmp_path), archive(port))
    assert (finding.code, finding.area, finding.severity) == (expected, "peer", "error")
    assert said in finding.what
    assert finding.subject == f"pacs (PACS at 127.0.0.1:{port})"


async def test_a_peer_that_says_nothing(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        asked.set()
        await reader.read()

    async with answering(silent) as port:
        asking = asyncio.create_task(found(site_in(tmp_path), archive(port), SHORT_S))
        await asked.wait()
        await let_pass(SHORT_S)
        [finding] = await asking
    assert finding.code == "no-answer"


async def test_nobody_listens(tmp_path: Path) -> None:
    with unused_port() as port:
        assert codes(await found(site_in(tmp_path), archive(port))) == ["connection-refused"]


async def test_a_host_that_takes_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full drops what comes, as a firewall does."""
    begun, echo = asyncio.Event(), echo_store.echo

    async def noted(*arguments: Any) -> echo_store.EchoResult:
        begun.set()
        return await echo(*arguments)

    monkeypatch.setattr(echo_store, "echo", noted)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for one in fillers:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            asking = asyncio.create_task(found(site_in(tmp_path), archive(port), SHORT_S))
            await begun.wait()
            await let_pass(SHORT_S)
            [finding] = await asking
        finally:
            for one in fillers:
                one.close()
    assert finding.code == "no-connection"
    assert f"nothing in {SHORT_S:g} s" in finding.what


async def test_an_unknown_name(tmp_path: Path) -> None:
    one = archive(104, host="pacs.invalid")
    [finding] = await found(site_in(tmp_path), one)
    assert finding.code in (
        "name-not-found",
        "name-not-looked-up",
    )  # by RFC 6761 none; here a name server may be missing
    assert "pacs.invalid" in finding.what


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name-not-found"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "name-not-looked-up"),
    ],
)
async def test_names_and_name_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, expected: str
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("gateway.doctor.peers.socket.getaddrinfo", fail)
    assert codes(await found(site_in(tmp_path), archive(104, host="pacs.example"))) == [expected]


async def test_an_address_that_is_not_ours_to_call_from(tmp_path: Path) -> None:
    one = archive(104, associate=AssociateKeywords(bind_address=("192.0.2.1", 0)))
    assert codes(await found(site_in(tmp_path), one)) == ["own-address"]


async def test_a_peer_that_answers(tmp_path: Path) -> None:
    async with serving() as server:
        [finding] = await found(site_in(tmp_path), archive(server.port))
        renamed = archive(server.port, calling_ae_title="OTHER")
        [other] = await found(site_in(tmp_path), renamed)
    assert (finding.code, finding.severity) == ("echo-answered", "note")
    assert "calling AE title GATEWAY" in finding.what
    assert "calling AE title OTHER" in other.what


async def test_a_name_with_an_address_on_which_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next address is tried, as the gateway does."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr("gateway.doctor.peers.socket.getaddrinfo", lambda *arguments, **more: rows)
    async with serving() as server:
        assert codes(await found(site_in(tmp_path), archive(server.port, host="pacs.example"))) == ["echo-answered"]


async def test_another_status(tmp_path: Path) -> None:
    async with serving(echo=lambda event: 0x0122) as server:
        [finding] = await found(site_in(tmp_path), archive(server.port))
    assert (finding.code, finding.severity) == ("echo-refused", "warning")
    assert "0x0122" in finding.what


async def test_our_own_rejection_is_read_as_anybodys(tmp_path: Path) -> None:
    def admission(facts: AssociationFacts) -> Admitted:
        raise Rejected(1, 1, 3, "unknown")

    async with serving(admission=admission) as server:
        [finding] = await found(site_in(tmp_path), archive(server.port))
    assert finding.code == "calling-ae-title-not-recognized"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
async def test_a_peer_that_is_this_gateway(tmp_path: Path, address: str) -> None:
    site = site_in(tmp_path, {"listeners": [{"port": 11112, "address": address}]})
    [finding] = await found(site, archive(11112))
    assert finding.code == "this-gateway"
    assert "port-11112" in finding.what


async def test_a_peer_on_the_same_port_elsewhere_is_not(tmp_path: Path) -> None:
    async with serving() as server:
        site = site_in(tmp_path, {"listeners": [{"port": server.port, "address": "127.0.0.2"}]})
        assert codes(await found(site, archive(server.port))) == ["echo-answered"]


async def test_a_peer_that_may_not_call_from_where_it_is(tmp_path: Path) -> None:
    async with serving() as server:
        away = archive(server.port, may=frozenset({"store"}), hosts=("10.1.0.0/16",))
        here = archive(server.port, may=frozenset({"store"}), hosts=("127.0.0.0/8",))
        assert codes(await found(site_in(tmp_path), away)) == ["calls-from-elsewhere", "echo-answered"]
        assert codes(await found(site_in(tmp_path), here)) == ["echo-answered"]


# --- TLS --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def secure(authority: Authority, **settings: object) -> AsyncIterator[int]:
    """A peer with TLS: the certificate of `name`, good for `days`; the rest as `TLS` has it."""
    days = settings.pop("days", 60)
    host = settings.pop("host", "DNS:localhost,IP:127.0.0.1")
    assert isinstance(days, int)
    certificate = authority.issue(f"server{days}{len(str(host))}", "/CN=pacs", host=str(host), days=days)
    tls = TLS(certificate=certificate.certificate, key=certificate.key, **settings)  # type: ignore[arg-type]
    async with serving(listener=Listener("tls", 0, "127.0.0.1", tls)) as server:
        yield server.port


def trusting(authority: Authority) -> AssociateKeywords:
    return AssociateKeywords(tls=TLS(ca=(authority.certificate,)))


async def test_a_peer_with_tls(tmp_path: Path, authority: Authority) -> None:
    async with secure(authority) as port:
        one = archive(port, associate=trusting(authority))
        assert codes(await found(site_in(tmp_path), one)) == ["echo-answered"]
        assert codes(await found(site_in(tmp_path), replace(one, host="localhost"))) == ["echo-answered"]
        later = on(site_in(tmp_path), now=lambda: datetime.now(UTC) + timedelta(days=40))
        assert codes(await found(later, one)) == ["certificate-ends", "echo-answered"]


async def test_an_expired_certificate(tmp_path: Path, authority: Authority) -> None:
    async with secure(authority, days=-1) as port:
        [finding] = await found(site_in(tmp_path), archive(port, associate=trusting(authority)))
    assert finding.code == "certificate-refused"
    assert "expired" in finding.what


async def test_a_certificate_of_another_name(tmp_path: Path, authority: Authority) -> None:
    async with secure(authority, host="DNS:elsewhere.example") as port:
        [finding] = await found(site_in(tmp_path), archive(port, associate=trusting(authority)))
    assert finding.code == "certificate-refused"
    assert "127.0.0.1" in finding.what


async def test_a_peer_that_wants_our_certificate(tmp_path: Path, authority: Authority) -> None:
    client = {"ca": (authority.certificate,), "client_certificates": "required"}
    async with secure(authority, **client) as port:
        [finding] = await found(site_in(tmp_path), archive(port, associate=trusting(authority)))
    assert finding.code in ("tls-failed", "aborted")  # with TLS 1.3 the handshake ends before the peer says so


async def test_tls_where_the_peer_speaks_plain_dicom(tmp_path: Path, authority: Authority) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(ABORT)

    async with answering(plain) as port:
        [finding] = await found(site_in(tmp_path), archive(port, associate=trusting(authority)))
    assert finding.code == "tls-failed"


async def test_plain_dicom_where_the_peer_speaks_tls(tmp_path: Path, authority: Authority) -> None:
    async with secure(authority) as port:
        [finding] = await found(site_in(tmp_path), archive(port))
    assert finding.code in ("no-dicom", "aborted")
    assert "TLS" in finding.remedy


async def test_files_of_tls_that_cannot_be_used(tmp_path: Path) -> None:
    one = archive(104, associate=AssociateKeywords(tls=TLS(ca=(str(tmp_path / "none.pem"),))))
    [finding] = await found(site_in(tmp_path), one)
    assert (finding.code, finding.area) == ("tls-unusable", "peer")
