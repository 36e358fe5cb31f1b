"""C-MOVE and C-GET have in common: reading the request, and refusing it."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.handlers.find_statuses import log_leniencies
from gateway.model.dimse_status import SOP_CLASS_NOT_SUPPORTED
from gateway.model.final_status import FinalStatus
from gateway.model.peer import Peer
from gateway.ports.errors import GatewayError
from gateway.query.compile import BadIdentifier
from gateway.retrieve.adaptation import Adaptation
from gateway.retrieve.retrieve_backends import RetrieveBackends, RetrieveRequest
from gateway.retrieve.retrieve_keys import read_request
from gateway.routing.table import RoutingTable
from gateway.sources.relayed_services import RETRIEVED

log = structlog.get_logger()


class RetrieveHandler:
    """The base of the handlers of C-MOVE and C-GET."""

    def __init__(self, backends: RetrieveBackends) -> None:
        self._backends = backends

    def _request_of(self, event: Event, peers: Sequence[Peer]) -> RetrieveRequest:
        """The instances that are asked for, and in which forms `peers` get them. Raises BadIdentifier, Unreadable."""
        table: RoutingTable = event.association.table  # of when the request arrived, whatever is reloaded meanwhile
        relayed = RETRIEVED.get(event.sop_class_uid)
        settings = table.query_retrieve
        has_sources = settings.relay.get(relayed.service) if relayed else settings.is_local or settings.sources
        if not has_sources:
            raise BadIdentifier(SOP_CLASS_NOT_SUPPORTED, "nobody is asked for this SOP class")
        query, used = read_request(
            event.encoded_identifier,
            event.transfer_syntax_uid,
            event.sop_class_uid,
            is_strict=table.is_strict(event.facts.peer),
        )
        log_leniencies(event, self._backends.query.meter, used)
        forms = Adaptation(table.retrieve_coercions, peers, self._backends.converter)
        return RetrieveRequest(query, table, event.facts, forms, relayed, event.subject.add)


def refusal_of(event: Event, error: GatewayError) -> FinalStatus:
    """The final status of a request that cannot be answered; it is logged."""
    final = error.final_status()
    log.warning(
        "retrieve_refused",
        sop_class_uid=event.sop_class_uid,
        status=str(final),
        reason=str(error),
        **event.facts.log_fields(),
    )
    return final
