"""TLS contexts of listeners and peers (PS3.15 §B.12: BCP 195, TLS 1.2 and 1.3), files read anew each time."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

from gateway.model import TLS
from gateway.ports import ConfigurationError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_CERTIFICATES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_SHORT_NAMES = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "domainComponent": "DC",
}


def server_context(tls: TLS) -> ssl.SSLContext:
    """For a listener. Raises ConfigurationError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.minimum_version = _VERSIONS[tls.minimum_version]
        _load_certificate(context, tls)
        if tls.client_certificates != "none":
            context.load_verify_locations(cafile=tls.ca)
        context.verify_mode = _CLIENT_CERTIFICATES[tls.client_certificates]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TLS files of the listener cannot be used: {_describe(error, tls)}") from error
    return context


def client_context(tls: TLS) -> ssl.SSLContext:
    """For a peer. Raises ConfigurationError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.minimum_version = _VERSIONS[tls.minimum_version]
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca:
            context.load_verify_locations(cafile=tls.ca)
        else:
            context.load_default_certs()
        if tls.certificate:
            _load_certificate(context, tls)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TLS files of the peer cannot be used: {_describe(error, tls)}") from error
    return context


def subject_of(certificate: dict[str, Any] | None) -> str:
    """Subject of a peer certificate as ``CN=…,O=…``, in the certificate's order; empty without one.

    A comma in a value has a backslash before it (RFC 4514 §2.4), so that no value passes for another part.
    """
    names = [pair for group in (certificate or {}).get("subject", ()) for pair in group]
    return ",".join(f"{_SHORT_NAMES.get(name, name)}={_escaped(value)}" for name, value in names)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,")


def _load_certificate(context: ssl.SSLContext, tls: TLS) -> None:
    if not tls.key_pem:
        context.load_cert_chain(tls.certificate, tls.key or None, password=_no_password)
        return
    descriptor, name = tempfile.mkstemp(suffix=".pem")  # OpenSSL takes keys from files only; mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(tls.key_pem)
        context.load_cert_chain(tls.certificate, name, password=_no_password)
    finally:
        Path(name).unlink()


def _no_password() -> str:
    raise ValueError("the private key is encrypted; give one without a passphrase")


def _describe(error: Exception, tls: TLS) -> str:
    files = ", ".join(name for name in (tls.certificate, tls.key, tls.ca) if name)
    return f"{error} ({files})"
