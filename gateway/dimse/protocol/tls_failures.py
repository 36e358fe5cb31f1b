"""The reason why TLS with a peer failed, in words for logs and operators: which certificate, whose, good from when to
when.

OpenSSL gives away no certificate that it did not verify. One that a server shows is fetched again over a connection of
its own, on which nothing is sent; one that a client showed is not known, and its host stands in the log.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import ssl
from datetime import datetime

from gateway.certificates import CertificateDescription, described, read_pem, validities
from gateway.dimse.protocol.tls import client_context
from gateway.model.peer import Peer
from gateway.model.security import TLS

# Codes of OpenSSL's x509_vfy.h
EXPIRED, NOT_YET_VALID, SELF_SIGNED, SELF_SIGNED_IN_CHAIN = 10, 9, 18, 19
NO_ISSUER_HERE, NO_ISSUER, REVOKED = 20, 21, 23
CRL_EXPIRED, NO_CRL, HOST_MISMATCH, ADDRESS_MISMATCH = 12, 3, 62, 64

DATES = frozenset({EXPIRED, NOT_YET_VALID})
NAMES = frozenset({HOST_MISMATCH, ADDRESS_MISMATCH})
STRANGERS = frozenset({SELF_SIGNED, SELF_SIGNED_IN_CHAIN, NO_ISSUER_HERE, NO_ISSUER})
LISTS = frozenset({CRL_EXPIRED, NO_CRL})

_ALERTS = {
    "CERTIFICATE_EXPIRED": "it says that ours has expired",
    "UNKNOWN_CA": "it does not know the authority that issued ours",
    "CERTIFICATE_REVOKED": "it says that ours is revoked",
    "UNSUPPORTED_CERTIFICATE": "it cannot use the kind that ours is of",
    "BAD_CERTIFICATE": "it says that ours is bad",
    "CERTIFICATE_UNKNOWN": "it does not take ours",
    "CERTIFICATE_REQUIRED": "it demands one of us",
    "ACCESS_DENIED": "it lets nobody in with ours",
}
"""Alerts of RFC 8446 §6.2 that are about the receiver's certificate."""
_ALERT = re.compile(r"ALERT[_ ]([A-Z_ ]+)", re.IGNORECASE)


async def shown_unverified(peer: Peer) -> CertificateDescription | None:
    """The certificate that the peer shows, unverified: for messages alone. None when it cannot be had."""
    given = peer.associate.tls if peer.associate.tls is not None else TLS()
    tls = dataclasses.replace(given, certificate="", key="", key_pem="", ca=(), crl=(), verify=False)
    try:
        async with asyncio.timeout(peer.timers.connect_s + peer.timers.tls_handshake_s):
            _, writer = await asyncio.open_connection(
                peer.host,
                peer.port,
                ssl=client_context(tls),
                server_hostname=tls.server_name or peer.host,
                local_addr=peer.associate.bind_address,
            )
        encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return described(encoded) if encoded else None
    except (OSError, TimeoutError, ValueError):
        return None


def server_refused(
    error: ssl.SSLCertVerificationError,
    shown: CertificateDescription | None,
    wanted_name: str,
    tls: TLS | None,
    now: datetime,
) -> str:
    """The fault of a server's certificate, in a clause; `wanted_name` is the host that it should name."""
    code = error.verify_code
    if code in DATES:
        return _about_dates(code, shown, tls, now)
    whose = f": {shown}" if shown is not None else ""
    if code in NAMES:
        names = f"for {', '.join(shown.names) or 'no host'}, " if shown is not None else ""
        return f"its certificate is {names}not for {wanted_name}{whose}"
    if code in STRANGERS:
        known = ", ".join(tls.ca) if tls is not None and tls.ca else "the authorities of this system"
        return f"its certificate is of an unknown authority, none of {known}{whose}"
    if code == REVOKED:
        return f"its certificate is revoked{whose}"
    return f"{error.verify_message}{whose}"


def _about_dates(code: int, shown: CertificateDescription | None, tls: TLS | None, now: datetime) -> str:
    word = "has expired" if code == EXPIRED else "is not valid yet"
    if shown is None or (shown.until < now if code == EXPIRED else shown.since > now):
        return f"its certificate {word}{f': {shown}' if shown is not None else ''}"
    ended = [
        f"{each.file} ended {each.until:%Y-%m-%d %H:%M} UTC"
        for each in (validities(tls) if tls is not None else ())
        if each.file in (tls.ca if tls is not None else ()) and each.until < now
    ]
    return f"an authority above its certificate {word} ({', '.join(ended) or 'one that it sends'}): {shown}"


def our_certificate_refused(error: BaseException | None, tls: TLS | None) -> str:
    """The other side's objection to our certificate, and which that is; empty when it has none.

    Some peers end the connection instead of sending an alert.
    """
    if isinstance(error, ConnectionError):
        return (
            "it ended the connection during the TLS handshake: it takes none of our versions and cipher suites, or not "
            f"our certificate ({_ours(tls)})"
        )
    found = _ALERT.search(str(getattr(error, "reason", None) or error or ""))
    reason = _ALERTS.get(found.group(1).strip().upper().replace(" ", "_"), "") if found else ""
    if not reason:
        return ""
    return f"it refuses our certificate: {reason} ({_ours(tls)})"


def _ours(tls: TLS | None) -> str:
    if tls is None or not tls.certificate:
        return "none is configured"
    try:
        return f"{tls.certificate}: {described(read_pem(tls.certificate))}"
    except (OSError, ValueError):
        return tls.certificate
