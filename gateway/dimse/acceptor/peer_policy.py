"""The services and syntaxes that a requestor may negotiate, by its peer's settings; and whether a peer of other rules
still has those that its association negotiated."""

from __future__ import annotations

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.acceptor.admission import NO_REASON, PERMANENT, SERVICE_USER, Admitted, Rejected
from gateway.dimse.acceptor.negotiation import Policy
from gateway.model.peer import Peer

STRANGERS_MAY = frozenset({"echo", "store"})
ANSWERED_BY_STATUS = frozenset({"find", "get", "move"})
"""A known peer that may not use these gets its contexts, and 0x0124 as the answer: that says more than a rejected
context."""


def policy_of(peer: Peer | None, *, is_strict: bool = False) -> Policy:
    """The policy for `peer`, None for a stranger; `is_strict`: by the letter of the standard."""
    if peer is None:
        return Policy(STRANGERS_MAY, is_strict=is_strict)
    return Policy(
        services=peer.may | ANSWERED_BY_STATUS,
        sop_classes=peer.accept_sop_classes,
        transfer_syntaxes=peer.accept_transfer_syntaxes,
        preferred=peer.prefer_transfer_syntaxes,
        may_invoke_storage="get" in peer.may,
        is_strict=is_strict,
    )


def check_readmitted(association: AcceptorAssociation, admitted: Admitted) -> None:
    """Compare what an open association negotiated with what it is admitted to now. Storage contexts on which only
    the gateway invokes are for C-GET, which is checked with each request.

    Raises:
        Rejected: another user identity is demanded than was verified, or a service with presentation contexts is no
            longer allowed.
    """
    verified = None if association.peer is None else association.peer.requires.user_identity
    if admitted.user_identity not in (None, verified):
        text = "another user identity is demanded than was verified"
        raise Rejected(PERMANENT, SERVICE_USER, NO_REASON, text)
    negotiated = {context.service for context in association.accepted_contexts.values() if context.is_scp}
    lost = negotiated - policy_of(admitted.peer).services
    if lost:
        raise Rejected(PERMANENT, SERVICE_USER, NO_REASON, f"it has no `may` for {' and '.join(sorted(lost))}")
