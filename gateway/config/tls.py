"""TLS settings: the files must be there and hold what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gateway.common import setting_faults as faults
from gateway.common.regular_file import read_regular_file
from gateway.config.certificate import compile_certificate, each
from gateway.config.compile_context import Context
from gateway.config.readers import warn_of_readers
from gateway.config.spec.security import ListenerTLSSpec, PeerTLSSpec
from gateway.config.tree import Place
from gateway.config.validity import check_validity
from gateway.model.security import TLS, CertificateMatch

CERTIFICATE = ("CERTIFICATE-----",)
PEM_LIMIT_BYTES = 16 * 1024**2
"""Bundles of authorities and revocation lists grow; a device has no end."""
PRIVATE_KEY = ("PRIVATE KEY-----",)
REVOCATION_LIST = ("X509 CRL-----",)
NOUNS: dict[tuple[str, ...], str] = {
    CERTIFICATE: "certificate",
    PRIVATE_KEY: "private key",
    REVOCATION_LIST: "certificate revocation list",
}


def compile_listener_tls(spec: ListenerTLSSpec, place: Place, context: Context) -> TLS:
    """TLS of a listener."""
    key, key_pem = _key(spec.key, place, context, spec.certificate)
    wanted: Literal["none", "optional", "required"] = "required" if spec.client_ca is not None else "none"
    if spec.client_certificates is not None:
        wanted = spec.client_certificates
    if wanted != "none" and not place.has("client_ca"):
        fault = faults.needs(f"client_certificates: {wanted}", ["client_ca"], "the authorities that we trust")
        context.fault(place.at("client_certificates"), fault)
    if spec.client_crl is not None and spec.client_ca is None:
        fault = faults.needs("client_crl", ["client_ca"], "the authorities whose lists these are")
        context.fault(place.at("client_crl"), fault)
    tls = TLS(
        certificate=_pem_file(spec.certificate, place.at("certificate"), context, CERTIFICATE),
        key=key,
        key_pem=key_pem,
        ca=_pem_files(spec.client_ca, place.at("client_ca"), context, CERTIFICATE),
        crl=_pem_files(spec.client_crl, place.at("client_crl"), context, REVOCATION_LIST),
        client_certificates=wanted,
        minimum_version=spec.minimum_version,
        profile=spec.profile,
    )
    check_validity(tls, place, context, authorities="client_ca", lists="client_crl")
    return tls


def compile_peer_tls(spec: PeerTLSSpec, place: Place, context: Context) -> TLS:
    """TLS towards a peer."""
    if spec.key is not None and not place.has("certificate"):
        context.fault(place.at("key"), faults.needs("key", ["certificate"]))
    if not spec.verify and spec.ca is not None:
        context.error(
            place.at("verify"), "conflict", "`verify: false` takes any certificate; leave out `ca` or `verify`"
        )
    if spec.crl is not None and spec.ca is None:
        context.fault(place.at("crl"), faults.needs("crl", ["ca"], "the authorities whose lists these are"))
    key, key_pem = _key(spec.key, place, context, spec.certificate)
    tls = TLS(
        certificate=_pem_file(spec.certificate, place.at("certificate"), context, CERTIFICATE),
        key=key,
        key_pem=key_pem,
        ca=_pem_files(spec.ca, place.at("ca"), context, CERTIFICATE),
        crl=_pem_files(spec.crl, place.at("crl"), context, REVOCATION_LIST),
        minimum_version=spec.minimum_version,
        profile=spec.profile,
        server_certificate=_server_certificate(spec, place, context),
        server_name="" if spec.server_name is None else spec.server_name,
        verify=spec.verify,
    )
    check_validity(tls, place, context, authorities="ca", lists="crl")
    return tls


def _server_certificate(spec: PeerTLSSpec, place: Place, context: Context) -> CertificateMatch | None:
    if spec.server_certificate is None:
        return None
    at = place.at("server_certificate")
    if not spec.verify and (spec.server_certificate.subject or spec.server_certificate.subject_alternative_name):
        message = "with `verify: false` only a `fingerprint` proves anything; names can be in any certificate"
        context.error(place.at("verify"), "conflict", message)
    return compile_certificate(spec.server_certificate, at, context)


def _pem_files(
    names: tuple[str, ...] | None, place: Place, context: Context, wanted: tuple[str, ...]
) -> tuple[str, ...]:
    """The absolute paths of PEM files that are written as one or as a list."""
    return tuple(_pem_file(name, at, context, wanted) for name, at in zip(names or (), each(place), strict=False))


def _key(key: str | None, place: Place, context: Context, certificate: str | None) -> tuple[str, str]:
    """(file, PEM text); at most one of them is not empty. Without `key` the certificate's file must hold it."""
    if key is None:
        if certificate is not None:
            _key_file(certificate, place.at("certificate"), context, "; name the key's file as `key`")
        return "", ""
    if "-----BEGIN" in key:
        if PRIVATE_KEY[0] not in key:
            context.error(place.at("key"), "bad-pem", f"{place.at('key').shown} holds no private key in PEM form")
        return "", key
    return _key_file(key, place.at("key"), context), ""


def _key_file(name: str, place: Place, context: Context, hint: str = "") -> str:
    path = _pem_file(name, place, context, PRIVATE_KEY, hint)
    warn_of_readers(path, place.shown, place.mark, context.findings)
    return path


def _pem_file(name: str | None, place: Place, context: Context, wanted: tuple[str, ...], hint: str = "") -> str:
    """The absolute path of a PEM file; empty without a name."""
    if name is None:
        return ""
    path = context.beside(place, name)
    try:
        content = read_regular_file(Path(path), PEM_LIMIT_BYTES).decode("ascii", "replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        context.unreadable(place, reason)
        return path
    if not any(mark in content for mark in wanted):
        context.error(place, "bad-pem", f"the file {place.shown} holds no {NOUNS[wanted]} in PEM form{hint}")
    return path
