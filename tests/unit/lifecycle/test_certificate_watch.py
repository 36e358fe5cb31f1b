"""The watch over TLS files: renewed ones are taken, bad ones are not, and what ends is told in time."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.dimse.protocol.tls import client_context, server_context
from gateway.dimse.protocol.tls_contexts import ClientContexts, ReloadedContext
from gateway.lifecycle import certificate_watch
from gateway.lifecycle.certificate_watch import CERTIFICATE_METRIC, REVOCATION_LIST_METRIC, CertificateWatch
from gateway.model.associate import AssociateKeywords
from gateway.model.peer import Peer
from gateway.model.security import TLS
from gateway.ports.errors import ConfigurationError
from tests.support.certificates import Authority
from tests.support.processes import GUARD_S, until


class Gauges:
    def __init__(self) -> None:
        self.rows: dict[str, Mapping[tuple[str, ...], float]] = {}

    def replace(self, name: str, values: Mapping[tuple[str, ...], float], /) -> None:
        self.rows[name] = values


class Site:
    """A listener and a peer with the same kind of files, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create(folder / "ca")
        self.first = self.authority.issue("first", "/CN=first", days=60)
        self.second = self.authority.issue("second", "/CN=second", days=100)
        self.crl = self.authority.revocation_list("list", days=50)
        self.now = datetime.now(UTC)
        self.gauges = Gauges()
        self.files: dict[str, TLS] = {}
        for name in ("listener", "peer"):
            own = folder / name
            own.mkdir()
            certificate, key = str(own / "certificate.pem"), str(own / "key.pem")
            self.files[name] = TLS(certificate, key, ca=(self.authority.certificate,), crl=(self.crl,))
            self.install(name, self.first)
        self.listener = ReloadedContext(self.files["listener"], server_context)
        self.clients = ClientContexts()
        self.clients.get(self.files["peer"])
        self.peers = {
            "pacs": Peer("pacs", "PACS", "127.0.0.1", 104, associate=AssociateKeywords(tls=self.files["peer"]))
        }
        self.watch = CertificateWatch(
            lambda: {"secure": self.listener}, lambda: self.peers, self.gauges, lambda: self.now, self.clients
        )

    def install(self, name: str, which: Any, *, key: Any = None) -> None:
        shutil.copy(which.certificate, self.files[name].certificate)
        shutil.copy((key or which).key, self.files[name].key)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def events(logs: Any) -> list[str]:
    return [one["event"] for one in logs]


async def test_nothing_happens_while_nothing_changes(site: Site) -> None:
    before = site.listener.current, site.clients.get(site.files["peer"])
    with capture_logs() as logs:
        await site.watch.look()
        await site.watch.look()
    assert (site.listener.current, site.clients.get(site.files["peer"])) == before
    assert not logs


async def test_files_that_were_touched_are_not_taken_anew(site: Site) -> None:
    before = site.listener.current
    Path(site.files["listener"].certificate).touch()
    await site.watch.look()
    assert site.listener.current is before


async def test_renewed_files_are_taken(site: Site) -> None:
    before = site.listener.current, site.clients.get(site.files["peer"])
    site.install("listener", site.second)
    site.install("peer", site.second)
    with capture_logs() as logs:
        await site.watch.look()
    assert site.listener.current is not before[0]
    assert site.clients.get(site.files["peer"]) is not before[1]
    assert [(one["event"], one["used_by"]) for one in logs] == [
        ("certificate_reloaded", "listener secure"),
        ("certificate_reloaded", "peer pacs"),
    ]


BAD = ["another key", "half a certificate", "half a key", "empty", "gone"]


