"""Renewed certificates are shown to the next peer, by listeners and to destinations, while associations go on."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.dimse.protocol.tls_contexts import CLIENT_CONTEXTS
from gateway.lifecycle.certificate_watch import CertificateWatch
from gateway.metrics import Metrics
from gateway.model.security import TLS
from tests.support.certificates import Authority, Certificate, fingerprint
from tests.support.dimse.rig import TIMERS, Running, serving
from tests.support.processes import until
from tests.support.tls import call, listening, peer_at


@dataclasses.dataclass(frozen=True)
class Files:
    authority: Authority
    first: Certificate
    second: Certificate
    server: TLS
    client: TLS

    def install(self, tls: TLS, which: Certificate, *, key: Certificate | None = None) -> None:
        shutil.copy(which.certificate, tls.certificate)
        shutil.copy((key or which).key, tls.key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    authority = Authority.create(tmp_path / "ca")
    trusted = (authority.certificate,)

    def of(name: str, **more: str) -> TLS:
        return TLS(str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key"), ca=trusted, **more)  # type: ignore[arg-type]

    found = Files(
        authority,
        authority.issue("first", "/CN=first"),
        authority.issue("second", "/CN=second"),
        of("server", client_certificates="required"),
        of("client"),
    )
    for tls in (found.server, found.client):
        found.install(tls, found.first)
    return found


async def shown_by(files: Files, port: int) -> str:
    """The fingerprint of the certificate that the listener shows."""
    context = ssl.create_default_context(cafile=files.authority.certificate)
    context.load_cert_chain(files.first.certificate, files.first.key)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return ssl.DER_cert_to_PEM_cert(encoded)


def watch(files: Files, running: Running) -> CertificateWatch:
    return CertificateWatch(
        lambda: running.server.tls_contexts,
        lambda: {"pacs": peer_at(running.port, files.client)},
        Metrics("test"),
        lambda: datetime.now(UTC),
        CLIENT_CONTEXTS,
    )


def pem(certificate: Certificate) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(Path(certificate.certificate).read_text()))


async def test_a_listener_shows_its_new_certificate_and_associations_go_on(files: Files) -> None:
    async with serving(listener=listening(files.server), timers=TIMERS) as running:
        looking, open_before = watch(files, running), await call(running.port, files.client)
        assert await shown_by(files, running.port) == pem(files.first)
        files.install(files.server, files.second, key=files.first)  # in the middle of being renewed
        with capture_logs() as logs:
            await looking.look()
        assert [one["event"] for one in logs] == ["certificate_not_reloaded"]
        assert await shown_by(files, running.port) == pem(files.first)
        files.install(files.server, files.second)
        await looking.look()
        assert await shown_by(files, running.port) == pem(files.second)
        assert await open_before.c_echo() == 0
        await open_before.release()


async def test_a_destination_is_shown_our_new_certificate(files: Files) -> None:
    async with serving(listener=listening(files.server), timers=TIMERS) as running:
        looking = watch(files, running)
        for which in (files.first, files.second):
            files.install(files.client, which)
            await looking.look()
            association = await call(running.port, files.client)
            await until(lambda: len(running.server.associations) == 1)
            (accepted,) = running.server.associations
            assert accepted.facts.tls_fingerprint == fingerprint(which).replace(":", "").lower()
            await association.release()
            await until(lambda: not running.server.associations)


async def test_a_list_that_is_out_of_date_is_named(files: Files) -> None:
    crl = files.authority.revocation_list("old", days=-1)
    tls = dataclasses.replace(files.server, crl=(crl,), client_certificates="required")
    async with serving(listener=listening(tls), timers=TIMERS) as running:
        with capture_logs() as logs:
            with pytest.raises(Exception, match="pacs"):
                await call(running.port, files.client)
            await until(lambda: any(one["event"] == "tls_handshake_failed" for one in logs))
    (failed,) = [one for one in logs if one["event"] == "tls_handshake_failed"]
    assert "revocation list of the client's authority is out of date" in failed["reason"]


async def test_plain_dicom_to_a_listener_with_tls_is_named(files: Files) -> None:
    async with serving(listener=listening(files.server), timers=TIMERS) as running:
        with capture_logs() as logs:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(b"\x01\x00\x00\x00\x00\xcd" + bytes(205))
            await reader.read()
            await until(lambda: any(one["event"] == "tls_handshake_failed" for one in logs))
            writer.close()
    (failed,) = [one for one in logs if one["event"] == "tls_handshake_failed"]
    assert failed["reason"] == "this is no TLS; does the client speak plain DICOM here?"
