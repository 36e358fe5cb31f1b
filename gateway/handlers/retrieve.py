"""What the handlers of C-MOVE and C-GET have in common: reading the request, and refusing it."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from gateway.dimse.event import Event
from gateway.dimse.status import comment
from gateway.model import Peer
from gateway.query.compile import BadIdentifier
from gateway.retrieve.desk import Retrieve, RetrieveDesk
from gateway.retrieve.form import Forms
from gateway.retrieve.request import read_request
from gateway.routing.table import RoutingTable


def request_of(event: Event, peers: Sequence[Peer], desk: RetrieveDesk) -> Retrieve:
    """What is asked for, and in which forms `peers` get it. Raises BadIdentifier, Unreadable."""
    table: RoutingTable = event.assoc.table  # pinned at admission: a reload changes nothing for this association
    query = read_request(event.encoded_identifier, event.transfer_syntax_uid, event.sop_class_uid)
    return Retrieve(query, table, event.facts, Forms(table.retrieve_coercions, peers, desk.converter))


def refusal_of(error: BadIdentifier) -> Dataset:
    """The final status of an identifier that cannot be answered, with its offending elements."""
    status = Dataset()
    status.Status = error.dimse_status
    status.ErrorComment = comment(str(error))
    if error.offending_elements:
        status.OffendingElement = list(error.offending_elements)
    return status
