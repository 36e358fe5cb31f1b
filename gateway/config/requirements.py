"""The requirements on requestors: `requires:` of peers, `user_identity:` of listeners."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping

from gateway.common import setting_faults as faults
from gateway.common.setting_faults import listed
from gateway.config.certificate import compile_certificate, each
from gateway.config.compile_context import Context
from gateway.config.spec.peers import RequirementsSpec
from gateway.config.spec.security import IdentityCheckSpec
from gateway.config.tree import Place
from gateway.identity import password_file
from gateway.identity.watched_file import read_bounded
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.security import (
    CertificateMatch,
    IdentityCheck,
    IdentityMethod,
    PasswordFile,
    Requirements,
    TokenKeys,
)


def compile_requirements(spec: RequirementsSpec, place: Place, context: Context) -> Requirements:
    """The requirements of a peer. Names of listeners are checked by `check_requirements`."""
    certificate = None
    if spec.certificate is not None:
        certificate = compile_certificate(spec.certificate, place.at("certificate"), context)
    return Requirements(
        is_tls=spec.tls or certificate is not None,
        listeners=spec.listener or (),
        certificate=certificate,
        user_identity=None
        if spec.user_identity is None
        else compile_identity_check(spec.user_identity, place.at("user_identity"), context),
    )


def compile_identity_check(spec: IdentityCheckSpec, place: Place, context: Context) -> IdentityCheck:
    """A demand for a user identity."""
    names = spec.verified_by
    for name, at in zip(names, each(place.at("verified_by")), strict=True):
        if context.identity_methods is not None and name not in context.identity_methods:
            known = context.identity_methods
            message = faults.no_such_name("user identity", at.shown, name, known, are_known_listed=True)
            context.error(at, "unknown-user-identity", message)
    return IdentityCheck(names, spec.users)


def check_requirements(peers: Iterable[tuple[Peer, Place]], listeners: Collection[Listener], context: Context) -> None:
    """A requirement that no listener of ours can meet is a mistake: the peer could never call."""
    by_name = {listener.name: listener for listener in listeners}
    for peer, place in peers:
        if peer.destination is not None:
            continue
        requires, at = peer.requires, place.at("requires")
        for name, here in zip(requires.listeners, each(at.at("listener")), strict=False):
            if name not in by_name:
                message = faults.no_such_name("listener", here.shown, name, by_name, are_known_listed=True)
                context.error(here, "unknown-listener", message)
        usable = [by_name[name] for name in requires.listeners if name in by_name] or list(by_name.values())
        if requires.certificate is not None and not any(_requests_certificate(one) for one in usable):
            message = "no listener that it may use asks for client certificates; give one `client_ca`"
            context.error(at.at("certificate"), "never-met", message)
        elif requires.is_tls and not any(one.tls is not None for one in usable):
            message = "no listener that it may use has `tls`"
            context.error(at.at("tls") if at.has("tls") else at, "never-met", message)


def _requests_certificate(listener: Listener) -> bool:
    return listener.tls is not None and listener.tls.client_certificates != "none"


def warn_of_clear_secrets(
    peers: Iterable[tuple[Peer, Place]],
    listeners: Collection[Listener],
    gateway: Place,
    methods: Mapping[str, IdentityMethod],
    context: Context,
) -> None:
    """Passcodes and tokens that cross the network as they are: any listener there can take them."""
    clear = [listener for listener in listeners if listener.tls is None and not _is_loopback(listener.address)]
    for index, listener in enumerate(listeners):
        if listener in clear and _has_secrets(listener.user_identity, methods):
            at = gateway.at("listeners", index, "user_identity")
            context.findings.warning(at.mark, "clear-secrets", "passcodes and tokens come here without TLS")
    for peer, place in peers:
        requires = peer.requires
        may_come = [one for one in clear if not requires.listeners or one.name in requires.listeners]
        if may_come and not requires.is_tls and _has_secrets(requires.user_identity, methods):
            names = listed(one.name for one in may_come)
            message = f"passcodes and tokens may come without TLS, over {names}; add `tls: true`"
            context.findings.warning(place.at("requires", "user_identity").mark, "clear-secrets", message)


def warn_of_unknown_users(
    peers: Iterable[tuple[Peer, Place]],
    listeners: Collection[Listener],
    gateway: Place,
    methods: Mapping[str, IdentityMethod],
    context: Context,
) -> None:
    """User names that no password file has, where only password files verify: nobody can ever show them."""
    checks = [(one.user_identity, gateway.at("listeners", index)) for index, one in enumerate(listeners)]
    checks += [(peer.requires.user_identity, place.at("requires")) for peer, place in peers]
    users: dict[str, frozenset[str] | None] = {}
    for check, place in checks:
        if check is None:
            continue
        for name in check.methods:
            if name not in users:
                users[name] = _users_of(methods.get(name))
        known = [users[name] for name in check.methods]
        for index, user in enumerate(check.users):
            if all(names is not None and user not in names for names in known):
                at = place.at("user_identity", "users", index)
                message = f"no password file of {listed(check.methods)} has the user {at.shown}"
                context.findings.warning(at.mark, "unknown-user", message)


def _users_of(method: IdentityMethod | None) -> frozenset[str] | None:
    """None where any name may be verified, or that cannot be told."""
    if not isinstance(method, PasswordFile):
        return None
    try:
        return frozenset(password_file.parse(read_bounded(method.path)))
    except (OSError, ValueError):  # reported where it is named
        return None


def _has_secrets(check: IdentityCheck | None, methods: Mapping[str, IdentityMethod]) -> bool:
    found = [methods.get(name) for name in check.methods] if check is not None else []
    return any(isinstance(method, PasswordFile | TokenKeys) for method in found)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def exclude_each_other(one: Requirements, other: Requirements) -> bool:
    """True when no requestor fits both by listener or certificate."""
    if one.listeners and other.listeners and not set(one.listeners) & set(other.listeners):
        return True
    if one.certificate is None or other.certificate is None:
        return False
    return _are_different(one.certificate, other.certificate)


def _are_different(one: CertificateMatch, other: CertificateMatch) -> bool:
    """True when no certificate is both; by names only as far as one certificate seldom has two of them: a requestor
    whose certificate does is rejected."""
    pairs = [
        (set(one.fingerprints), set(other.fingerprints)),
        (set(one.subject_alternative_names), set(other.subject_alternative_names)),
    ]
    parts = dict(other.subject)
    pairs += [(set(texts), set(parts.get(part, ()))) for part, texts in one.subject]
    return any(here and there and not here & there for here, there in pairs)
