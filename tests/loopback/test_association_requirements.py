"""What a peer `requires` over real TLS: a calling AE title alone proves nothing."""

from __future__ import annotations

import dataclasses
from textwrap import dedent
from typing import Any

import pytest

from gateway.config import load
from gateway.dimse.acceptor.admission import Admitted, admit
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.association import AssociationFacts
from gateway.model.listener import Listener
from gateway.model.security import TLS
from gateway.ports.errors import DestinationDown, DestinationRefuses
from gateway.routing.table import RoutingTable
from tests.support import tls
from tests.support.certificates import Certificate, fingerprint
from tests.support.dimse.rig import CONTEXTS, TIMERS, Running, serving
from tests.support.peers import echoscu
from tests.support.tls import Certificates, certificates_in, files


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("requirements"))


def rules(site: Certificates, requires: str, *, client_ca: str = "[ca/ca.pem]") -> RoutingTable:
    """A site where CT1 must show what `requires` says."""
    text = f"""\
    gateway:
      ae_title: GATEWAY
      admit: any
      listeners:
        - {{port: 0, name: plain, address: 127.0.0.1}}
        - port: 0
          name: secure
          address: 127.0.0.1
          tls:
            certificate: ca/gateway.pem
            key: ca/gateway.key
            client_ca: {client_ca}
            client_certificates: optional
    unmatched: hold
    peers:
      ct1: {{ae_title: CT1, may: [store], requires: {requires}}}
    """
    path = site.folder / "rules.yaml"
    path.write_text(dedent(text))
    loaded = load(path, {})
    assert loaded.table is not None, loaded.problems
    return loaded.table


def listener(table: RoutingTable, name: str) -> Listener:
    return next(one for one in table.settings.listeners if one.name == name)


def admission(table: RoutingTable) -> Any:
    def decide(facts: AssociationFacts) -> Admitted:
        return admit(facts, table.settings, table.peers, reserved=table.reserved_ae_titles)

    return decide


async def call(
    running: Running, site: Certificates, shows: Certificate | None, *, title: str = "CT1"
) -> RequestorAssociation:
    return await tls.call(running.port, TLS(ca=(site.authority.certificate,), **files(shows)), title=title)


def demands(site: Certificates) -> dict[str, str]:
    return {
        "subject": "{certificate: {subject: {CN: ct1, O: Radiology}}}",
        "name": "{certificate: {subject_alternative_name: ct1.example.org}}",
        "one of two names": "{certificate: {subject_alternative_name: [ct0.example.org, CT1.example.org]}}",
        "fingerprint": f"{{certificate: {{fingerprint: '{fingerprint(site.ct1)}'}}}}",
        "all, and a listener": (
            "{tls: true, listener: secure, certificate: {subject: {CN: ct1}, "
            f"subject_alternative_name: ct1.example.org, fingerprint: ['{fingerprint(site.ct1)}']}}}}"
        ),
    }


@pytest.mark.parametrize("kind", ["subject", "name", "one of two names", "fingerprint", "all, and a listener"])
async def test_only_its_own_certificate_makes_a_peer(site: Certificates, kind: str) -> None:
    table = rules(site, demands(site)[kind])
    async with serving(admission=admission(table), listener=listener(table, "secure"), timers=TIMERS) as running:
        association = await call(running, site, site.ct1)
        assert [one.facts.peer for one in running.server.associations] == ["ct1"]
        assert await association.c_echo() == 0
        await association.release()
        for shows in (site.ct2, None):
            with pytest.raises(DestinationRefuses, match="Calling AE title not recogni"):
                await call(running, site, shows)
        stranger = await call(running, site, site.ct2, title="CT9")  # `admit: any` is for titles that nobody owns
        await stranger.release()


@pytest.mark.parametrize("requires", ["{tls: true}", "{listener: secure}"])
async def test_the_plain_port_is_closed_to_a_peer_of_the_secure_one(site: Certificates, requires: str) -> None:
    table = rules(site, requires)
    async with serving(admission=admission(table), listener=listener(table, "plain"), timers=TIMERS) as running:
        with pytest.raises(DestinationRefuses, match="Calling AE title not recogni"):
            await tls.call(running.port, None, title="CT1")
        stranger = await tls.call(running.port, None, title="CT9")
        await stranger.release()
    async with serving(admission=admission(table), listener=listener(table, "secure"), timers=TIMERS) as running:
        association = await call(running, site, None)
        await association.release()


