"""TLS settings: the files must be there and hold what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import UNSET, UnsetType

from gateway.config.context import Context
from gateway.config.spec import ListenerTLSSpec, PeerTLSSpec
from gateway.config.tree import Place
from gateway.model import TLS

CERTIFICATE = ("CERTIFICATE-----",)
PRIVATE_KEY = ("PRIVATE KEY-----",)


def compile_listener_tls(spec: ListenerTLSSpec, place: Place, context: Context) -> TLS:
    """TLS of a listener."""
    key, key_pem = _key(spec.key, place, context, spec.certificate)
    wanted: Literal["none", "optional", "required"] = "required" if spec.client_ca is not UNSET else "none"
    if spec.client_certificates is not UNSET:
        wanted = spec.client_certificates
    if wanted != "none" and not place.has("client_ca"):
        message = f"`client_certificates: {wanted}` needs `client_ca`, the authorities that we trust"
        context.error(place.at("client_certificates"), "missing-setting", message)
    return TLS(
        certificate=_pem_file(spec.certificate, place.at("certificate"), context, CERTIFICATE),
        key=key,
        key_pem=key_pem,
        ca=_pem_file(spec.client_ca, place.at("client_ca"), context, CERTIFICATE),
        client_certificates=wanted,
        minimum_version=spec.minimum_version,
    )


def compile_peer_tls(spec: PeerTLSSpec, place: Place, context: Context) -> TLS:
    """TLS towards a peer."""
    if spec.key is not UNSET and not place.has("certificate"):
        context.error(place.at("key"), "missing-setting", "`key` needs `certificate`")
    if not spec.verify and spec.ca is not UNSET:
        context.error(
            place.at("verify"), "conflict", "`verify: false` takes any certificate; leave out `ca` or `verify`"
        )
    key, key_pem = _key(spec.key, place, context, spec.certificate)
    return TLS(
        certificate=_pem_file(spec.certificate, place.at("certificate"), context, CERTIFICATE),
        key=key,
        key_pem=key_pem,
        ca=_pem_file(spec.ca, place.at("ca"), context, CERTIFICATE),
        minimum_version=spec.minimum_version,
        server_name="" if spec.server_name is UNSET else spec.server_name,
        verify=spec.verify,
    )


def _key(key: str | UnsetType, place: Place, context: Context, certificate: str | UnsetType) -> tuple[str, str]:
    """(file, PEM text); at most one of them is not empty. Without `key` the certificate's file must hold it."""
    if key is UNSET:
        if certificate is not UNSET:
            _pem_file(certificate, place.at("certificate"), context, PRIVATE_KEY, "; name the key's file as `key`")
        return "", ""
    if "-----BEGIN" in key:
        if PRIVATE_KEY[0] not in key:
            context.error(place.at("key"), "bad-pem", f"{place.at('key').shown} holds no private key in PEM form")
        return "", key
    return _pem_file(key, place.at("key"), context, PRIVATE_KEY), ""


def _pem_file(name: str | UnsetType, place: Place, context: Context, wanted: tuple[str, ...], hint: str = "") -> str:
    """The absolute path of a PEM file; empty without a name."""
    if name is UNSET:
        return ""
    path = context.beside(place, name)
    try:
        content = Path(path).read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        context.error(place, "unreadable-file", f"cannot read the file {place.shown}: {reason}")
        return path
    if not any(mark in content for mark in wanted):
        noun = "private key" if wanted is PRIVATE_KEY else "certificate"
        context.error(place, "bad-pem", f"the file {place.shown} holds no {noun} in PEM form{hint}")
    return path
