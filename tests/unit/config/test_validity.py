"""Certificates, keys and revocation lists are looked at when a configuration is checked."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config import load
from tests.support.certificates import Authority, Certificate


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PEM files by what is to be said of them."""
    folder = tmp_path_factory.mktemp("validity")
    authority = Authority.create(folder / "ca")
    shutil.copy(authority.certificate, folder / "ca.pem")
    for name, days in {"good": 60, "soon": 5, "tomorrow": 1, "expired": -1}.items():
        issued: Certificate = authority.issue(name, "/CN=gateway", days=days)
        shutil.copy(issued.certificate, folder / f"{name}.pem")
        shutil.copy(issued.key, folder / f"{name}.key")
        shutil.copy(authority.revocation_list(name, days=days), folder)
    both = (folder / "good.key").read_text() + (folder / "good.pem").read_text()
    (folder / "both.pem").write_text(both)
    (folder / "chain.pem").write_text((folder / "good.pem").read_text() + (folder / "expired.pem").read_text())
    future = authority.issue("future", "/CN=gateway")
    shutil.copy(future.key, folder / "future.key")
    (folder / "future.pem").write_bytes(starting_in(Path(future.key), timedelta(days=2)))
    (folder / "many.pem").write_text((folder / "expired.pem").read_text() * 11)
    (folder / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "damaged.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    return folder


def starting_in(key: Path, delay: timedelta) -> bytes:
    """A certificate of its own authority that is good from then on."""
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    start = datetime.now(UTC) + delay
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=60))
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


GOOD = "certificate: good.pem, key: good.key"
LISTENERS: dict[str, tuple[str, list[str]]] = {
    "good": (f"{GOOD}, client_ca: ca.pem, client_crl: good.crl", []),
    "key beside the certificate": ("certificate: both.pem", []),
    "key from a secret": ("certificate: good.pem, key: '${file:good.key}'", []),
    "soon": (
        "certificate: soon.pem, key: soon.key",
        ["6:26: warning: ends-soon: a certificate in the file"],
    ),
    "tomorrow": ("certificate: tomorrow.pem, key: tomorrow.key", ["6:26: warning: ends-soon: a certificate in"]),
    "not yet": (
        "certificate: future.pem, key: future.key",
        ["6:26: warning: not-yet-valid: a certificate in the file `future.pem` is not valid before"],
    ),
    "expired": (
        "certificate: expired.pem, key: expired.key",
        ["6:26: warning: out-of-date: a certificate in the file `expired.pem` is out of date since"],
    ),
    "an expired one in the chain": (
        "certificate: chain.pem, key: good.key",
        ["6:26: warning: out-of-date:"],
    ),
    "an expired authority": (
        f"{GOOD}, client_ca: [ca.pem, expired.pem]",
        ["6:71: warning: out-of-date:"],
    ),
    "a public collection": (f"{GOOD}, client_ca: many.pem", []),
    "a list that is out of date": (
        f"{GOOD}, client_ca: ca.pem, client_crl: expired.crl",
        ["6:82: warning: out-of-date: a certificate revocation list in the file `expired.crl` is out of date"],
    ),
    "a list that soon is": (
        f"{GOOD}, client_ca: ca.pem, client_crl: [good.crl, soon.crl]",
        ["6:93: warning: ends-soon: a certificate revocation list in the file `soon.crl` ends in"],
    ),
    "the key of another": (
        "certificate: good.pem, key: soon.key",
        ["6:41: error: wrong-key: the private key does not belong to the certificate `good.pem`"],
    ),
    "the key of another, from a secret": (
        "certificate: good.pem, key: '${file:soon.key}'",
        ["6:41: error: wrong-key: the private key does not belong to the certificate `good.pem`"],
    ),
    "a damaged certificate": (
        "certificate: damaged.pem, key: good.key",
        [
            "6:26: error: bad-pem: a certificate in the file `damaged.pem` cannot be read; is it damaged?",
            "6:44: error: bad-pem: the private key for `damaged.pem` cannot be read; is it damaged?",
        ],
    ),
    "a damaged key": (
        "certificate: good.pem, key: damaged.key",
        ["6:41: error: bad-pem: the private key for `good.pem` cannot be read; is it damaged?"],
    ),
}


@pytest.mark.parametrize(("tls", "problems"), LISTENERS.values(), ids=LISTENERS.keys())
def test_listeners(material: Path, tls: str, problems: list[str]) -> None:
    path = material / "site.yaml"
    path.write_text(
        "gateway:\n  ae_title: GATEWAY\n  admit: any\n  listeners:\n"
        f"    - port: 2762\n      tls: {{{tls}}}\nunmatched: hold\n"
    )
    found = [str(problem).removeprefix(f"{path}:") for problem in load(path, {}).problems]
    assert len(found) == len(problems), found
    for text, start in zip(found, problems, strict=True):
        assert text.startswith(start)


def test_peers(material: Path) -> None:
    path = material / "peers.yaml"
    path.write_text(
        "gateway: {ae_title: GATEWAY, admit: any, listeners: [{port: 1}]}\nunmatched: hold\npeers:\n"
        "  pacs:\n    ae_title: PACS\n    address: pacs.example.org:104\n    associate:\n"
        "      tls_args: {certificate: expired.pem, key: good.key, ca: expired.pem, crl: expired.crl}\n"
        "routes: [{name: all, to: [pacs]}]\n"
    )
    codes = [str(problem).split(": ")[2] for problem in load(path, {}).problems]
    assert codes == ["out-of-date", "wrong-key", "out-of-date", "out-of-date"]
