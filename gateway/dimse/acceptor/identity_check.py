"""A demanded user identity (PS3.7 §D.3.3.7), verified before the association is accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from gateway.dimse.acceptor.admission import (
    NO_REASON,
    PERMANENT,
    PROVIDER_PRESENTATION,
    SERVICE_USER,
    TEMPORARY_CONGESTION,
    TRANSIENT,
    Rejected,
)
from gateway.dimse.protocol.associate_items import IDENTITY_KINDS
from gateway.dimse.protocol.associate_request import RequestedIdentity
from gateway.identity.values import NotVerifiable, NotVerified, OfferedIdentity, VerifiedIdentity
from gateway.model.association import AssociationFacts
from gateway.model.security import IdentityCheck

VerifyIdentity = Callable[[IdentityCheck, OfferedIdentity], Awaitable[VerifiedIdentity]]
"""Raises NotVerified, NotVerifiable."""


async def nothing_verifies(check: IdentityCheck, offered: OfferedIdentity) -> VerifiedIdentity:
    """The verifier of a server that was given none: it verifies no identity."""
    raise NotVerified("user identities are not verified here")


async def verified_identity(
    checks: Sequence[IdentityCheck],
    requested: RequestedIdentity | None,
    facts: AssociationFacts,
    verify: VerifyIdentity,
) -> VerifiedIdentity:
    """The identity, found good by each of `checks`; the name is what the last one says.

    Raises:
        Rejected: permanently when there is none or it is refused, for now when it cannot be verified.
    """
    if requested is None:
        raise Rejected(PERMANENT, SERVICE_USER, NO_REASON, "a user identity is demanded, and there is none")
    offered = OfferedIdentity(
        kind=IDENTITY_KINDS.get(requested.kind, "unknown"),
        primary=requested.primary,
        secondary=requested.secondary,
        is_response_requested=requested.is_response_requested,
        calling_ae_title=facts.calling_ae_title,
        remote_host=facts.remote_host,
        peer=facts.peer,
    )
    found = VerifiedIdentity("")
    for check in checks:
        try:
            found = await verify(check, offered)
        except NotVerified as error:
            raise Rejected(PERMANENT, SERVICE_USER, NO_REASON, f"user identity: {error}") from None
        except NotVerifiable as error:
            raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, f"user identity: {error}") from None
    return found


def positive_response(requested: RequestedIdentity | None, verified: VerifiedIdentity | None) -> bytes | None:
    """The server response of the A-ASSOCIATE-AC (PS3.7 §D.3.3.7.2): only of an identity that was verified, and only
    when the requestor asks. Empty unless a Kerberos server ticket or a SAML response belongs in it."""
    if requested is None or verified is None or not requested.is_response_requested:
        return None
    return verified.server_response
