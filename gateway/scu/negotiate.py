"""Presentation contexts that are proposed to a peer only to see which of them it accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.dimse.requestor.requestor_association import associate
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import NoContextAccepted


@dataclass(frozen=True, slots=True)
class AcceptedSOPClasses:
    """The SOP classes that a peer accepts, by our role."""

    as_scu: frozenset[str] = frozenset()
    """We may ask for these."""
    as_scp: frozenset[str] = frozenset()
    """The peer may ask us for these: it took the SCP role for us (PS3.7 §D.3.3.4)."""


async def negotiate(peer: Peer, own_ae_title: str, contexts: Sequence[ProposedContext]) -> AcceptedSOPClasses:
    """Associate and release; nothing is asked.

    Args:
        peer: with the roles to propose.
        own_ae_title: calling AE title, unless the peer's settings name another.
        contexts: 1 to 128.

    Raises:
        DestinationDown, DestinationRefuses: there is no association.
        ConfigurationError: TLS files cannot be used.
        ValueError: contexts or AE titles that cannot be sent.
    """
    try:
        association = await associate(peer, own_ae_title=own_ae_title, contexts=contexts)
    except NoContextAccepted:
        return AcceptedSOPClasses()
    accepted = association.accepted_contexts.values()
    await association.release()
    return AcceptedSOPClasses(
        as_scu=frozenset(str(each.abstract_syntax) for each in accepted if each.is_scu),
        as_scp=frozenset(str(each.abstract_syntax) for each in accepted if each.is_scp),
    )
