"""The admission of requestors: a pure decision over names, addresses and certificates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.dimse.acceptor.hosts import is_within
from gateway.dimse.protocol.peer_certificate import ShownCertificate, mismatch
from gateway.model.association import AssociationFacts
from gateway.model.peer import Peer
from gateway.model.security import IdentityCheck, Requirements
from gateway.model.settings import Settings

PERMANENT, TRANSIENT = 1, 2
SERVICE_USER, PROVIDER_ACSE, PROVIDER_PRESENTATION = 1, 2, 3
NO_REASON, APPLICATION_CONTEXT_NOT_SUPPORTED, CALLING_NOT_RECOGNIZED, CALLED_NOT_RECOGNIZED = 1, 2, 3, 7
TEMPORARY_CONGESTION, LOCAL_LIMIT_EXCEEDED = 1, 2
NOTHING_REQUIRED = Requirements()


class Rejected(Exception):
    """An association that is rejected, with result, source and reason of PS3.8 §9.3.4; the text is for our log."""

    def __init__(self, result: int, source: int, reason: int, diagnostic: str) -> None:
        super().__init__(diagnostic)
        self.result = result
        self.source = source
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Admitted:
    """The association may be made."""

    peer: Peer | None
    """None for a stranger."""
    is_strict: bool = False
    """The requestor is held to the letter of the standard (`gateway.leniency`)."""

    @property
    def user_identity(self) -> IdentityCheck | None:
        """The check of user identity that must pass before the association is accepted."""
        return None if self.peer is None else self.peer.requires.user_identity


def admit(
    facts: AssociationFacts,
    settings: Settings,
    peers: Mapping[str, Peer],
    *,
    reserved: Collection[str] = frozenset(),
) -> Admitted:
    """Find the peer that calls.

    A calling AE title that a peer has with `may` or `requires` is that peer's alone: without what the peer must show
    it is rejected, also under `admit: any`. So are the `reserved` titles, those of disabled peers. Peers without either
    are destinations only; a requestor that uses their title is a stranger.

    Raises:
        Rejected: called or calling AE title not recognized.
    """
    called = settings.called_ae_titles
    if facts.called_ae_title != settings.ae_title and facts.called_ae_title not in called and "*" not in called:
        raise Rejected(
            PERMANENT, SERVICE_USER, CALLED_NOT_RECOGNIZED, f"called AE title {facts.called_ae_title!r} is not ours"
        )
    owners = [peer for peer in peers.values() if peer.ae_title == facts.calling_ae_title and _is_owner(peer)]
    missing = {peer.name: _missing(peer, facts) for peer in owners}
    fitting = [peer for peer in owners if not missing[peer.name]]
    if len(fitting) == 1:
        return Admitted(fitting[0], fitting[0].is_strict)
    is_free = not owners and facts.calling_ae_title and facts.calling_ae_title not in reserved
    if settings.admit == "any" and is_free:
        return Admitted(None, settings.is_strict)
    if fitting:
        why = f"{' and '.join(peer.name for peer in fitting)} have it, and the requestor fits each"
    elif len(owners) == 1:
        why = missing[owners[0].name]
    elif owners:
        why = "; ".join(f"{name}: {text}" for name, text in missing.items())
    else:
        why = "no peer with `may` has it"
    raise Rejected(
        PERMANENT, SERVICE_USER, CALLING_NOT_RECOGNIZED, f"calling AE title {facts.calling_ae_title!r}: {why}"
    )


def _is_owner(peer: Peer) -> bool:
    return bool(peer.may) or peer.requires != NOTHING_REQUIRED


def _missing(peer: Peer, facts: AssociationFacts) -> str:
    """The missing proof that the requestor is `peer`, in words for the log; empty when none is missing."""
    requires = peer.requires
    if peer.hosts and not is_within(facts.remote_host, peer.hosts):
        return f"not from {facts.remote_host}"
    if requires.listeners and facts.listener not in requires.listeners:
        return f"not over the listener {facts.listener!r}"
    if requires.is_tls and not facts.is_tls:
        return "not without TLS"
    if requires.certificate is not None:
        shown = ShownCertificate(facts.tls_subject, facts.tls_names, facts.tls_fingerprint)
        if unmet := mismatch(requires.certificate, shown):
            return f"the requestor shows {unmet}"
    return "" if peer.may else "the peer has no `may`"
