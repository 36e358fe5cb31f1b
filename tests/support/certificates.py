"""Certificates for tests, made with the `openssl` program."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a certificate and its key."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of our own."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, name: str = "Test CA", *, days: int = 60) -> Authority:
        folder.mkdir(parents=True, exist_ok=True)
        authority = cls(folder)
        new = ["req", "-x509", *_KEY, "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-days", days]
        _openssl(*new, "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        return authority

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
        key_kind: Sequence[str] = ("rsa:2048",),
    ) -> Certificate:
        """A certificate for `subject` (``/CN=…/O=…``) and the names in `host`; with `days` below 0 it is expired."""
        key, request, certificate = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={host}\n")
        _openssl("req", "-new", "-newkey", *key_kind, "-nodes", "-keyout", key, "-out", request, "-subj", subject)
        signing = ["-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", days]
        _openssl("x509", "-req", "-in", request, "-out", certificate, *signing, "-extfile", extensions)
        return Certificate(str(certificate), str(key))

    @classmethod
    def create_between(cls, folder: Path, name: str, since: datetime, until: datetime) -> Authority:
        """One that is good from `since` to `until`."""
        folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(65537, 2048)
        _write(folder / "ca", _dated(_named(name), _named(name), key, since, until, None), key, key)
        return cls(folder)

    def issue_between(self, name: str, since: datetime, until: datetime) -> Certificate:
        """A certificate for 127.0.0.1 that is good from `since` to `until`; its subject is ``CN=name``."""
        authority = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        authority_key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(authority_key, rsa.RSAPrivateKey)
        own = rsa.generate_private_key(65537, 2048)
        builder = _dated(_named(name), authority.subject, own, since, until, "127.0.0.1")
        return _write(self.folder / name, builder, own, authority_key)

    def revocation_list(self, name: str, *revoked: Certificate, days: int = 60) -> str:
        """A revocation list that is good for so many days; below 0 it is out of date."""
        authority = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
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


def _dated(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, since: datetime, until: datetime, address: str | None
) -> x509.CertificateBuilder:
    """Of a server at `address`, or of an authority without one."""
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), since, until)
    if address is None:
        return builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
    )


def _write(
    path: Path, builder: x509.CertificateBuilder, own: rsa.RSAPrivateKey, signing: rsa.RSAPrivateKey
) -> Certificate:
    certificate, key = path.with_name(f"{path.name}.pem"), path.with_name(f"{path.name}.key")
    certificate.write_bytes(builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(own.private_bytes(*form))
    return Certificate(str(certificate), str(key))


_KEY = ["-newkey", "rsa:2048", "-nodes"]


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
