"""A hospital's certificates, and associations over TLS with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.model.associate import AssociateKeywords
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.security import TLS
from tests.support.certificates import Authority, Certificate
from tests.support.dimse.rig import CONTEXTS, TIMERS

"""They only guard against hanging."""


@dataclasses.dataclass(frozen=True)
class Certificates:
    """Certificates of one authority, except where the field says otherwise."""

    folder: Path
    authority: Authority
    """Its files are `ca/ca.pem` and so on below `folder`."""
    other: Authority
    """The same in `other`."""
    server: Certificate
    """The one with an RSA key."""
    ct1: Certificate
    ct2: Certificate
    stranger: Certificate
    """The certificate of a modality whose authority is the other one."""
    elsewhere: Certificate
    """The certificate of a server with another name."""


def certificates_in(folder: Path) -> Certificates:
    """Made anew."""
    authority, other = Authority.create(folder / "ca"), Authority.create(folder / "other", "Other CA")
    return Certificates(
        folder,
        authority,
        other,
        authority.issue("gateway", "/CN=localhost/O=Hospital", key_kind="rsa"),
        authority.issue("ct1", "/CN=ct1/O=Radiology", host="DNS:ct1.example.org"),
        authority.issue("ct2", "/CN=ct2/O=Radiology", host="DNS:ct2.example.org"),
        other.issue("stranger", "/CN=ct3", host="DNS:ct3.example.org"),
        authority.issue("elsewhere", "/CN=elsewhere", host="DNS:elsewhere.example"),
    )


def files(certificate: Certificate | None) -> dict[str, Any]:
    """As settings of `TLS`; none for nobody's certificate."""
    return dataclasses.asdict(certificate) if certificate else {}


def listening(tls: TLS) -> Listener:
    """On any port of the loopback address."""
    return Listener("tls", 0, "127.0.0.1", tls)


def peer_at(port: int, tls: TLS | None) -> Peer:
    """A destination here; plain without `tls`."""
    return Peer("pacs", "GATEWAY", "127.0.0.1", port, timers=TIMERS, associate=AssociateKeywords(tls=tls))


async def call(port: int, tls: TLS | None, *, title: str = "TESTER") -> RequestorAssociation:
    """Associate with it."""
    return await associate(peer_at(port, tls), own_ae_title=title, contexts=CONTEXTS)
