"""The parts of the gateway that retrieves use, and one retrieve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.intake.incoming import Incoming
from gateway.model.association import AssociationFacts
from gateway.model.dimse_status import UNABLE_TO_COUNT_MATCHES
from gateway.model.instance import PayloadRef
from gateway.model.query import Query
from gateway.ports.converter import Converter
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import Temporary
from gateway.retrieve.adaptation import Adaptation
from gateway.retrieve.move_rendezvous import MoveRendezvous
from gateway.routing.table import RoutingTable
from gateway.sources.query_backends import QueryBackends
from gateway.sources.relayed_services import RelayedRetrieveService


async def keep_nothing(incoming: Incoming, table: RoutingTable) -> int:
    """Fetched instances are only passed on."""
    return 0


@dataclass(frozen=True, slots=True)
class RetrieveBackends:
    """The parts of the gateway that C-MOVE and C-GET use."""

    query: QueryBackends
    """Index, sources, and what is known of them."""
    open_payload: Callable[[PayloadRef], EncodedDataSet]
    """`Journal.open`."""
    open_cached: Callable[[PayloadRef], EncodedDataSet | None]
    """The same when nobody has to wait for the disk, else None."""
    converter: Converter
    receiver: Callable[[], DataSetReceiver]
    """A receiver for one instance that a source sends. Raises SpoolFull."""
    rendezvous: MoveRendezvous
    """The rendezvous of the instances that sources send for a C-MOVE to ourselves."""
    keep: Callable[[Incoming, RoutingTable], Awaitable[int]] = keep_nothing
    """Takes in what `keep_retrieved` asks for, as if the source had sent it; the status it would be answered."""


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """One C-MOVE or C-GET."""

    query: Query
    table: RoutingTable
    facts: AssociationFacts
    """Facts of the requestor's association."""
    forms: Adaptation
    relayed: RelayedRetrieveService | None = None
    """The service other than Query/Retrieve whose objects are retrieved from the peers that `relay` names; else
    None.
    """
    found: Callable[[str], None] = lambda study_instance_uid: None
    """Called with the study of each instance that was found; empty where it is not known."""


class CannotCount(Temporary):
    """The number of instances is not known: the index cannot be read, or a source did not answer."""

    dimse_status = UNABLE_TO_COUNT_MATCHES
