"""The admission of requestors (PS3.8 §9.3.4)."""

import re
from dataclasses import replace
from typing import Any

import pytest

from gateway.dimse.acceptor.admission import Admitted, Rejected, admit
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.model.security import CertificateMatch, Requirements
from gateway.model.settings import Settings, Spool

SETTINGS: dict[str, Any] = {"ae_title": "GATEWAY", "listeners": (), "spool": Spool(path=""), "queue_path": ""}
STORE = frozenset({"store"})

PEERS = {
    peer.name: peer
    for peer in (
        Peer("anywhere", "ANY", may=STORE),
        Peer("north", "CT", may=STORE, hosts=("10.1.0.0/16",)),
        Peer("south", "CT", may=STORE, hosts=("10.2.0.7", "fd00::/8")),
        Peer("archive", "PACS", host="10.9.9.9", port=104),
    )
}


def facts(calling: str, host: str = "10.0.0.1", called: str = "GATEWAY") -> AssociationFacts:
    return AssociationFacts(calling, called, host)


@pytest.mark.parametrize(
    ("calling", "host", "name"),
    [
        ("ANY", "192.168.7.7", "anywhere"),
        ("ANY", "fe80::1%eth0", "anywhere"),
        ("CT", "10.1.200.3", "north"),
        ("CT", "::ffff:10.1.200.3", "north"),
        ("CT", "10.2.0.7", "south"),
        ("CT", "fd00::5", "south"),
    ],
)
@pytest.mark.parametrize("mode", ["known", "any"])
def test_known_peers(calling: str, host: str, name: str, mode: Any) -> None:
    assert admit(facts(calling, host), Settings(**SETTINGS, admit=mode), PEERS) == Admitted(PEERS[name])


REJECTED: dict[str, tuple[AssociationFacts, str, tuple[int, int, int]]] = {
    "called title": (facts("ANY", called="OTHER"), "any", (1, 1, 7)),
    "called title in small letters": (facts("ANY", called="gateway"), "any", (1, 1, 7)),
    "no called title": (facts("ANY", called=""), "any", (1, 1, 7)),
    "stranger": (facts("STRANGER"), "known", (1, 1, 3)),
    "stranger without a title": (facts(""), "any", (1, 1, 3)),
    "calling title from elsewhere": (facts("CT", "10.3.0.1"), "known", (1, 1, 3)),
    "calling title from elsewhere, although any may": (facts("CT", "10.3.0.1"), "any", (1, 1, 3)),
    "host that is no address": (facts("CT", "somewhere"), "known", (1, 1, 3)),
    "a destination only": (facts("PACS"), "known", (1, 1, 3)),
}


@pytest.mark.parametrize(("who", "mode", "numbers"), REJECTED.values(), ids=REJECTED.keys())
def test_rejections(who: AssociationFacts, mode: Any, numbers: tuple[int, int, int]) -> None:
    with pytest.raises(Rejected) as caught:
        admit(who, Settings(**SETTINGS, admit=mode), PEERS)
    assert (caught.value.result, caught.value.source, caught.value.reason) == numbers


FINGERPRINT = "ab" * 32
SAN = CertificateMatch(subject_alternative_names=("DNS:ct1.example.org",))
SECURE = AssociationFacts(
    "CT1",
    "GATEWAY",
    "10.0.0.1",
    listener="secure",
    is_tls=True,
    tls_subject="CN=ct1,O=Radiology",
    tls_names=("DNS:ct1.example.org", "IP:10.0.0.1"),
    tls_fingerprint=FINGERPRINT,
)
CT2 = replace(SECURE, tls_subject="CN=ct2,O=Radiology", tls_names=("DNS:ct2.example.org",), tls_fingerprint="cd" * 32)
PLAIN = AssociationFacts("CT1", "GATEWAY", "10.0.0.1", listener="plain")
TLS_ONLY = replace(PLAIN, is_tls=True, listener="secure")

