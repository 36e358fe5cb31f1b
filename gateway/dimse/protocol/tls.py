"""TLS contexts of listeners and peers: BCP 195 (RFC 8996, RFC 9325) as PS3.15 §B.12 and §B.13 profile it."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

from gateway.model.security import TLS
from gateway.ports.errors import ConfigurationError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_CERTIFICATES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}

_FORWARD_SECRET_GCM = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
CIPHER_SUITES = {
    "bcp195": _FORWARD_SECRET_GCM,  # RFC 9325 §4.2, which PS3.15 §B.12 takes over
    "bcp195_modified": (
        *_FORWARD_SECRET_GCM,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-CCM",
        "ECDHE-ECDSA-AES128-CCM",
        "ECDHE-ECDSA-AES256-CCM8",
        "ECDHE-ECDSA-AES128-CCM8",
    ),  # PS3.15 §B.13, without the Camellia suites that OpenSSL does not have
}
"""Cipher suites of TLS 1.2, by profile, in order of preference. Those of TLS 1.3 are OpenSSL's own, all
authenticated encryption.
"""

_LEAST_STRENGTH = "@SECLEVEL=2"
"""112 bits: RSA from 2048 bits, elliptic curves from 224 (RFC 9325 §4.5), no SHA-1 signatures."""


def server_context(tls: TLS) -> ssl.SSLContext:
    """The context for a listener. Raises ConfigurationError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        _harden(context, tls)
        _load_certificate(context, tls)
        if tls.client_certificates != "none":
            _trust(context, tls)
        context.verify_mode = _CLIENT_CERTIFICATES[tls.client_certificates]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TLS files of the listener cannot be used: {_describe(error, tls)}") from error
    return context


def client_context(tls: TLS) -> ssl.SSLContext:
    """The context for a peer. Raises ConfigurationError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        _harden(context, tls)
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif tls.ca:
            _trust(context, tls)
        else:
            context.load_default_certs()
        if tls.certificate:
            _load_certificate(context, tls)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"TLS files of the peer cannot be used: {_describe(error, tls)}") from error
    return context


_FAILURES = {
    "CRL has expired": "the revocation list of the client's authority is out of date; renew it (`client_crl`)",
    "unable to get certificate CRL": "there is no revocation list of the client's authority (`client_crl`)",
    "certificate revoked": "the client's certificate is revoked",
    "certificate has expired": "the client's certificate has expired",
    "certificate is not yet valid": "the client's certificate is not valid yet",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client shows no certificate",
    "NO_SHARED_CIPHER": "the client offers no cipher suite of the profile",
    "UNSUPPORTED_PROTOCOL": "the client offers no version of TLS that is taken here",
    "unable to get local issuer certificate": "the client's certificate is of an authority that is not in `client_ca`",
    "self-signed certificate": "the client's certificate is signed by itself, and is not in `client_ca`",
    "self-signed certificate in certificate chain": "the client's certificate is of an authority that is not in "
    "`client_ca`",
    "WRONG_VERSION_NUMBER": "this is no TLS; does the client speak plain DICOM here?",
    "HTTP_REQUEST": "this is no TLS; the client speaks HTTP",
}
"""OpenSSL's message about a handshake → the remedy."""


def handshake_failure(error: BaseException) -> str:
    """The reason why a client's handshake failed, in words for the log; holds nothing of its certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message
        return _FAILURES.get(reason, f"the client's certificate is not taken: {reason}")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return _FAILURES.get(reason, f"TLS failed: {reason}")
    return str(error) or type(error).__name__


def _harden(context: ssl.SSLContext, tls: TLS) -> None:
    """Versions and cipher suites of the profile; no compression, no renegotiation (RFC 9325 §3)."""
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.set_ciphers(":".join((*CIPHER_SUITES[tls.profile], _LEAST_STRENGTH)))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _trust(context: ssl.SSLContext, tls: TLS) -> None:
    """Authorities, and their revocation lists: with these, one is demanded for the issuer of the peer's certificate."""
    for name in (*tls.ca, *tls.crl):
        context.load_verify_locations(cafile=name)
    if tls.crl:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


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
    files = ", ".join(tls.files)
    return f"{error} ({files})"
