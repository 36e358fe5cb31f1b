"""A peer → its destination, by the kind that the configuration gives it."""

from __future__ import annotations

from gateway.destinations.dicom import AssociationContext, DicomNode
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.peer import Peer
from gateway.ports.destination import Destination
from gateway.ports.errors import ConfigurationError
from gateway.ports.kinds import DestinationKind
from gateway.ports.meter import Meter


def open_destination(peer: Peer, associations: AssociationPool, meter: Meter) -> Destination:
    """The destination that `peer` is; nothing is connected or made yet.

    Raises:
        ConfigurationError: the peer is no destination, or the settings of its destination are none.
    """
    kind = peer.destination or (DicomNode() if peer.host else None)
    if kind is None:
        raise ConfigurationError(f"peer {peer.name!r} has neither `address` nor `folder`; nothing can be sent to it")
    if not isinstance(kind, DestinationKind):
        raise ConfigurationError(f"peer {peer.name!r}: {type(kind).__name__} cannot be opened")
    return kind.open(AssociationContext(peer, associations.own_ae_title, meter, associations))
