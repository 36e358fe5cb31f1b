"""The explanation of a C-FIND, C-MOVE or C-GET, as far as it can be given without asking another system.

The identifier is read by the functions that the handlers use: who may ask, what is odd about it and how it is read
then, where it would be asked or sent, or the status of its refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.dimse.protocol.context import QUERY_RETRIEVE
from gateway.leniency import LENIENCIES
from gateway.model.association import AssociationFacts
from gateway.model.dimse_status import SOP_CLASS_NOT_SUPPORTED
from gateway.model.query import Attributes, Query, QueryRoot
from gateway.ports.errors import GatewayError, NotAllowed
from gateway.query.compile import BadIdentifier, Options
from gateway.query.identifier import IdentifierEncoder
from gateway.query.lenient import lenient_find
from gateway.query.sop_classes import ROOT_OF, QueryOperation
from gateway.rehearsal.stage import RehearsedAdmission, query_admission
from gateway.retrieve.move_destinations import move_places
from gateway.retrieve.retrieve_keys import read_request
from gateway.routing.table import RoutingTable
from gateway.sources.sources import sources_of
from gateway.sources.visible_answers import VisibleQuery

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
ON_THE_WIRE = tuple(kind for kind, row in LENIENCIES.items() if row.shown_by == "wire")
"""Rows of `gateway.leniency` that no identifier shows."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of Query/Retrieve."""

    name: str
    """The origin of its identifier."""
    operation: QueryOperation
    root: QueryRoot
    identifier: Attributes
    destination: str = ""
    """Move Destination."""
    is_relational: bool = False
    """Relational queries were agreed on for the association (PS3.4 §C.5.1.1.1)."""

    @property
    def sop_class_uid(self) -> str:
        """The SOP Class UID of the information model."""
        models = (uid for uid, root in ROOT_OF.items() if root == self.root)
        return next(uid for uid in models if QUERY_RETRIEVE[uid] == self.operation)


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The explanation of one query."""

    request: Request
    admission: RehearsedAdmission
    is_strict: bool = False
    status: int | None = None
    """The status of the refusal; None when it is not refused, or when no request could be made."""
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()
    oddities: tuple[str, ...] = ()
    """Rows of `gateway.leniency` that are used."""
    query: Query | None = None
    """The query as it is read; None when it is refused."""
    queried: tuple[str, ...] = ()
    """Places that would be asked; `local` is the gateway itself."""
    sent_to: tuple[str, ...] = ()
    """Peers that a C-MOVE sends to."""
    hidden_by: tuple[str, ...] = ()
    """Rules of `hide` that hold for the requestor: each place is asked what they must know of studies."""


def explain_query(table: RoutingTable, association: AssociationFacts, request: Request) -> QueryAnswer:
    """Everything about one request."""
    admission = query_admission(table, association)
    if not admission.is_admitted:
        return QueryAnswer(request, admission)
    facts = admission.association
    peer = table.peers.get(facts.peer)
    answer = QueryAnswer(request, admission, table.is_strict(facts.peer))
    is_offered = not peer or not peer.accept_sop_classes or request.sop_class_uid in peer.accept_sop_classes
    if peer is None or not is_offered:
        text = f"{admission.text}, but its SOP class is accepted in no presentation context"
        return replace(answer, admission=RehearsedAdmission(facts, text, is_admitted=False))
    if request.operation not in peer.may:
        text = f"C-{request.operation.upper()} is not allowed for {facts.calling_ae_title}"
        return replace(answer, status=NotAllowed.dimse_status, error_comment=text)
    queried = sources_of(table, facts)
    names = [each.name for each in queried.peers]
    if queried.is_local:
        names.insert(queried.local_rank, "local")
    if not names:
        return replace(answer, status=SOP_CLASS_NOT_SUPPORTED, error_comment="nobody is asked for this SOP class")
    hidden = tuple(rule.name for rule in table.hidden if rule.is_for(facts))
    answer = replace(answer, queried=tuple(names), hidden_by=hidden)
    try:
        return _read(table, answer)
    except BadIdentifier as error:
        refused = replace(answer, status=error.dimse_status, error_comment=str(error), queried=())
        return replace(refused, offending_elements=error.offending_elements, oddities=_odd(answer))
    except GatewayError as error:
        return replace(answer, status=error.dimse_status, error_comment=str(error), queried=())


def _read(table: RoutingTable, answer: QueryAnswer) -> QueryAnswer:
    """Raises BadIdentifier, MoveDestinationUnknown, NotAllowed."""
    request = answer.request
    if request.operation == "find":
        identifier, options, used = _as_find(answer)
        return replace(answer, oddities=used, query=VisibleQuery.of(identifier, request.root, options).query)
    sent_to: tuple[str, ...] = ()
    if request.operation == "move":
        peer = table.peers.get(answer.admission.association.peer)
        sent_to = tuple(place.name for place in move_places(table, request.destination, peer))
    encoded = IdentifierEncoder(IMPLICIT_VR_LITTLE_ENDIAN)(request.identifier)
    query, used = read_request(encoded, IMPLICIT_VR_LITTLE_ENDIAN, request.sop_class_uid, is_strict=answer.is_strict)
    return replace(answer, oddities=used, query=query, sent_to=sent_to)


def _as_find(answer: QueryAnswer) -> tuple[Attributes, Options, tuple[str, ...]]:
    request = answer.request
    options = Options(is_relational=request.is_relational)
    if answer.is_strict:
        return request.identifier, options, ()
    return lenient_find(request.identifier, request.root, options)


def _odd(answer: QueryAnswer) -> tuple[str, ...]:
    """The deviations that were read leniently before something else was refused."""
    return _as_find(answer)[2] if answer.request.operation == "find" else ()