async def test_several_authorities(site: Certificates) -> None:
    requires = "{certificate: {subject_alternative_name: [ct1.example.org, ct3.example.org]}}"
    table = rules(site, requires, client_ca="[ca/ca.pem, other/ca.pem]")
    async with serving(admission=admission(table), listener=listener(table, "secure"), timers=TIMERS) as running:
        for shows in (site.ct1, site.stranger):
            association = await call(running, site, shows)
            await association.release()
    table = rules(site, requires)
    async with serving(admission=admission(table), listener=listener(table, "secure"), timers=TIMERS) as running:
        with pytest.raises((DestinationRefuses, DestinationDown)):
            await call(running, site, site.stranger)


LISTS = {
    "nobody revoked": ((), 30, {"ct1": True, "ct2": True}),
    "one revoked": (("ct1",), 30, {"ct1": False, "ct2": True}),
    "out of date": ((), -1, {"ct1": False, "ct2": False}),
}


@pytest.mark.parametrize(("revoked", "days", "taken"), LISTS.values(), ids=LISTS.keys())
@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_revocation_lists(
    site: Certificates, revoked: tuple[str, ...], days: int, taken: dict[str, bool], version: Any
) -> None:
    crl = site.authority.revocation_list("test", *(getattr(site, name) for name in revoked), days=days)
    settings = TLS(
        **files(site.server),
        ca=(site.authority.certificate, site.other.certificate),
        crl=(crl,),
        client_certificates="required",
        minimum_version=version,
    )
    async with serving(listener=tls.listening(settings), timers=TIMERS) as running:
        for name, is_taken in taken.items():
            if is_taken:
                association = await call(running, site, getattr(site, name))
                await association.release()
                continue
            with pytest.raises((DestinationRefuses, DestinationDown)):
                await call(running, site, getattr(site, name))
        with pytest.raises((DestinationRefuses, DestinationDown)):  # its authority has no list here
            await call(running, site, site.stranger)


PINS: dict[str, tuple[dict[str, Any], str]] = {
    "fingerprint": ({"fingerprint": "server"}, ""),
    "fingerprint of another": ({"fingerprint": "ct1"}, "another certificate fingerprint"),
    "fingerprint, nothing else checked": ({"fingerprint": "server", "verify": False}, ""),
    "fingerprint of another, nothing else checked": ({"fingerprint": "ct1", "verify": False}, "another certificate"),
    "subject": ({"subject": "localhost"}, ""),
    "subject of another": ({"subject": "elsewhere"}, "another CN in the certificate's subject"),
}


@pytest.mark.parametrize(("pin", "error"), PINS.values(), ids=PINS.keys())
async def test_a_destination_s_certificate_can_be_pinned(site: Certificates, pin: dict[str, Any], error: str) -> None:
    certificate = f"{{subject: {{CN: {pin.get('subject')}}}}}"
    if "fingerprint" in pin:
        certificate = f"{{fingerprint: '{fingerprint(getattr(site, pin['fingerprint']))}'}}"
    trust = "verify: false" if pin.get("verify") is False else "ca: ca/ca.pem"
    text = f"""\
    gateway: {{ae_title: GATEWAY, admit: any, listeners: [{{port: 1}}]}}
    unmatched: hold
    peers:
      pacs:
        ae_title: PACS
        address: 127.0.0.1:104
        associate: {{tls_args: {{{trust}, server_certificate: {certificate}}}}}
    """
    path = site.folder / "pins.yaml"
    path.write_text(dedent(text))
    loaded = load(path, {})
    assert loaded.table is not None, loaded.problems
    async with serving(listener=tls.listening(TLS(**files(site.server))), timers=TIMERS) as running:
        peer = dataclasses.replace(loaded.table.peers["pacs"], port=running.port)
        if error:
            with pytest.raises(DestinationRefuses, match=error):
                await associate(peer, own_ae_title="GATEWAY", contexts=CONTEXTS)
            return
        association = await associate(peer, own_ae_title="GATEWAY", contexts=CONTEXTS)
        assert await association.c_echo() == 0
        await association.release()


@pytest.mark.peers
async def test_dcmtk_with_the_right_and_the_wrong_certificate(site: Certificates) -> None:
    table = rules(site, "{certificate: {subject_alternative_name: ct1.example.org}}")

    def options(shows: Certificate) -> list[str]:
        return ["+tls", shows.key, shows.certificate, "+cf", site.authority.certificate, "-aet", "CT1"]

    async with serving(admission=admission(table), listener=listener(table, "secure"), timers=TIMERS) as running:
        assert (await echoscu(running.port, options=options(site.ct1))).returncode == 0
        assert (await echoscu(running.port, options=options(site.ct2))).returncode != 0