REQUIREMENTS: dict[str, tuple[Requirements, AssociationFacts, str]] = {
    "tls": (Requirements(is_tls=True), TLS_ONLY, ""),
    "tls, but plain": (Requirements(is_tls=True), PLAIN, "not without TLS"),
    "listener": (Requirements(listeners=("secure",)), TLS_ONLY, ""),
    "one of two listeners": (Requirements(listeners=("other", "secure")), TLS_ONLY, ""),
    "another listener": (Requirements(listeners=("secure",)), PLAIN, "not over the listener 'plain'"),
    "name": (Requirements(certificate=SAN), SECURE, ""),
    "name of another": (Requirements(certificate=SAN), CT2, "another subject alternative name"),
    "name, but no certificate": (Requirements(certificate=SAN), TLS_ONLY, "shows no certificate"),
    "name, but plain": (Requirements(is_tls=True, certificate=SAN), PLAIN, "not without TLS"),
    "fingerprint": (Requirements(certificate=CertificateMatch(fingerprints=("00" * 32, FINGERPRINT))), SECURE, ""),
    "fingerprint of another": (
        Requirements(certificate=CertificateMatch(fingerprints=(FINGERPRINT,))),
        CT2,
        "another certificate fingerprint",
    ),
    "subject": (Requirements(certificate=CertificateMatch(subject=(("CN", ("ct0", "ct1")),))), SECURE, ""),
    "subject of another": (
        Requirements(certificate=CertificateMatch(subject=(("O", ("Radiology",)), ("CN", ("ct1",))))),
        CT2,
        "another CN in the certificate's subject",
    ),
    "no such part of the subject": (
        Requirements(certificate=CertificateMatch(subject=(("L", ("Here",)),))),
        SECURE,
        "another L in the certificate's subject",
    ),
    "all at once": (
        Requirements(True, ("secure",), replace(SAN, fingerprints=(FINGERPRINT,), subject=(("CN", ("ct1",)),))),
        SECURE,
        "",
    ),
    "one of all not": (
        Requirements(True, ("secure",), replace(SAN, fingerprints=("00" * 32,), subject=(("CN", ("ct1",)),))),
        SECURE,
        "another certificate fingerprint",
    ),
}


@pytest.mark.parametrize(("requires", "who", "why"), REQUIREMENTS.values(), ids=REQUIREMENTS.keys())
@pytest.mark.parametrize("mode", ["known", "any"])
def test_requirements(requires: Requirements, who: AssociationFacts, why: str, mode: Any) -> None:
    peers = {"ct1": Peer("ct1", "CT1", may=STORE, requires=requires)}
    settings = Settings(**SETTINGS, admit=mode)
    if not why:
        assert admit(who, settings, peers).peer is peers["ct1"]
        return
    with pytest.raises(Rejected, match=re.escape(why)) as caught:
        admit(who, settings, peers)
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 3)
    assert "ct2.example.org" not in str(caught.value)


def test_two_peers_with_one_title_are_told_apart_by_certificate() -> None:
    other = CertificateMatch(subject_alternative_names=("DNS:ct2.example.org",))
    peers = {
        "ct1": Peer("ct1", "CT1", may=STORE, requires=Requirements(certificate=SAN)),
        "ct2": Peer("ct2", "CT1", may=STORE, requires=Requirements(certificate=other)),
    }
    settings = Settings(**SETTINGS, admit="any")
    assert admit(SECURE, settings, peers).peer is peers["ct1"]
    assert admit(CT2, settings, peers).peer is peers["ct2"]
    with pytest.raises(Rejected, match=r"ct1: not without|ct1: the requestor shows no certificate; ct2: "):
        admit(PLAIN, settings, peers)
    both = replace(SECURE, tls_names=("DNS:ct1.example.org", "DNS:ct2.example.org"))
    with pytest.raises(Rejected, match="ct1 and ct2 have it"):
        admit(both, settings, peers)


OWNED: dict[str, tuple[dict[str, Peer], frozenset[str]]] = {
    "a peer with requirements and nothing that it may": (
        {"ct1": Peer("ct1", "CT1", requires=Requirements(is_tls=True))},
        frozenset(),
    ),
    "a disabled peer": ({}, frozenset({"CT1"})),
    "a destination of the same title beside it": (
        {
            "archive": Peer("archive", "CT1", host="10.9.9.9", port=104),
            "ct1": Peer("ct1", "CT1", may=STORE, requires=Requirements(certificate=SAN)),
        },
        frozenset(),
    ),
}


@pytest.mark.parametrize(("peers", "reserved"), OWNED.values(), ids=OWNED.keys())
@pytest.mark.parametrize("who", [PLAIN, TLS_ONLY, CT2], ids=["plain", "TLS", "another certificate"])
def test_an_owned_title_is_no_stranger_s(
    peers: dict[str, Peer], reserved: frozenset[str], who: AssociationFacts
) -> None:
    with pytest.raises(Rejected):
        admit(who, Settings(**SETTINGS, admit="any"), peers, reserved=reserved)


@pytest.mark.parametrize("calling", ["STRANGER", "PACS"])
def test_strangers_where_any_may(calling: str) -> None:
    assert admit(facts(calling), Settings(**SETTINGS, admit="any"), PEERS).peer is None


@pytest.mark.parametrize("titles", [("OTHER", "SECOND"), ("*",)], ids=["named", "any"])
def test_further_called_titles(titles: tuple[str, ...]) -> None:
    settings = Settings(**SETTINGS, called_ae_titles=titles)
    assert admit(facts("ANY", called="SECOND"), settings, PEERS).peer is PEERS["anywhere"]
    assert admit(facts("ANY"), settings, PEERS).peer is PEERS["anywhere"]
