"""C-FIND of other services: passed on to the peers that `query_retrieve.relay` names, their answers put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.services.responding import priority_of
from gateway.handlers.find_statuses import (
    Yielded,
    failed,
    log_find,
    log_replaced,
    measured,
    stopped_by_cancel,
    too_many,
)
from gateway.model import dimse_status
from gateway.model.dimse_status import MATCHING_LIMIT_REACHED
from gateway.model.final_status import DONE, FinalStatus
from gateway.model.peer import Peer
from gateway.model.settings import QueryRetrieve
from gateway.query.identifier import read_identifier
from gateway.routing.table import RoutingTable
from gateway.sources.distinct_answers import DistinctAnswers, fingerprint
from gateway.sources.federated_query import FederatedQuery, one_by_one
from gateway.sources.query_backends import QueryBackends
from gateway.sources.relayed_query import RelayedAnswer, RelayedQuery, relay
from gateway.sources.relayed_services import BY_SOP_CLASS, SERVICES, RelayedService
from gateway.sources.sources import peers_for


async def relayed(event: Event, backends: QueryBackends) -> AsyncGenerator[Yielded]:
    """Matches of all peers that serve the request's SOP class, each thing once where it has a name. Where a service has
    at most one match, all are heard before it is given.

    Raises:
        Unreadable: the identifier is no data set.
    """
    table: RoutingTable = event.association.table
    settings = table.query_retrieve
    name = BY_SOP_CLASS.get(event.sop_class_uid, "")
    peers, is_cut = peers_for(table, settings.relay.get(name, ()), event.facts)
    if not peers:
        text = "the question came through too many gateways" if is_cut else "nobody is asked for this SOP class"
        log_find(event, "find_refused", status=f"0x{dimse_status.SOP_CLASS_NOT_SUPPORTED:04X}", reason=text)
        yield FinalStatus(dimse_status.SOP_CLASS_NOT_SUPPORTED, text), None
        return
    query = _RelayedFind(event, backends, settings, SERVICES[name], peers)
    try:
        async with aclosing(query.answers()) as answers:
            async for answer in answers:
                yield answer
    finally:
        log_replaced(event, backends, query.values_replaced)


class _RelayedFind:
    """One C-FIND that is passed on. Raises Unreadable."""

    def __init__(
        self,
        event: Event,
        backends: QueryBackends,
        settings: QueryRetrieve,
        service: RelayedService,
        peers: Sequence[Peer],
    ) -> None:
        self._event = event
        self._backends = backends
        self._settings = settings
        self._service = service
        self._peers = peers
        request = _request(event, service)
        self._queries = {
            rank: _PeerQuery(backends, peer, request, settings.timeout_s) for rank, peer in enumerate(peers)
        }
        self._alone: dict[int, tuple[str, RelayedAnswer]] = {}
        """The answers of a service that has at most one match: those that differ, each with the peer that gave it
        first.
        """
        self._end = DONE
        self._given = 0
        self.values_replaced = 0
        """Values of the answers given that could not be written as they are."""

    async def answers(self) -> AsyncGenerator[Yielded]:
        """Matches, then the final status where it is not Success."""
        names = {rank: peer.name for rank, peer in enumerate(self._peers)}
        federated = FederatedQuery(names, self._backends.background)
        once, limit = DistinctAnswers(self._service), self._settings.limit
        async with aclosing(federated.everything(self._queries)) as answers, stopped_by_cancel(self._event, federated):
            async for rank, answer in answers:
                if self._is_kept_back(rank, answer) or not once.is_new(rank, answer.attributes):
                    continue
                if limit and self._given == limit:
                    yield self._cut(), None
                    return
                yield self._counted(answer)
        if self._event.is_cancelled:
            return
        if federated.failures:
            self._end = failed(self._event, self._backends, federated.failures, self._settings.partial)
        if self._end.is_success and len(self._alone) > 1:
            self._end = _more_than_one(self._event, [place for place, _ in self._alone.values()])
        elif self._end.is_success:
            for _, answer in self._alone.values():
                yield self._counted(answer)
        if not self._end.is_success:
            yield self._end, None

    def _is_kept_back(self, rank: int, answer: RelayedAnswer) -> bool:
        """True for a peer's final status, and for a match where all peers are heard before it is given."""
        if answer.status in self._service.finals:
            self._end = FinalStatus(answer.status, answer.error_comment)
            return True
        if self._service.is_at_most_one:
            self._alone.setdefault(fingerprint(answer.attributes), (self._peers[rank].name, answer))
            return True
        return False

    def _counted(self, answer: RelayedAnswer) -> Yielded:
        self._given += 1
        self.values_replaced += answer.replaced
        return answer.status, answer.identifier

    def _cut(self) -> FinalStatus:
        """The final status where there are more matches than `limit`."""
        cut = too_many(self._event, self._backends, self._settings)
        return FinalStatus(MATCHING_LIMIT_REACHED) if MATCHING_LIMIT_REACHED in self._service.finals else cut


def _more_than_one(event: Event, places: Sequence[str]) -> FinalStatus:
    """The final status where a service has at most one match."""
    named = ", ".join(dict.fromkeys(places))
    log_find(
        event,
        "find_refused",
        status=f"0x{dimse_status.MORE_THAN_ONE_MATCH:04X}",
        reason=f"more than one match, at {named}",
    )
    return FinalStatus(dimse_status.MORE_THAN_ONE_MATCH, f"more than one match found, at {named}")


def _request(event: Event, service: RelayedService) -> RelayedQuery:
    identifier = event.encoded_identifier
    read_identifier(identifier, event.transfer_syntax_uid)  # what cannot be read goes to nobody
    return RelayedQuery(
        event.sop_class_uid, event.transfer_syntax_uid, identifier, priority_of(event.command), service.finals
    )


class _PeerQuery:
    """Asks one peer, and measures it."""

    def __init__(self, backends: QueryBackends, peer: Peer, request: RelayedQuery, limit_s: float) -> None:
        self._backends = backends
        self._peer = peer
        self._request = request
        self._limit_s = limit_s

    def __call__(self) -> AsyncGenerator[list[RelayedAnswer]]:
        return one_by_one(self._answers())

    async def _answers(self) -> AsyncGenerator[RelayedAnswer]:
        source_answers = relay(self._backends.sources, self._peer, self._request, limit_s=self._limit_s)
        async with aclosing(measured(self._backends, self._peer, source_answers)) as answers:
            async for answer in answers:
                if answer.status in self._request.finals:
                    yield answer
                    continue
                self._backends.meter.count("gateway_source_answers_total", source=self._peer.name, outcome="taken")
                yield answer
