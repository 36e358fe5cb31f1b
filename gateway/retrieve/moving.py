"""One C-MOVE of a source to ourselves; what it sends comes back through the mailbox."""

from __future__ import annotations

from gateway.dimse.responses import Response
from gateway.federation.asking import SourceFailed, asked
from gateway.federation.clock import A_DAY_S, Clock
from gateway.federation.sources import Sources
from gateway.model import Peer
from gateway.query.identifier import IdentifierEncoder
from gateway.retrieve.fetching import Arrived, Take, final_of, give_up, model_of
from gateway.retrieve.mailbox import Expectation, Mailbox
from gateway.retrieve.patience import Patience
from gateway.retrieve.plan import Request
from gateway.retrieve.proposals import MOVE_MODELS, move_contexts
from gateway.retrieve.sender import sender_of


class MoveLine:
    """Fetches from one source by C-MOVE to ourselves.

    Args:
        sources: lends the associations.
        mailbox: where the instances come in.
        peer: as `gateway.federation.sources.sources_of` gives it.
        ae_title: under which the source knows us, and calls us.
        limit_s: how long the source may say nothing: from one response or whole instance to the next.
    """

    service = "move"

    def __init__(self, sources: Sources, mailbox: Mailbox, peer: Peer, ae_title: str, limit_s: float) -> None:
        self._sources = sources
        self._mailbox = mailbox
        self._peer = peer
        self._ae_title = ae_title
        self._limit_s = limit_s

    async def fetch(self, request: Request, take: Take) -> Response:
        """The final response; before it, `take` gets what arrives.

        Raises:
            NotOffered: not by C-MOVE.
            SourceFailed: it could not be asked, was lost, or said nothing for too long.
        """
        peer, clock = self._peer, Clock(self._limit_s)
        async with asked(self._sources, peer, move_contexts(peer), clock) as association:
            sop_class_uid, has_patient_level = model_of(association, peer, request, MOVE_MODELS)
            encode = IdentifierEncoder(association.identifier_syntax(sop_class_uid))
            patience = Patience(clock, lambda: give_up(association, self._sources, peer, self._limit_s))

            async def taken(arrived: Arrived) -> int:
                with patience.held():
                    return await take(arrived)

            expectation = Expectation(
                sender=await sender_of(peer, association),
                our_ae_title=association.facts.calling_ae_title,
                sop_instance_uids=frozenset(item.sop_instance_uid for item in request.items),
                take=taken,
                touch=patience.touch,
            )
            association.number_from(self._mailbox.next_message_id())
            responses = association.c_move(
                encode(request.identifier(has_patient_level=has_patient_level)),
                sop_class_uid=sop_class_uid,
                destination=self._ae_title,
                response_s=A_DAY_S,
            )
            try:
                async with self._mailbox.expecting(expectation):
                    with patience:
                        return await final_of(responses, patience, expectation.sent_as)
            except OSError as error:
                raise SourceFailed(peer.name, f"no mailbox for what it sends: {error.strerror}") from error


def known_as(peer: Peer, ae_title: str) -> str:
    """Our AE title, for this source."""
    return peer.calling_ae_title or ae_title
