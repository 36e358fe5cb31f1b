"""C-FIND of other services: passed on to the peers that `query_retrieve.relay` names, their answers put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.services.responding import priority_of
from gateway.handlers.find_statuses import (
    Yielded,
    failed,
    measured,
    stopped_by_cancel,
    tell,
    tell_replaced,
    too_many,
)
from gateway.model import dimse_status
from gateway.model.dimse_status import MATCHING_LIMIT_REACHED
from gateway.model.final_status import DONE, FinalStatus
from gateway.model.peer import Peer
from gateway.query.identifier import read_identifier
from gateway.routing.table import RoutingTable
from gateway.sources.distinct_answers import DistinctAnswers, fingerprint
from gateway.sources.federated_query import FederatedQuery, one_by_one
from gateway.sources.query_backends import QueryBackends
from gateway.sources.relayed_query import RelayedAnswer, RelayedQuery, relay
from gateway.sources.relayed_services import BY_SOP_CLASS, SERVICES, RelayedService
from gateway.sources.sources import asked_for


async def relayed(event: Event, backends: QueryBackends) -> AsyncGenerator[Yielded]:
    """Matches of all peers that serve the request's SOP class, each thing once where it has a name. Where a service has
    at most one match, all are heard before it is given.

    Raises:
        Unreadable: the identifier is no data set.
    """
    table: RoutingTable = event.association.table
    settings = table.query_retrieve
    name = BY_SOP_CLASS.get(event.sop_class_uid, "")
    peers, is_cut = asked_for(table, settings.relay.get(name, ()), event.facts)
    if not peers:
        text = "the question came through too many gateways" if is_cut else "nobody is asked for this SOP class"
        tell(event, "find_refused", status=f"0x{dimse_status.SOP_CLASS_NOT_SUPPORTED:04X}", reason=text)
        yield FinalStatus(dimse_status.SOP_CLASS_NOT_SUPPORTED, text), None
        return
    service = SERVICES[name]
    request = _request(event, service)
    federated = FederatedQuery({rank: peer.name for rank, peer in enumerate(peers)}, backends.background)
    asks = {rank: _Ask(backends, peer, request, settings.timeout_s) for rank, peer in enumerate(peers)}
    once = DistinctAnswers(service)
    alone: dict[int, tuple[str, RelayedAnswer]] = {}
    given = replaced = 0
    end = DONE
    try:
        async with aclosing(federated.everything(asks)) as answers, stopped_by_cancel(event, federated):
            async for rank, answer in answers:
                if answer.status in service.finals:
                    end = FinalStatus(answer.status, answer.error_comment)
                    continue
                if service.is_at_most_one:
                    alone.setdefault(fingerprint(answer.attributes), (peers[rank].name, answer))
                    continue
                if not once.is_new(rank, answer.attributes):
                    continue
                if settings.limit and given == settings.limit:
                    cut = too_many(event, backends, settings)
                    yield FinalStatus(MATCHING_LIMIT_REACHED) if MATCHING_LIMIT_REACHED in service.finals else cut, None
                    return
                given += 1
                replaced += answer.replaced
                yield answer.status, answer.identifier
        if event.is_cancelled:
            return
        if federated.failures:
            end = failed(event, backends, federated.failures, settings.partial)
        if service.is_at_most_one and end.is_success:
            if len(alone) > 1:
                end = _more_than_one(event, [place for place, _ in alone.values()])
            else:
                for _, answer in alone.values():
                    replaced += answer.replaced
                    yield answer.status, answer.identifier
        if not end.is_success:
            yield end, None
    finally:
        tell_replaced(event, backends, replaced)


def _more_than_one(event: Event, places: Sequence[str]) -> FinalStatus:
    """The final status where a service has at most one match."""
    told = ", ".join(dict.fromkeys(places))
    tell(
        event,
        "find_refused",
        status=f"0x{dimse_status.MORE_THAN_ONE_MATCH:04X}",
        reason=f"more than one match, at {told}",
    )
    return FinalStatus(dimse_status.MORE_THAN_ONE_MATCH, f"more than one match found, at {told}")


def _request(event: Event, service: RelayedService) -> RelayedQuery:
    identifier = event.encoded_identifier
    read_identifier(identifier, event.transfer_syntax_uid)  # what cannot be read goes to nobody
    return RelayedQuery(
        event.sop_class_uid, event.transfer_syntax_uid, identifier, priority_of(event.command), service.finals
    )


class _Ask:
    """Asks one peer, and measures it."""

    def __init__(self, backends: QueryBackends, peer: Peer, request: RelayedQuery, limit_s: float) -> None:
        self._backends = backends
        self._peer = peer
        self._request = request
        self._limit_s = limit_s

    def __call__(self) -> AsyncGenerator[list[RelayedAnswer]]:
        return one_by_one(self._answers())

    async def _answers(self) -> AsyncGenerator[RelayedAnswer]:
        asking = relay(self._backends.sources, self._peer, self._request, limit_s=self._limit_s)
        async with aclosing(measured(self._backends, self._peer, asking)) as answers:
            async for answer in answers:
                if answer.status in self._request.finals:
                    yield answer
                    continue
                self._backends.meter.count("gateway_source_answers_total", source=self._peer.name, outcome="taken")
                yield answer
