"""The secure transport connection profiles (PS3.15 §B.12, §B.13): what is negotiated, and what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.tls import CIPHER_SUITES, client_context, server_context
from gateway.model.listener import Listener
from gateway.model.security import TLS
from gateway.ports.errors import DestinationDown, DestinationRefuses
from tests.support.certificates import Authority, Certificate
from tests.support.dimse.rig import TIMERS, serving
from tests.support.peers import StoreSCP, echoscu, storescu
from tests.support.tls import call, files, listening


@dataclasses.dataclass(frozen=True)
class Keys:
    authority: Authority
    rsa: Certificate
    elliptic: Certificate


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    authority = Authority.create(tmp_path_factory.mktemp("profile"))
    rsa = authority.issue("rsa", "/CN=localhost", key_kind="rsa")
    return Keys(authority, rsa, authority.issue("ec", "/CN=localhost", key_kind="ec"))


def listener(certificate: Certificate, profile: Any = "bcp195") -> Listener:
    return listening(TLS(**files(certificate), profile=profile))


async def negotiated(port: int, keys: Keys, *options: str) -> str:
    """The cipher suite that `openssl s_client` gets; empty when the handshake fails."""

    def ask() -> str:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", keys.authority.certificate]
        done = subprocess.run(
            [*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        found = [line.split(" is ")[1] for line in done.stdout.splitlines() if "Cipher is" in line]
        return "" if not found or found[0] == "(NONE)" else found[0]

    return await asyncio.to_thread(ask)


RSA_OFFERS = {
    "CBC": (("-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:AES128-SHA"), ""),
    "no forward secrecy": (("-tls1_2", "-cipher", "AES256-GCM-SHA384:AES128-GCM-SHA256"), ""),
    "finite-field Diffie-Hellman": (("-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"), ""),
    "TLS 1.1": (("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"), ""),
    "weak first": (
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"),
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    "TLS 1.2": (("-tls1_2",), "ECDHE-RSA-AES256-GCM-SHA384"),
    "both versions": ((), "TLS_AES_256_GCM_SHA384"),
}


@pytest.mark.parametrize("profile", ["bcp195", "bcp195_modified"])
@pytest.mark.parametrize(("offer", "suite"), RSA_OFFERS.values(), ids=RSA_OFFERS.keys())
async def test_what_a_listener_takes(keys: Keys, offer: tuple[str, ...], suite: str, profile: str) -> None:
    async with serving(listener=listener(keys.rsa, profile), timers=TIMERS) as running:
        assert await negotiated(running.port, keys, *offer) == suite


OF_ONE_PROFILE = ["ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES256-CCM8", "ECDHE-ECDSA-CHACHA20-POLY1305"]


@pytest.mark.parametrize("suite", OF_ONE_PROFILE)
@pytest.mark.parametrize("profile", ["bcp195", "bcp195_modified"])
async def test_what_the_modified_profile_adds(keys: Keys, suite: str, profile: str) -> None:
    offer = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    async with serving(listener=listener(keys.elliptic, profile), timers=TIMERS) as running:
        assert await negotiated(running.port, keys, *offer) == (suite if profile == "bcp195_modified" else "")


@pytest.mark.parametrize("profile", ["bcp195", "bcp195_modified"])
def test_the_suites_are_those_of_the_profile(keys: Keys, profile: Any) -> None:
    """OpenSSL leaves out names that it does not know: none may be missing, and nothing may come in beside them."""
    settings = TLS(**files(keys.rsa), ca=(keys.authority.certificate,), profile=profile)
    for context in (server_context(settings), client_context(settings)):
        found = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] != "TLSv1.3"]
        assert tuple(found) == CIPHER_SUITES[profile]
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("suites", ["ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256"])
async def test_a_destination_with_weak_suites_alone_is_refused(keys: Keys, suites: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.rsa.certificate, keys.rsa.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suites)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((DestinationRefuses, DestinationDown), match="TLS"):
            await call(port, TLS(ca=(keys.authority.certificate,)))


@pytest.mark.peers
@pytest.mark.parametrize("options", [(), ("+px",), ("+pz",)], ids=["its default", "BCP 195", "extended BCP 195"])
async def test_dcmtk_calls(keys: Keys, corpus: tuple[Path, ...], options: tuple[str, ...]) -> None:
    path = next(path for path in corpus if path.name == "CT_small.dcm")
    arguments = ["+tla", "+cf", keys.authority.certificate, *options]
    async with serving(listener=listener(keys.rsa), timers=TIMERS) as running:
        assert (await echoscu(running.port, options=arguments)).returncode == 0
        done = await storescu(running.port, [path], options=arguments)
        assert done.returncode == 0, done.output
        assert (await echoscu(running.port, options=[*arguments[:3], "+pa"])).returncode != 0  # the retired profile


@pytest.mark.peers
async def test_dcmtk_is_called(keys: Keys, tmp_path: Path) -> None:
    options = ["+tls", keys.rsa.key, keys.rsa.certificate, "+cf", keys.authority.certificate, "-ic"]
    async with StoreSCP(tmp_path / "scp", options=options) as scp:
        association = await call(scp.port, TLS(ca=(keys.authority.certificate,)))
        assert await association.c_echo() == 0
        await association.release()
