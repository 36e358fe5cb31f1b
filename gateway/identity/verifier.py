"""Verifies user identities by the methods of the configuration, each with threads and a waiting list of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.identity.command import CommandVerifier
from gateway.identity.fair_threads import MOST_WAITING, FairThreads
from gateway.identity.password_file import PasswordFileVerifier
from gateway.identity.token import TokenVerifier
from gateway.identity.values import NotVerifiable, NotVerified, OfferedIdentity, VerifiedIdentity
from gateway.model.security import IdentityCheck, IdentityCommand, IdentityMethod, PasswordFile, TokenKeys
from gateway.ports.meter import Meter, NoMeter

COMMANDS_AT_ONCE = 4


class Verify(Protocol):
    """One method, at work in a thread."""

    def verify(self, offered: OfferedIdentity) -> VerifiedIdentity: ...


@dataclass(frozen=True, slots=True)
class _Method:
    kinds: frozenset[str]
    verifier: Verify
    turns: FairThreads
    quick_turns: FairThreads | None = None
    """Threads for identities that were verified a short while ago: a flood of wrong passcodes does not stand before
    them."""

    async def verify_in_turn(self, offered: OfferedIdentity) -> VerifiedIdentity:
        """Raises NotVerified, NotVerifiable."""
        verifier = self.verifier
        if self.quick_turns is not None and isinstance(verifier, PasswordFileVerifier):
            known = await self.quick_turns.run(offered.remote_host, partial(verifier.remembered, offered))
            if known is not None:
                return known
        return await self.turns.run(offered.remote_host, partial(verifier.verify, offered))


class Verifier:
    """Verifies identities on the event loop.

    Args:
        meter: where outcomes are counted.
        now: a monotonic clock, in seconds.
    """

    def __init__(self, meter: Meter | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._meter = meter if meter is not None else NoMeter()
        self._methods: dict[IdentityMethod, _Method] = {}
        self._now = now

    async def verify(
        self, methods: Mapping[str, IdentityMethod], check: IdentityCheck, offered: OfferedIdentity
    ) -> VerifiedIdentity:
        """Ask the methods that `check` names, in order, until one verifies.

        Raises:
            NotVerified: none does, or the user is not one of `check.users`.
            NotVerifiable: nobody can say now.
        """
        try:
            found = await self._verify(methods, check, offered)
        except NotVerified:
            self._meter.count("gateway_user_identities_total", type=offered.kind, result="refused")
            raise
        except NotVerifiable:
            self._meter.count("gateway_user_identities_total", type=offered.kind, result="not_verifiable")
            raise
        self._meter.count("gateway_user_identities_total", type=offered.kind, result="verified")
        return found

    async def _verify(
        self, methods: Mapping[str, IdentityMethod], check: IdentityCheck, offered: OfferedIdentity
    ) -> VerifiedIdentity:
        self._forget_all_but(methods)
        refusal: Exception = NotVerified(f"a user identity of type {offered.kind} is not verified here")
        for name in check.methods:
            method = self._method(methods[name]) if name in methods else None
            if method is None or offered.kind not in method.kinds:
                continue
            try:
                found = await method.verify_in_turn(offered)
            except (NotVerified, NotVerifiable) as error:
                refusal = refusal if isinstance(refusal, NotVerifiable) else error
                continue
            if check.users and found.user not in check.users:
                refusal = NotVerified("the user is not one of `users`")
                continue
            return found
        raise refusal

    def _method(self, settings: IdentityMethod) -> _Method:
        found = self._methods.get(settings)
        if found is None:
            found = self._methods[settings] = _open(settings, self._now)
        return found

    def _forget_all_but(self, methods: Mapping[str, IdentityMethod]) -> None:
        if len(self._methods) > len(methods):
            kept = set(methods.values())
            self._methods = {settings: method for settings, method in self._methods.items() if settings in kept}


def _open(settings: IdentityMethod, now: Callable[[], float]) -> _Method:
    processors = os.cpu_count() or 1
    at_once = max(1, min(4, processors // 2))
    match settings:
        case PasswordFile(path=path):
            return _Method(
                frozenset({"username_passcode"}),
                PasswordFileVerifier(path, now),
                FairThreads(at_once),
                FairThreads(at_once, most_per_host=MOST_WAITING),  # a look takes no time; a flood must fit in
            )
        case TokenKeys():
            return _Method(frozenset({"jwt"}), TokenVerifier(settings), FairThreads(at_once))
        case IdentityCommand():
            return _Method(settings.kinds, CommandVerifier(settings), FairThreads(COMMANDS_AT_ONCE))
