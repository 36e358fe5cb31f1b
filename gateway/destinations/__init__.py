"""Where objects go: a DICOM peer or a folder of Part 10 files."""

from __future__ import annotations

from gateway.destinations.dicom import DimseDestination
from gateway.destinations.folder import FolderDestination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.peer import Peer
from gateway.ports.destination import Destination
from gateway.ports.errors import ConfigurationError
from gateway.ports.meter import Meter

__all__ = ["open_destination"]


def open_destination(peer: Peer, associations: AssociationPool, meter: Meter) -> Destination:
    """The destination that `peer` is; nothing is connected or made yet.

    Raises:
        ConfigurationError: the peer has neither an address nor a folder, or its path template is none.
    """
    if peer.folder is not None:
        return FolderDestination(peer, peer.folder)
    if peer.host:
        return DimseDestination(peer, associations, meter)
    raise ConfigurationError(f"peer {peer.name!r} has neither `address` nor `folder`; nothing can be sent to it")
