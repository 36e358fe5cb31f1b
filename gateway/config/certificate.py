"""The compiler of `certificate:` settings to `CertificateMatch`."""

from __future__ import annotations

import ipaddress

from gateway.common.setting_faults import did_you_mean, listed
from gateway.config.compile_context import Context
from gateway.config.spec.security import CertificateSpec
from gateway.config.tree import MappingNode, Place, SequenceNode
from gateway.model.security import CertificateMatch

SHORT = ("CN", "O", "OU", "C", "L", "ST", "DC")
LONG_OF_SHORT = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "domainComponent": "DC",
}
LONG = frozenset(
    {
        "serialNumber",
        "emailAddress",
        "title",
        "givenName",
        "surname",
        "name",
        "initials",
        "dnQualifier",
        "pseudonym",
        "generationQualifier",
        "organizationIdentifier",
        "streetAddress",
        "postalCode",
        "businessCategory",
        "userId",
        "description",
    }
)
"""Parts of a subject without a short name, as OpenSSL calls them."""


def compile_certificate(spec: CertificateSpec, place: Place, context: Context) -> CertificateMatch:
    """The match. Problems are reported."""
    match = CertificateMatch(
        subject=tuple(spec.subject.items()),
        subject_alternative_names=tuple(map(_normal_name, spec.subject_alternative_name or ())),
        fingerprints=tuple(text.replace(":", "").lower() for text in spec.fingerprint or ()),
    )
    is_reported = isinstance(place.node, MappingNode) and bool(place.node.lost)
    if match == CertificateMatch() and not is_reported:
        message = "say what the certificate must be: `subject`, `subject_alternative_name` or `fingerprint`"
        context.findings.error(place.holder, "missing-setting", message)
    for text, at in zip(spec.subject_alternative_name or (), each(place.at("subject_alternative_name")), strict=False):
        if "*" in text:
            message = f"{at.shown} fits only a certificate that holds this very wild card; write each name instead"
            context.findings.warning(at.mark, "literal-wild-card", message)
    for part in spec.subject:
        at = place.at("subject", part)
        if part in LONG_OF_SHORT:
            message = f"`{part}` is written as `{LONG_OF_SHORT[part]}` here"
            context.findings.error(at.holder, "unknown-subject-part", message)
        elif part not in SHORT and part not in LONG:
            near = did_you_mean(part, (*SHORT, *LONG)) or f"; the usual ones are {listed(SHORT)}"
            message = f"`{part}` is no part of a certificate's subject{near}"
            context.findings.error(at.holder, "unknown-subject-part", message)
    return match


def each(place: Place) -> list[Place]:
    """The places of what is written as one text or as a list of them."""
    if isinstance(place.node, SequenceNode):
        return [place.at(index) for index in range(len(place.node.items))]
    return [place]


def _normal_name(text: str) -> str:
    """As `gateway.dimse.protocol.peer_certificate` reads it from a certificate; the form tells what kind of name it
    is."""
    try:
        return f"IP:{ipaddress.ip_address(text)}"
    except ValueError:
        pass
    if "://" in text or text.startswith("urn:"):
        return f"URI:{text}"
    return f"email:{text}" if "@" in text else f"DNS:{text.lower()}"