@pytest.mark.parametrize("how", BAD)
async def test_files_that_cannot_be_used_leave_the_former_in_force(site: Site, how: str) -> None:
    before = site.listener.current
    certificate, key = Path(site.files["listener"].certificate), Path(site.files["listener"].key)
    match how:
        case "another key":
            site.install("listener", site.second, key=site.first)
        case "half a certificate":
            certificate.write_text(certificate.read_text()[: certificate.stat().st_size // 2])
        case "half a key":
            key.write_text(key.read_text()[: key.stat().st_size // 2])
        case "empty":
            certificate.write_text("")
        case "gone":
            key.unlink()
    with capture_logs() as logs:
        await site.watch.look()
        await site.watch.look()
    assert site.listener.current is before
    assert events(logs) == ["certificate_not_reloaded"]
    site.install("listener", site.second)
    with capture_logs() as logs:
        await site.watch.look()
    assert site.listener.current is not before
    assert events(logs) == ["certificate_reloaded"]


async def test_a_new_revocation_list_is_taken(site: Site) -> None:
    before = site.listener.current
    site.authority.revocation_list("list", site.second, days=70)
    await site.watch.look()
    assert site.listener.current is not before


async def test_ends_are_shown(site: Site) -> None:
    await site.watch.look()
    rows = site.gauges.rows[CERTIFICATE_METRIC]
    assert {key[:2] for key in rows} == {("listener", "secure"), ("peer", "pacs")}
    own = rows["listener", "secure", site.files["listener"].certificate]
    assert abs(own - (site.now + timedelta(days=60)).timestamp()) < 3600
    lists = site.gauges.rows[REVOCATION_LIST_METRIC]
    assert abs(lists["peer", "pacs", site.crl] - (site.now + timedelta(days=50)).timestamp()) < 3600
    site.peers = {}
    await site.watch.look()
    assert {key[:2] for key in site.gauges.rows[CERTIFICATE_METRIC]} == {("listener", "secure")}


STEPS = [
    (0, []),
    (29.5, []),
    (31, ["approached"]),
    (32, []),
    (54, ["approached"]),
    (59.5, ["approached"]),
    (61, ["expired"]),
    (62, []),
]


async def test_warnings_come_once_at_each_limit(site: Site) -> None:
    site.peers, start = {}, site.now
    for days, told in STEPS:
        site.now = start + timedelta(days=days)
        with capture_logs() as logs:
            await site.watch.look()
        own = [one for one in logs if one.get("file") == site.files["listener"].certificate]
        assert [one["event"].rpartition("_")[2] for one in own] == told, days
        assert all(one["log_level"] == ("error" if "expired" in one["event"] else "warning") for one in own)
    site.install("listener", site.second)
    with capture_logs() as logs:
        await site.watch.look()
    assert "certificate_reloaded" in events(logs)
    assert not [one for one in logs if one.get("file") == site.files["listener"].certificate]


async def test_a_mount_that_hangs_hangs_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, begun = threading.Event(), []

    def hang(tls: TLS) -> Any:
        begun.append(tls)
        stuck.wait(GUARD_S)
        return iter(())

    monkeypatch.setattr(certificate_watch, "validities", hang)
    monkeypatch.setattr(certificate_watch, "LIMIT_S", 0.05)
    with capture_logs() as logs:
        await site.watch.look()
        await site.watch.look()
        await site.watch.look()
    assert events(logs) == ["certificate_files_not_read"] * 3
    await until(lambda: begun)
    assert len(begun) == 1
    stuck.set()


async def test_a_fault_does_not_end_the_watch(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tls: TLS) -> Any:
        raise RuntimeError("a fault")

    monkeypatch.setattr(certificate_watch, "validities", fail)
    with capture_logs() as logs:
        await site.watch.look()
    assert events(logs) == ["certificate_watch_failed"]


async def test_it_looks_soon_when_asked(site: Site) -> None:
    looks = asyncio.Semaphore(0)

    async def look() -> None:
        looks.release()

    site.watch.look = look  # type: ignore[method-assign]
    running = asyncio.create_task(site.watch.run())
    async with asyncio.timeout(GUARD_S):
        await looks.acquire()
        site.watch.look_soon()
        await looks.acquire()
    running.cancel()


def test_contexts_of_peers_are_shared_and_forgotten(site: Site) -> None:
    tls = site.files["peer"]
    context = site.clients.get(tls)
    assert isinstance(context, ssl.SSLContext)
    assert site.clients.get(TLS(**{name: getattr(tls, name) for name in tls.__slots__})) is context
    site.clients.keep(set())
    assert site.clients.get(tls) is not context
    with pytest.raises(ConfigurationError):
        site.clients.get(TLS(certificate="/no/such/file"))
    assert client_context(tls) is not context
