"""The check that files of TLS settings are in date and belong together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.certificates import (
    belong_together,
    certificates_from,
    certificates_until,
    read_pem,
    revocation_lists_until,
)
from gateway.config.certificate import each
from gateway.config.compile_context import Context
from gateway.config.tree import Place
from gateway.model.security import TLS

SOON = timedelta(days=30)


def check_validity(tls: TLS, place: Place, context: Context, *, authorities: str, lists: str) -> None:
    """Report files that are out of date or soon will be, and a key of another certificate. Files that cannot be read,
    or hold something else, were reported before. `authorities` and `lists` are the names of the settings."""
    if tls.certificate:
        _check_file(tls.certificate, place.at("certificate"), context, certificates_until, "certificate")
        _check_key(tls, place, context)
    for path, at in zip(tls.ca, each(place.at(authorities)), strict=False):
        _check_file(path, at, context, certificates_until, "certificate")
    for path, at in zip(tls.crl, each(place.at(lists)), strict=False):
        _check_file(path, at, context, revocation_lists_until, "certificate revocation list")


def _check_file(
    path: str, place: Place, context: Context, until_of: Callable[[bytes], datetime | None], noun: str
) -> None:
    content = _content(path)
    try:
        until = until_of(content)
    except ValueError:
        context.error(place, "bad-pem", f"a {noun} in the file {place.shown} cannot be read; is it damaged?")
        return
    if until is None:
        return
    start = certificates_from(content) if until_of is certificates_until else None
    if start is not None and start > datetime.now(UTC):
        message = f"a {noun} in the file {place.shown} is not valid before {start:%Y-%m-%d %H:%M} UTC"
        context.findings.warning(place.mark, "not-yet-valid", message)
    left = until - datetime.now(UTC)
    if left <= timedelta(0):
        message = f"a {noun} in the file {place.shown} is out of date since {until:%Y-%m-%d %H:%M} UTC"
        context.findings.warning(place.mark, "out-of-date", message)
    elif left <= SOON:
        days = "1 day" if left.days == 1 else f"{left.days} days"
        message = f"a {noun} in the file {place.shown} ends in {days}, at {until:%Y-%m-%d %H:%M} UTC"
        context.findings.warning(place.mark, "ends-soon", message)


def _check_key(tls: TLS, place: Place, context: Context) -> None:
    certificate = _content(tls.certificate)
    key = tls.key_pem.encode() if tls.key_pem else _content(tls.key) if tls.key else certificate
    at = place.at("key") if place.has("key") else place.at("certificate")
    try:
        is_fit = belong_together(certificate, key)
    except ValueError as error:
        reason = str(error) if "passphrase" in str(error) else "is it damaged?"
        context.error(at, "bad-pem", f"the private key for {place.at('certificate').shown} cannot be read; {reason}")
        return
    if not is_fit:
        message = f"the private key does not belong to the certificate {place.at('certificate').shown}"
        context.error(at, "wrong-key", message)


def _content(path: str) -> bytes:
    try:
        return read_pem(path)
    except (OSError, ValueError):
        return b""
