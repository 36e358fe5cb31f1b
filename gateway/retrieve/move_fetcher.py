"""One C-MOVE of a source to ourselves; what it sends comes back through the rendezvous."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

import structlog

from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.dimse.requestor.response import Response
from gateway.dimse.requestor.responses import Responses
from gateway.leniency import tolerated
from gateway.model.dimse_status import SUCCESS
from gateway.model.peer import Peer
from gateway.model.query import QueryRoot
from gateway.ports.errors import GatewayError
from gateway.ports.meter import Meter
from gateway.query.identifier import IdentifierEncoder
from gateway.query.sop_classes import MOVE_OF_ROOT
from gateway.retrieve.expected_sender import sender_of
from gateway.retrieve.fetch_requests import FetchRequest
from gateway.retrieve.get_fetcher import FetchedInstance, Take, final_of, give_up, model_of
from gateway.retrieve.get_proposals import move_contexts
from gateway.retrieve.inactivity import FetchLimits, InactivityTimer
from gateway.retrieve.move_rendezvous import ExpectedMove, MoveRendezvous
from gateway.sources.source_clock import A_DAY_S, SourceClock
from gateway.sources.source_query import SourceFailed, source_association
from gateway.sources.sources import Sources

log = structlog.get_logger()


class MoveFetcher:
    """Fetches from one source by C-MOVE to ourselves.

    Args:
        sources: lends the associations.
        rendezvous: where the instances come in.
        peer: as `gateway.sources.sources.sources_of` gives it.
        ae_title: under which the source knows us, and calls us.
        limits: how long the source may say nothing (from one response or whole instance to the next), bring nothing,
            and take in all.
        meter: where leniencies are counted.
        models: information model → SOP class of its C-MOVE, as for `GetFetcher`.
    """

    service = "move"

    def __init__(
        self,
        sources: Sources,
        rendezvous: MoveRendezvous,
        peer: Peer,
        ae_title: str,
        limits: FetchLimits,
        meter: Meter,
        models: Mapping[QueryRoot, str] = MOVE_OF_ROOT,
    ) -> None:
        self._models = models
        self._sources = sources
        self._rendezvous = rendezvous
        self._peer = peer
        self._ae_title = ae_title
        self._limits = limits
        self._meter = meter

    async def fetch(self, request: FetchRequest, take: Take) -> Response:
        """The final response; before it, `take` gets what arrives. A source that says Success before everything came
        is waited for: some only note what they are to send (Orthanc with `SynchronousCMove: false`).

        Raises:
            NotOffered: not by C-MOVE.
            SourceFailed: it could not be asked, was lost, or reached one of the limits.
        """
        peer, clock = self._peer, SourceClock(self._limits.silence_s)
        missing = _MissingInstances(item.sop_instance_uid for item in request.items)
        contexts = move_contexts(peer, tuple(self._models.values()))
        with ExitStack() as expecting:
            async with source_association(self._sources, peer, contexts, clock) as association:
                message_id = self._rendezvous.next_message_id()
                responses = self._c_move(association, request, message_id)

                def late(why: str) -> None:
                    if missing.is_all_there_is:
                        missing.give_up()
                    else:
                        give_up(association, self._sources, peer, why)

                timer = InactivityTimer(clock, late, self._limits)
                expected = ExpectedMove(
                    sender=await sender_of(peer, association),
                    our_ae_title=association.facts.calling_ae_title,
                    sop_instance_uids=frozenset(missing.uids),
                    take=missing.taking(take, timer),
                    touch=timer.progressed,
                    message_id=message_id,
                )
                expecting.enter_context(self._rendezvous.expecting(expected))
                await self._announce(expected)
                with timer:
                    response = await final_of(responses, timer)
            if missing.may_come(response) and not peer.is_strict:
                await self._wait(missing, timer)
        return response

    async def _announce(self, expected: ExpectedMove) -> None:
        """Raises SourceFailed: other nodes would take the instances for objects that the source sends on its own."""
        try:
            await self._rendezvous.announce(expected)
        except GatewayError as error:
            raise SourceFailed(self._peer.name, f"not asked by C-MOVE: {error}") from error

    def _c_move(self, association: RequestorAssociation, request: FetchRequest, message_id: int) -> Responses:
        """Sent when the first response is awaited. Raises NotOffered."""
        sop_class_uid, has_patient_level = model_of(association, self._peer, request, self._models)
        encode = IdentifierEncoder(association.identifier_syntax(sop_class_uid))
        association.number_from(message_id)
        return association.c_move(
            encode(request.identifier(has_patient_level=has_patient_level)),
            sop_class_uid=sop_class_uid,
            destination=self._ae_title,
            response_s=A_DAY_S,
        )

    async def _wait(self, missing: _MissingInstances, timer: InactivityTimer) -> None:
        """Wait for instances that come after the final response; the wait ends when none comes within a limit."""
        missing.is_all_there_is = True
        before = len(missing.uids)
        timer.progressed()
        with timer:
            await missing.over.wait()
        came, source = before - len(missing.uids), self._peer.name
        if came:
            tolerated(self._meter, "late_move_instances", source, instances=came)
        if missing.uids:
            log.warning(
                "source_answered_partly",
                source=source,
                service=self.service,
                missing=len(missing.uids),
                late=came,
                reason=f"it said Success, and then sent nothing for {self._limits.silence_s:g} s",
            )


class _MissingInstances:
    """Instances of one C-MOVE that did not come yet."""

    def __init__(self, uids: Iterable[str]) -> None:
        self.uids = set(uids)
        self.is_all_there_is = False
        """The final response came; only these are waited for."""
        self.over = asyncio.Event()
        """All are here, or given up."""
        self._came = 0

    def taking(self, take: Take, timer: InactivityTimer) -> Take:
        """`take`, noted here; while it takes, the source is waited for by nobody."""

        async def taken(arrived: FetchedInstance) -> int:
            with timer.held():
                status = await take(arrived)
            self.arrived(arrived.sop_instance_uid)
            return status

        return taken

    def arrived(self, uid: str) -> None:
        """One less."""
        self._came += 1
        self.uids.discard(uid)
        if not self.uids:
            self.over.set()

    def give_up(self) -> None:
        """Stop waiting: the retrieve takes no more instances."""
        self.over.set()

    def may_come(self, response: Response) -> bool:
        """True after a Success that does not say how many were sent, or says more than came."""
        completed = response.command.get("NumberOfCompletedSuboperations") or 0
        return response.status == SUCCESS and bool(self.uids) and not 0 < completed <= self._came


def known_as(peer: Peer, ae_title: str) -> str:
    """Our AE title, for this source."""
    return ae_title if peer.is_calling_for_requestor else peer.calling_ae_title or ae_title
