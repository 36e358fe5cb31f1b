"""Readers of PEM files: how long certificates, keys and revocation lists are good, and which belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.common.plain_text import printable
from gateway.common.regular_file import read_regular_file
from gateway.model.security import TLS

if TYPE_CHECKING:
    from cryptography import x509

LIMIT_BYTES = 4 * 1024 * 1024
MOST_AUTHORITIES = 10
"""A file with more is a public collection, of which some are always out of date."""

_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----.*?-----END (?:X509 )?CERTIFICATE-----", re.DOTALL)
_REVOCATION_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Validity:
    """The end of validity of a file: that of its certificate or list that ends first."""

    file: str
    is_revocation_list: bool
    until: datetime


def read_pem(path: str) -> bytes:
    """The content of a PEM file. Raises OSError; ValueError when it is larger than 4 MiB."""
    content = read_regular_file(Path(path), LIMIT_BYTES)
    if len(content) > LIMIT_BYTES:
        raise ValueError("it is larger than 4 MiB")
    return content


def certificates_until(content: bytes) -> datetime | None:
    """The end of the first certificate in `content`; None without one, or with very many.

    Raises:
        ValueError: a certificate cannot be read.
    """
    return min((each.not_valid_after_utc for each in _certificates(content)), default=None)


def certificates_from(content: bytes) -> datetime | None:
    """The time from which all certificates in `content` are good; None without one, or with very many.

    Raises:
        ValueError: a certificate cannot be read.
    """
    return max((each.not_valid_before_utc for each in _certificates(content)), default=None)


def _certificates(content: bytes) -> Iterator[x509.Certificate]:
    """The certificates in PEM form; none where there are very many. Raises ValueError."""
    from cryptography import x509  # takes a while to load, and only TLS needs it

    blocks = _CERTIFICATE.findall(content)
    if len(blocks) <= MOST_AUTHORITIES:
        yield from (x509.load_pem_x509_certificate(_plain(block)) for block in blocks)


def ends_at(encoded: bytes) -> datetime:
    """The end of a certificate in DER form. Raises ValueError."""
    from cryptography import x509

    return x509.load_der_x509_certificate(encoded).not_valid_after_utc


def _plain(block: bytes) -> bytes:
    return block.replace(b"X509 CERTIFICATE", b"CERTIFICATE")


def revocation_lists_until(content: bytes) -> datetime | None:
    """The time at which the first revocation list in `content` is out of date; None where none says so.

    Raises:
        ValueError: a list cannot be read.
    """
    from cryptography import x509

    lists = [x509.load_pem_x509_crl(block) for block in _REVOCATION_LIST.findall(content)]
    return min((one.next_update_utc for one in lists if one.next_update_utc is not None), default=None)


def belong_together(certificate: bytes, key: bytes) -> bool:
    """True when the first private key in `key` is that of the first certificate in `certificate`, or one is missing.

    Raises:
        ValueError: one of them cannot be read, for example because it has a passphrase.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    blocks, keys = _CERTIFICATE.findall(certificate), _PRIVATE_KEY.findall(key)
    if not blocks or not keys:
        return True
    try:
        public: Any = x509.load_pem_x509_certificate(_plain(blocks[0])).public_key()
        private: Any = serialization.load_pem_private_key(keys[0], None)
    except TypeError:
        raise ValueError("the private key is encrypted; give one without a passphrase") from None
    except UnsupportedAlgorithm:
        return True  # OpenSSL will say
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return bool(public.public_bytes(*form) == private.public_key().public_bytes(*form))


def validities(tls: TLS) -> Iterator[Validity]:
    """The validity of every file of `tls` that can be read and that states an end of validity."""
    for path, is_list in _dated_files(tls):
        try:
            content = read_pem(path)
            until = revocation_lists_until(content) if is_list else certificates_until(content)
        except (OSError, ValueError):
            continue  # that it cannot be used is told where it is used
        if until is not None:
            yield Validity(path, is_list, until)


def _dated_files(tls: TLS) -> Sequence[tuple[str, bool]]:
    own = (tls.certificate,) if tls.certificate else ()
    return [*((path, False) for path in (*own, *tls.ca)), *((path, True) for path in tls.crl)]


@dataclass(frozen=True, slots=True)
class CertificateDescription:
    """One certificate in words, for people: nothing of it was proved."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """DNS names and IP addresses that it is for."""
    since: datetime
    until: datetime

    def __str__(self) -> str:
        is_own = self.subject == self.issuer
        signed = "signed by itself" if is_own else f"issued by {self.issuer or 'nobody'}"
        name = self.subject or ", ".join(self.names) or "no name"
        return f"{name}, {signed}, valid from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"


def described(encoded: bytes) -> CertificateDescription:
    """A certificate in DER or PEM form, the first of several. Raises ValueError."""
    from cryptography import x509
    from cryptography.x509.oid import ExtensionOID

    blocks = _CERTIFICATE.findall(encoded)
    found = x509.load_pem_x509_certificate(_plain(blocks[0])) if blocks else x509.load_der_x509_certificate(encoded)
    try:
        value = found.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        value = None
    names: list[str] = []
    if isinstance(value, x509.SubjectAlternativeName):
        names += value.get_values_for_type(x509.DNSName)
        names += map(str, value.get_values_for_type(x509.IPAddress))
    subject, issuer = (",".join(one.rfc4514_string() for one in each.rdns) for each in (found.subject, found.issuer))
    return CertificateDescription(
        printable(subject),
        printable(issuer),
        tuple(map(printable, names)),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
    )
