"""The certificate that a peer showed, and whether it is the one that the configuration demands."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from dataclasses import dataclass
from typing import Any

from gateway.model.security import CertificateMatch
from gateway.routing.predicates.association import subject_parts

SHORT_NAMES = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "domainComponent": "DC",
}
_NAME_KINDS = {"DNS": "DNS", "IP Address": "IP", "URI": "URI", "email": "email"}


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """The part of a certificate that is compared; the fields are those of `AssociationFacts`."""

    subject: str = ""
    names: tuple[str, ...] = ()
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"subject {self.subject!r}, SHA-256 {self.fingerprint}"


def shown_certificate(transport: asyncio.BaseTransport) -> ShownCertificate:
    """The peer's certificate on an encrypted transport. Subject and names only where OpenSSL verified it."""
    connection = transport.get_extra_info("ssl_object")
    encoded = connection.getpeercert(binary_form=True) if connection is not None else None
    if not encoded:
        return ShownCertificate()
    verified = connection.getpeercert() or {}
    return ShownCertificate(subject_of(verified), names_of(verified), hashlib.sha256(encoded).hexdigest())


def subject_of(certificate: dict[str, Any] | None) -> str:
    """Subject of a peer certificate as ``CN=…,O=…``, in the certificate's order; empty without one.

    A comma in a value has a backslash before it (RFC 4514 §2.4), so that no value passes for another part.
    """
    names = [pair for group in (certificate or {}).get("subject", ()) for pair in group]
    return ",".join(f"{SHORT_NAMES.get(name, name)}={_escaped(value)}" for name, value in names)


def names_of(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Subject alternative names (RFC 5280 §4.2.1.6) as ``DNS:…``, ``IP:…``, ``URI:…``, ``email:…``; others left out."""
    found = certificate.get("subjectAltName", ())
    return tuple(_name(_NAME_KINDS[kind], value) for kind, value in found if kind in _NAME_KINDS)


def _name(kind: str, value: str) -> str:
    if kind == "DNS":
        return f"DNS:{value.lower()}"
    if kind == "IP":
        try:
            return f"IP:{ipaddress.ip_address(value.strip())}"
        except ValueError:
            return f"IP:{value}"
    return f"{kind}:{value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,")


def mismatch(wanted: CertificateMatch, shown: ShownCertificate) -> str:
    """The conditions of `wanted` that do not hold, in words for the log; empty when all do."""
    if shown == ShownCertificate():
        return "no certificate"
    if wanted.fingerprints and shown.fingerprint not in wanted.fingerprints:
        return f"another certificate fingerprint ({shown})"
    found = subject_parts(shown.subject) if wanted.subject else {}
    for part, texts in wanted.subject:
        if not any(text in found.get(part, ()) for text in texts):
            return f"another {part} in the certificate's subject ({shown})"
    if wanted.subject_alternative_names and not set(wanted.subject_alternative_names) & set(shown.names):
        return f"another subject alternative name ({shown})"
    return ""
