"""TLS both ways: certificates, versions, who may not, and handshakes that keep nobody waiting (PS3.15 §B.12)."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.tls import client_context, server_context
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.dimse.server import Server
from gateway.model.association import AssociationFacts
from gateway.model.listener import Listener
from gateway.model.security import TLS
from gateway.ports.errors import ConfigurationError, DestinationDown, DestinationRefuses
from tests.support import tls
from tests.support.certificates import Certificate
from tests.support.dimse.rig import CT, IMPLICIT, TIMERS, Peer, associate_rq, serving
from tests.support.peers import StoreSCP, echoscu, storescu
from tests.support.processes import GUARD_S, until
from tests.support.tls import Certificates, certificates_in, files, listening


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("tls"))


def listener(certificates: Certificates, **settings: Any) -> Listener:
    return listening(TLS(**{**files(certificates.server), **_with_lists(settings)}))


def _with_lists(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: (one,) if name in ("ca", "crl") and isinstance(one, str) else one for name, one in settings.items()}


async def call(port: int, **settings: Any) -> RequestorAssociation:
    return await tls.call(port, TLS(**_with_lists(settings)))


async def facts_of(server: Server) -> AssociationFacts:
    await until(lambda: len(server.associations) == 1)
    (association,) = server.associations
    return association.facts


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(
    ("wanted", "shows", "subject"),
    [
        ("none", False, ""),
        ("none", True, ""),
        ("optional", False, ""),
        ("optional", True, "CN=ct1,O=Radiology"),
        ("required", True, "CN=ct1,O=Radiology"),
    ],
)
async def test_client_certificates(
    certificates: Certificates, wanted: str, shows: bool, subject: str, version: str
) -> None:
    ca = certificates.authority.certificate
    client = files(certificates.ct1 if shows else None)
    served = listener(certificates, ca=ca, client_certificates=wanted, minimum_version=version)
    data = bytes(3_000_000)
    async with serving(listener=served, timers=TIMERS) as running:
        association = await call(running.port, ca=ca, minimum_version=version, **client)
        assert (await facts_of(running.server)).tls_subject == subject
        assert await association.c_echo() == 0
        answer = await association.c_store(
            sop_class_uid=CT, sop_instance_uid="1.2", transfer_syntax_uid=IMPLICIT, body=MemoryDataSet(data)
        )
        assert answer.status == 0
        await association.release()


async def test_a_missing_client_certificate_is_refused(certificates: Certificates) -> None:
    ca = certificates.authority.certificate
    for version in ("1.2", "1.3"):
        served = listener(certificates, ca=ca, client_certificates="required", minimum_version=version)
        async with serving(listener=served, timers=TIMERS) as running:
            with pytest.raises((DestinationRefuses, DestinationDown), match="pacs"):
                await call(running.port, ca=ca)
            assert not running.server.associations


async def test_a_client_certificate_of_a_stranger_is_refused(certificates: Certificates) -> None:
    ca = certificates.authority.certificate
    served = listener(certificates, ca=ca, client_certificates="optional")
    async with serving(listener=served, timers=TIMERS) as running:
        with pytest.raises((DestinationRefuses, DestinationDown), match="pacs"):
            await call(running.port, ca=ca, **files(certificates.stranger))
        assert not running.server.associations


IDENTITIES: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "nobody we trust signed it": ({"which": "server"}, {"ca": "stranger"}, "not who it should be"),
    "another name": ({"which": "elsewhere"}, {}, "not who it should be"),
    "another name, which we expect": ({"which": "elsewhere"}, {"server_name": "elsewhere.example"}, ""),
    "another name, which we do not check": ({"which": "elsewhere"}, {"verify": False}, ""),
    "nobody we trust signed it, unchecked": ({"which": "server"}, {"verify": False, "ca": ()}, ""),
}


@pytest.mark.parametrize(("server", "client", "error"), IDENTITIES.values(), ids=IDENTITIES.keys())
async def test_who_the_server_is(
    certificates: Certificates, server: dict[str, str], client: dict[str, Any], error: str
) -> None:
    shown: Certificate = getattr(certificates, server["which"])
    settings = {"ca": certificates.authority.certificate, **client}
    if settings["ca"] == "stranger":
        settings["ca"] = certificates.other.certificate
    served = listener(certificates, **files(shown))
    async with serving(listener=served, timers=TIMERS) as running:
        if error:
            with pytest.raises(DestinationRefuses, match=error):
                await call(running.port, **settings)
            return
        association = await call(running.port, **settings)
        assert await association.c_echo() == 0
        await association.release()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
async def test_a_version_below_the_minimum_is_refused(certificates: Certificates, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=certificates.authority.certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    minimum = "1.2" if version is ssl.TLSVersion.TLSv1_1 else "1.3"
    async with serving(listener=listener(certificates, minimum_version=minimum), timers=TIMERS) as running:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):  # asyncio resets the connection without a TLS alert
            await Peer.connect(running.port, ssl=context)
        assert not running.server.associations


async def test_a_key_from_a_secret(certificates: Certificates) -> None:
    key = Path(certificates.server.key).read_text()
    async with serving(listener=listener(certificates, key="", key_pem=key), timers=TIMERS) as running:
        association = await call(running.port, ca=certificates.authority.certificate)
        await association.release()


async def test_a_renewed_certificate_serves_the_next_listener(certificates: Certificates, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    served = listener(certificates, certificate=str(certificate), key=str(key))
    ca = certificates.authority.certificate

    def install(which: Certificate) -> None:
        certificate.write_bytes(Path(which.certificate).read_bytes())
        key.write_bytes(Path(which.key).read_bytes())

    install(certificates.elsewhere)
    async with serving(listener=served, timers=TIMERS) as running:
        with pytest.raises(DestinationRefuses):
            await call(running.port, ca=ca)
        install(certificates.server)
        await running.server.close("tls")
        association = await call(await running.server.listen(served), ca=ca)
        await association.release()


async def test_plain_dicom_to_a_tls_listener_and_back(certificates: Certificates) -> None:
    async with serving(listener=listener(certificates), timers=TIMERS) as running:
        async with await Peer.connect(running.port) as peer:
            peer.send(associate_rq())
            await peer.reader.read()
        assert not running.server.associations
    async with serving(timers=TIMERS) as plain:
        with pytest.raises(DestinationRefuses, match="TLS failed"):
            await call(plain.port, verify=False)


async def test_a_silent_client_blocks_nobody(certificates: Certificates) -> None:
    async with (
        serving(listener=listener(certificates), timers=TIMERS) as running,
        await Peer.connect(running.port) as silent,
        await Peer.connect(running.port),
    ):
        silent.send(b"\x16\x03\x01")
        async with asyncio.timeout(GUARD_S):  # half of what a handshake may take
            association = await call(running.port, ca=certificates.authority.certificate)
            await association.release()


async def test_a_silent_client_is_let_go(certificates: Certificates) -> None:
    timers = dataclasses.replace(TIMERS, tls_handshake_s=0.3)
    async with (
        serving(listener=listener(certificates), timers=timers) as running,
        await Peer.connect(running.port) as first,
        await Peer.connect(running.port) as second,
    ):
        second.send(b"\x16\x03\x01")
        assert await first.is_closed()
        assert await second.is_closed()


async def test_stopping_in_the_middle_of_a_handshake(certificates: Certificates) -> None:
    async with (
        serving(listener=listener(certificates), timers=TIMERS) as running,
        await Peer.connect(running.port) as silent,
    ):
        await until(lambda: running.server.has_connections)
        assert await running.server.drain(60) is True  # nothing of it can be lost
        assert await silent.is_closed()


@pytest.mark.parametrize("setting", ["certificate", "key", "ca"])
async def test_files_that_cannot_be_used(certificates: Certificates, tmp_path: Path, setting: str) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    settings = {
        **files(certificates.server),
        "ca": certificates.authority.certificate,
        "client_certificates": "required",
    }
    for path in (str(empty), str(tmp_path / "missing.pem")):
        with pytest.raises(ConfigurationError, match=path):
            server_context(TLS(**_with_lists({**settings, setting: path})))
        with pytest.raises(ConfigurationError, match=path):
            client_context(TLS(**_with_lists({**settings, setting: path})))


# --- dcmtk --------------------------------------------------------------------------------------------------------


@pytest.mark.peers
async def test_dcmtk_calls_with_a_certificate(certificates: Certificates, corpus: tuple[Path, ...]) -> None:
    ca = certificates.authority.certificate
    options = ["+tls", certificates.ct1.key, certificates.ct1.certificate, "+cf", ca]
    path = next(path for path in corpus if path.name == "CT_small.dcm")
    subjects: list[str] = []

    def store(event: Any) -> int:
        subjects.append(event.facts.tls_subject)
        return 0

    served = listener(certificates, ca=ca, client_certificates="required")
    async with serving(store, listener=served, timers=TIMERS) as running:
        assert (await echoscu(running.port, options=options)).returncode == 0
        done = await storescu(running.port, [path, path], options=options)
        assert done.returncode == 0, done.output
        assert subjects == ["CN=ct1,O=Radiology"] * 2
        assert (await echoscu(running.port, options=["+tla", "-ic"])).returncode != 0


@pytest.mark.peers
async def test_dcmtk_is_called(certificates: Certificates, tmp_path: Path) -> None:
    ca = certificates.authority.certificate
    options = ["+tls", certificates.server.key, certificates.server.certificate, "+cf", ca]
    async with StoreSCP(tmp_path / "scp", options=options) as scp:
        association = await call(scp.port, ca=ca, **files(certificates.ct1))
        assert await association.c_echo() == 0
        await association.release()
        with pytest.raises((DestinationRefuses, DestinationDown)):
            await call(scp.port, ca=ca)
