"""Certificates for tests, made with the `openssl` program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


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
    def create(cls, folder: Path, name: str = "Test CA") -> Authority:
        folder.mkdir(parents=True, exist_ok=True)
        authority = cls(folder)
        new = ["req", "-x509", *_KEY, "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-days", "30"]
        _openssl(*new, "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign")
        return authority

    @property
    def certificate(self) -> str:
        return str(self.folder / "ca.pem")

    def issue(self, name: str, subject: str, *, host: str = "DNS:localhost,IP:127.0.0.1") -> Certificate:
        """A certificate for `subject` (``/CN=…/O=…``) and the names in `host`."""
        key, request, certificate = (self.folder / f"{name}.{ending}" for ending in ("key", "csr", "pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={host}\n")
        _openssl("req", "-new", *_KEY, "-keyout", key, "-out", request, "-subj", subject)
        signing = ["-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", "30"]
        _openssl("x509", "-req", "-in", request, "-out", certificate, *signing, "-extfile", extensions)
        return Certificate(str(certificate), str(key))


_KEY = ["-newkey", "rsa:2048", "-nodes"]


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
