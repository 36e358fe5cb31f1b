"""The section `user_identities:` → how user identities are verified."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.common.quantity import duration_s
from gateway.common.setting_faults import listed
from gateway.config.certificate import each
from gateway.config.compile_context import Context
from gateway.config.readers import warn_of_readers
from gateway.config.spec.user_identities import IdentityCommandSpec, IdentityMethodSpec, TokenSpec
from gateway.config.tree import MappingNode, Place
from gateway.identity import password_file, token
from gateway.identity.watched_file import read_bounded
from gateway.model.security import IdentityCommand, IdentityMethod, PasswordFile, TokenKeys

WAYS = ("password_file", "jwt", "command")


def compile_identity_method(spec: IdentityMethodSpec, place: Place, context: Context) -> IdentityMethod | None:
    """One way to verify; None after reporting that it is none, or several."""
    written = [way for way in WAYS if getattr(spec, way) is not None]
    if len(written) != 1:
        is_reported = isinstance(place.node, MappingNode) and bool(place.node.lost)
        if written or not is_reported:
            found = " and ".join(f"`{way}`" for way in written) or "none"
            message = f"expected one of {listed(WAYS)}, found {found}"
            context.findings.error(place.holder, "conflict" if written else "missing-setting", message)
        return None
    if spec.password_file is not None:
        at = place.at("password_file")
        path = context.beside(at, spec.password_file)
        if _check_file(path, at, context, password_file.parse):
            warn_of_readers(path, at.shown, at.mark, context.findings)
        return PasswordFile(path)
    if spec.jwt is not None:
        return _tokens(spec.jwt, place.at("jwt"), context)
    assert spec.command is not None
    return _command(spec.command, place.at("command"), context)


def _tokens(spec: TokenSpec, place: Place, context: Context) -> TokenKeys:
    paths = []
    for name, at in zip(spec.keys, each(place.at("keys")), strict=False):
        paths.append(context.beside(at, name))
        _check_file(paths[-1], at, context, token.parse_keys)
    return TokenKeys(
        paths=tuple(paths),
        issuer=spec.issuer,
        audiences=spec.audience,
        algorithms=spec.algorithms,
        user_claim=spec.user_claim,
        leeway_s=duration_s(spec.leeway),
    )


def _command(spec: IdentityCommandSpec, place: Place, context: Context) -> IdentityCommand:
    at = place.at("run", 0)
    program = spec.run[0]
    if not os.path.isabs(program):
        context.error(at, "bad-program", f"{at.shown} is no absolute path; name the program by one")
    elif not (os.path.isfile(program) and os.access(program, os.X_OK)):
        context.error(at, "bad-program", f"{at.shown} is no file that may be run")
    return IdentityCommand(
        arguments=spec.run,
        kinds=frozenset(spec.types),
        time_limit_s=context.positive_s(place, "time_limit", text=spec.time_limit),
    )


def _check_file(path: str, place: Place, context: Context, parse: Callable[[bytes], object]) -> bool:
    """True when its content is good."""
    try:
        content = read_bounded(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        context.unreadable(place, reason)
        return False
    try:
        parse(content)
    except ValueError as error:
        context.error(place, "unusable-file", f"the file {place.shown} cannot be used: {error}")
        return False
    return True
