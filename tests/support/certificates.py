"""Certificates for tests, of authorities made for them."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_NAMES = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a certificate and its key."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of our own, with an elliptic key: an RSA key takes a twentieth of a second to make."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, name: str = "Test CA", *, days: int = 60) -> Authority:
        now = datetime.now(UTC)
        return cls.create_between(folder, name, now, now + timedelta(days=days))

    @property
    def certificate(self) -> str:
        return str(self.folder / "ca.pem")

    def issue(
        self,
        name: str,
        subject: str,
        *,
        host: str = "DNS:localhost,IP:127.0.0.1",
        days: int = 60,
        key_kind: Literal["rsa", "ec"] = "ec",
    ) -> Certificate:
        """A certificate for `subject` (``/CN=…/O=…``) and the names in `host`; with `days` below 0 it is expired."""
        parts = [part.partition("=") for part in subject.split("/") if part]
        named = x509.Name([x509.NameAttribute(_NAMES[kind], value) for kind, _, value in parts])
        until = datetime.now(UTC) + timedelta(days=days)
        own = rsa.generate_private_key(65537, 2048) if key_kind == "rsa" else _elliptic_key()
        return self._issue(name, named, own, min(datetime.now(UTC), until - timedelta(days=1)), until, host)

    @classmethod
    def create_between(cls, folder: Path, name: str, since: datetime, until: datetime) -> Authority:
        """One that is good from `since` to `until`."""
        folder.mkdir(parents=True, exist_ok=True)
        key = _elliptic_key()
        builder = _dated(_named(name), _named(name), key, since, until)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        _write(folder / "ca", builder.add_extension(_SIGNS, critical=True), key, key)
        return cls(folder)

    def issue_between(self, name: str, since: datetime, until: datetime) -> Certificate:
        """A certificate for 127.0.0.1 that is good from `since` to `until`; its subject is ``CN=name``."""
        return self._issue(name, _named(name), _elliptic_key(), since, until, "IP:127.0.0.1")

    def _issue(
        self, name: str, subject: x509.Name, own: Key, since: datetime, until: datetime, host: str
    ) -> Certificate:
        authority = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        authority_key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        builder = _dated(subject, authority.subject, own, since, until)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(one) for one in host.split(",")]), False
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        return _write(self.folder / name, builder.add_extension(issuer, False), own, authority_key)

    def revocation_list(self, name: str, *revoked: Certificate, days: int = 60) -> str:
        """A revocation list that is good for so many days; below 0 it is out of date."""
        authority = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.subject)
            .last_update(now - timedelta(days=60))
            .next_update(now + timedelta(days=days))
        )
        for one in revoked:
            serial = x509.load_pem_x509_certificate(Path(one.certificate).read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(days=1))
            builder = builder.add_revoked_certificate(entry.build())
        path = self.folder / f"{name}.crl"
        path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(path)


def _elliptic_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def self_signed() -> tuple[str, str]:
    """(certificate, key) in PEM form, for tests that only read them."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority.create(Path(folder), "self-signed", days=90)
        return Path(authority.certificate).read_text(), (authority.folder / "ca.key").read_text()


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of a certificate, as `openssl x509 -fingerprint` prints it."""
    encoded = ssl.PEM_cert_to_DER_cert(Path(certificate.certificate).read_text())
    return hashlib.sha256(encoded).digest().hex(":").upper()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(text: str) -> x509.GeneralName:
    """The alternative name of ``DNS:name`` or ``IP:address``."""
    kind, _, value = text.partition(":")
    return x509.DNSName(value) if kind == "DNS" else x509.IPAddress(ipaddress.ip_address(value))


def _dated(
    subject: x509.Name, issuer: x509.Name, key: Key, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), since, until)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _write(path: Path, builder: x509.CertificateBuilder, own: Key, signing: ec.EllipticCurvePrivateKey) -> Certificate:
    certificate, key = path.with_name(f"{path.name}.pem"), path.with_name(f"{path.name}.key")
    certificate.write_bytes(builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.touch(mode=0o600)
    key.write_bytes(own.private_bytes(*form))
    return Certificate(str(certificate), str(key))


_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
