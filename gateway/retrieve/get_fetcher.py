"""One C-GET to one source, and what arrives meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.dimse.requestor.incoming_stores import IncomingStore
from gateway.dimse.requestor.query_contexts import as_store_scp
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.dimse.requestor.response import Response
from gateway.dimse.requestor.responses import Responses
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.model.query import QueryRoot
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.errors import NoContextAccepted
from gateway.query.identifier import IdentifierEncoder
from gateway.query.sop_classes import GET_OF_ROOT
from gateway.retrieve.fetch_requests import FetchRequest
from gateway.retrieve.get_proposals import USUAL_CLASSES, get_contexts
from gateway.retrieve.inactivity import FetchLimits, InactivityTimer
from gateway.retrieve.shared_data_set import SharedDataSet, SharingReceiver
from gateway.sources.source_clock import A_DAY_S, SourceClock
from gateway.sources.source_query import SourceFailed, source_association
from gateway.sources.sources import Sources

COUNTERS = tuple(f"NumberOf{which}Suboperations" for which in ("Remaining", "Completed", "Failed", "Warning"))
"""The numbers of sub-operations in a response (PS3.7 §9.1.3.1, §9.1.4.1)."""


class NotOffered(SourceFailed):
    """The source does not serve this way of retrieving."""


def is_not_offered(error: SourceFailed) -> bool:
    """True when the source may still serve another way of retrieving."""
    return isinstance(error, NotOffered) or isinstance(error.__cause__, NoContextAccepted)


@dataclass(frozen=True, slots=True)
class FetchedInstance:
    """An instance that a source sent us."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    body: SharedDataSet
    """The caller's to close."""


Take = Callable[[FetchedInstance], Awaitable[int]]
"""Gives the status of the C-STORE response; a GatewayError that it raises gives its own."""


class GetFetcher:
    """Fetches from one source by C-GET.

    Args:
        sources: lends the associations.
        peer: as `gateway.sources.sources.sources_of` gives it.
        sop_class_uids: of all that is to be fetched; empty ones are unknown.
        receiver: takes one data set while it arrives.
        limits: how long the source may say nothing, bring nothing, and take in all.
        models: information model → SOP class of its C-GET; ``{"study": uid}`` for objects that have no patient.
    """

    service = "get"

    def __init__(
        self,
        sources: Sources,
        peer: Peer,
        sop_class_uids: set[str],
        receiver: Callable[[], DataSetReceiver],
        limits: FetchLimits,
        models: Mapping[QueryRoot, str] = GET_OF_ROOT,
    ) -> None:
        known = sorted(sop_class_uids - {""})
        classes = known if "" not in sop_class_uids else list(dict.fromkeys((*known, *USUAL_CLASSES)))
        self._sources = sources
        self._models = models
        self._contexts: tuple[ProposedContext, ...] = get_contexts(peer, classes, tuple(models.values()))
        self._peer = as_store_scp(peer, (context.abstract_syntax for context in self._contexts[len(models) :]))
        self._receiver = receiver
        self._limits = limits

    async def fetch(self, request: FetchRequest, take: Take) -> Response:
        """The final response; before it, `take` gets what arrives, one at a time.

        Raises:
            NotOffered: not by C-GET.
            SourceFailed: it could not be asked, was lost, or reached one of the limits.
        """
        clock = SourceClock(self._limits.silence_s)
        async with source_association(self._sources, self._peer, self._contexts, clock) as association:
            sop_class_uid, has_patient_level = model_of(association, self._peer, request, self._models)
            encode = IdentifierEncoder(association.identifier_syntax(sop_class_uid))
            patience = InactivityTimer(
                clock, lambda why: give_up(association, self._sources, self._peer, why), self._limits
            )

            async def on_store(store: IncomingStore) -> int:
                assert isinstance(store.body, SharedDataSet)
                body = store.body.share()
                arrived = FetchedInstance(store.sop_class_uid, store.sop_instance_uid, store.transfer_syntax_uid, body)
                try:
                    with patience.held():
                        return await take(arrived)
                finally:
                    body.close()

            responses = association.c_get(
                encode(request.identifier(has_patient_level=has_patient_level)),
                sop_class_uid=sop_class_uid,
                on_store=on_store,
                receiver=lambda: SharingReceiver(self._receiver(), patience.progressed),
                response_s=A_DAY_S,
            )
            with patience:
                return await final_of(responses, patience)


async def final_of(responses: Responses, patience: InactivityTimer) -> Response:
    """The final response. Raises DestinationDown."""
    seen: tuple[object, ...] = ()
    async with responses:
        async for response in responses:
            counters = tuple(response.command.get(keyword) for keyword in COUNTERS)
            (patience.touch if counters == seen else patience.progressed)()
            seen = counters
            if not response.is_pending:
                return response
    raise AssertionError("responses end with a final one")


def model_of(
    association: RequestorAssociation, peer: Peer, request: FetchRequest, models: Mapping[QueryRoot, str]
) -> tuple[str, bool]:
    """SOP class of the information model to ask in, and whether it has a patient level: the patient's where the patient
    counts and the source offers it. Raises NotOffered."""
    offered = {uid for uid, _ in association.accepted}
    has_patient_id = all(item.patient_id for item in request.items)
    order: tuple[QueryRoot, ...] = ("patient", "study") if request.is_of_patient else ("study", "patient")
    for root in order:
        uid = models.get(root, "")
        if uid in offered and (root == "study" or has_patient_id):
            return uid, root == "patient"
    raise NotOffered(peer.name, "it does not offer this way of retrieving")


def give_up(association: RequestorAssociation, sources: Sources, peer: Peer, why: str) -> None:
    """The source kept us waiting for too long."""
    sources.kept_waiting(peer)
    association.abort(why)


async def once_more(fetch: Callable[[], Awaitable[Response]], has_arrived: Callable[[], bool]) -> Response:
    """The response of `fetch`, which is called again when a kept association was lost before anything came over it."""
    try:
        return await fetch()
    except SourceFailed as error:
        if not error.is_worth_another or has_arrived():
            raise
    await asyncio.sleep(0)
    return await fetch()
