"""Why TLS failed: which certificate, whose, good from when to when; to peers that we call, and from callers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from structlog.testing import capture_logs

from gateway.certificates import CertificateDescription, described
from gateway.cli import main
from gateway.config import load
from gateway.doctor.peers import peer as examined
from gateway.doctor.site import Machine, Site
from gateway.model.security import TLS
from gateway.ports.errors import PeerError
from tests.support.certificates import Certificate
from tests.support.dimse.rig import TIMERS, Running, serving
from tests.support.peers import echoscu
from tests.support.processes import until
from tests.support.tls import Certificates, call, certificates_in, files, listening


@dataclasses.dataclass(frozen=True)
class Bad:
    """Certificates with which something is wrong."""

    good: Certificates
    expired: Certificate
    future: Certificate
    alone: Certificate


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Bad:
    good = certificates_in(tmp_path_factory.mktemp("tls"))
    authority = good.authority
    now = datetime.now(UTC)
    alone = type(authority).create(good.folder / "alone", "alone")
    return Bad(
        good,
        authority.issue_between("old", now - timedelta(days=9), now - timedelta(days=3)),
        authority.issue_between("new", now + timedelta(days=4), now + timedelta(days=9)),
        Certificate(alone.certificate, str(alone.folder / "ca.key")),
    )


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def of(certificate: Certificate) -> CertificateDescription:
    return described(Path(certificate.certificate).read_bytes())


Shown = Callable[[Bad], Certificate]
SourceListing = Callable[[Bad], str]
SERVERS: dict[str, tuple[Shown, dict[str, Any], SourceListing, str]] = {
    "expired": (
        lambda bad: bad.expired,
        {},
        lambda bad: (
            f"its certificate has expired: CN=old, issued by CN=Test CA, valid from "
            f"{day(of(bad.expired).since)} to {day(of(bad.expired).until)} UTC"
        ),
        "have it renewed",
    ),
    "not valid yet": (
        lambda bad: bad.future,
        {},
        lambda bad: (
            f"its certificate is not valid yet: CN=new, issued by CN=Test CA, valid from {day(of(bad.future).since)} to"
        ),
        "set the clock of this machine",
    ),
    "of another host": (
        lambda bad: bad.good.elsewhere,
        {},
        lambda bad: "its certificate is for elsewhere.example, not for 127.0.0.1: CN=elsewhere, issued by CN=Test CA",
        "`associate.tls_args.server_name`",
    ),
    "of another host than is named": (
        lambda bad: bad.good.server,
        {"server_name": "pacs.example"},
        lambda bad: "its certificate is for localhost, 127.0.0.1, not for pacs.example: CN=localhost,O=Hospital",
        "`associate.tls_args.server_name`",
    ),
    "of an unknown authority": (
        lambda bad: bad.good.stranger,
        {},
        lambda bad: (
            f"its certificate is of an unknown authority, none of {bad.good.authority.certificate}: CN=ct3, "
            "issued by CN=Other CA, valid from"
        ),
        "`associate.tls_args.ca`",
    ),
    "signed by itself": (
        lambda bad: bad.alone,
        {},
        lambda bad: (
            f"its certificate is of an unknown authority, none of {bad.good.authority.certificate}: CN=alone, "
            "signed by itself, valid from"
        ),
        "`associate.tls_args.ca`",
    ),
}


@contextlib.asynccontextmanager
async def shown_by_a_server(certificate: Certificate) -> AsyncGenerator[Running]:
    async with serving(listener=listening(TLS(**files(certificate))), timers=TIMERS) as running:
        yield running


def site_at(folder: Path, port: int, tls: dict[str, Any]) -> Path:
    rules = folder / "rules.yaml"
    peer = {"ae_title": "PACS", "address": f"127.0.0.1:{port}", "associate": {"tls_args": tls}}
    gateway = {"ae_title": "GATEWAY", "listeners": [{"port": 11112}], "admit": "any"}
    rules.write_text(yaml.safe_dump({"gateway": gateway, "peers": {"pacs": peer}, "unmatched": "hold"}))
    return rules


@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_that_is_not_who_it_should_be(bad: Bad, name: str, tmp_path: Path) -> None:
    """By an association, by `gateway echo` and by the doctor."""
    shown, settings, said, remedy = SERVERS[name]
    ca = bad.good.authority.certificate
    async with shown_by_a_server(shown(bad)) as running:
        with pytest.raises(PeerError) as error:
            await call(running.port, TLS(ca=(ca,), **settings))
        assert f"is not who it should be: {said(bad)}" in str(error.value)
        rules = site_at(tmp_path, running.port, {"ca": ca, **settings})
        echo = await asyncio.to_thread(CliRunner().invoke, main, ["echo", "pacs", "--rules", str(rules)])
        assert (echo.exit_code, said(bad) in echo.output) == (1, True), echo.output
        loaded = load(rules, {})
        assert loaded.table is not None
        assert loaded.process_settings is not None
        site = Site(rules, loaded, loaded.process_settings, Machine(), 60.0)
        (finding,) = await examined(loaded.table.peers["pacs"], site)
        assert (finding.code, said(bad) in finding.what, remedy in finding.remedy) == (
            "certificate-refused",
            True,
            True,
        ), finding
        assert not running.server.associations


async def test_an_authority_that_has_expired(bad: Bad, tmp_path: Path) -> None:
    authority = type(bad.good.authority).create_between(
        tmp_path / "ca", "Old CA", datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) - timedelta(days=2)
    )
    server = authority.issue("server", "/CN=fine")
    async with shown_by_a_server(server) as running:
        with pytest.raises(PeerError) as error:
            await call(running.port, TLS(ca=(authority.certificate,)))
    ended = day(described(Path(authority.certificate).read_bytes()).until)
    text = (
        f"an authority above its certificate has expired ({authority.certificate} ended {ended} UTC): CN=fine, issued"
    )
    assert text in str(error.value)


CLIENTS: dict[str, tuple[Shown, str]] = {
    "expired": (lambda bad: bad.expired, "the client's certificate has expired"),
    "not valid yet": (lambda bad: bad.future, "the client's certificate is not valid yet"),
    "of an unknown authority": (
        lambda bad: bad.good.stranger,
        "the client's certificate is of an authority that is not in `client_ca`",
    ),
    "signed by itself": (
        lambda bad: bad.alone,
        "the client's certificate is signed by itself, and is not in `client_ca`",
    ),
}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_whose_certificate_is_not_taken(bad: Bad, name: str, version: Any) -> None:
    shown, said = CLIENTS[name]
    ca = (bad.good.authority.certificate,)
    tls = TLS(**files(bad.good.server), ca=ca, client_certificates="required", minimum_version=version)
    with capture_logs() as logs:
        async with serving(listener=listening(tls), timers=TIMERS) as running:
            with pytest.raises(PeerError):
                await call(running.port, TLS(ca=ca, minimum_version=version, **files(shown(bad))))
            await until(lambda: any(row["event"] == "tls_handshake_failed" for row in logs))
    (row,) = (row for row in logs if row["event"] == "tls_handshake_failed")
    assert (row["listener"], row["remote_host"], row["reason"]) == ("tls", "127.0.0.1", said)


OURS: dict[str, tuple[Shown, dict[str, Any], str]] = {
    "expired": (lambda bad: bad.expired, {}, "it says that ours has expired"),
    "of an unknown authority": (
        lambda bad: bad.good.stranger,
        {},
        "it does not know the authority that issued ours",
    ),
    "none": (lambda bad: bad.good.server, {"certificate": "", "key": ""}, "it demands one of us"),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", OURS)
async def test_a_server_that_does_not_take_our_certificate(bad: Bad, name: str) -> None:
    """As OpenSSL's own server, which sends an alert."""
    shown, settings, said = OURS[name]
    ca = bad.good.authority.certificate
    own = {**files(shown(bad)), **settings}
    server = bad.good.server
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", server.certificate, "-key", server.key]
    process = await asyncio.create_subprocess_exec(
        *command, "-CAfile", ca, "-Verify", "2", "-verify_return_error", "-naccept", "1",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = b""
    while not line.startswith(b"ACCEPT"):
        line = await process.stdout.readline()
    port = int(line.rpartition(b":")[2])
    try:
        with pytest.raises(PeerError) as error:
            await call(port, TLS(ca=(ca,), **own))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    which = f"{own['certificate']}: {of(shown(bad))}" if own["certificate"] else "none is configured"
    assert f"it refuses our certificate: {said} ({which})" in str(error.value)


async def asyncio_client(port: int, ca: str) -> None:
    """Ends the connection without an alert."""
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(cafile=ca))


async def dcmtk_client(port: int, ca: str) -> None:
    assert (await echoscu(port, options=["+tla", "+cf", ca])).returncode != 0


REFUSING: dict[Callable[[int, str], Awaitable[None]], str] = {
    asyncio_client: "it ended the connection during the TLS handshake: it takes none of our versions and cipher "
    "suites, or not our certificate",
    dcmtk_client: "it refuses our certificate: it does not know the authority that issued ours",
}


@pytest.mark.peers
@pytest.mark.parametrize("client", REFUSING)
async def test_a_client_that_does_not_take_ours(bad: Bad, client: Callable[[int, str], Awaitable[None]]) -> None:
    with capture_logs() as logs:
        async with shown_by_a_server(bad.good.server) as running:
            await client(running.port, bad.good.other.certificate)
            await until(lambda: any(row["event"] == "tls_handshake_failed" for row in logs))
    (row,) = (row for row in logs if row["event"] == "tls_handshake_failed")
    certificate = bad.good.server.certificate
    assert row["reason"] == f"{REFUSING[client]} ({certificate}: {of(bad.good.server)})"
    assert of(bad.good.server).until > datetime.now(UTC)
