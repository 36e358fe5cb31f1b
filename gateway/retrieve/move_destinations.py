"""Move Destination → peers. Pure."""

from __future__ import annotations

from gateway.model.dimse_status import MOVE_DESTINATION_UNKNOWN
from gateway.model.peer import Peer
from gateway.ports.errors import NotAllowed, Refusal
from gateway.routing.table import RoutingTable


class MoveDestinationUnknown(Refusal):
    """No peer of ours is meant; the requestor or an operator fixes."""

    dimse_status = MOVE_DESTINATION_UNKNOWN


def move_places(table: RoutingTable, title: str, requestor: Peer | None) -> tuple[Peer, ...]:
    """The destinations of a C-MOVE: those that `move_destinations` gives for the title, else the group of this name,
    else the peer with this AE title (the requestor itself before others that share it).

    Raises:
        MoveDestinationUnknown
        NotAllowed: the requestor may not move there.
    """
    title = title.strip(" ")
    names = _names(table, title, requestor) if title else ()
    places = tuple(table.peers[name] for name in names if name in table.peers and table.peers[name].host)
    if not places:
        raise MoveDestinationUnknown(f"no peer here is the Move Destination {title!r}")
    if requestor is not None and requestor.may_move_to and title not in requestor.may_move_to:
        raise NotAllowed(f"{requestor.name} may not move to {title}")
    return places


def _names(table: RoutingTable, title: str, requestor: Peer | None) -> tuple[str, ...]:
    listed = table.query_retrieve.move_destinations.get(title)
    if listed is not None:
        return listed
    if title in table.groups:
        return table.groups[title].members
    if requestor is not None and requestor.ae_title == title and requestor.host:
        return (requestor.name,)
    return tuple(peer.name for peer in table.peers.values() if peer.ae_title == title and peer.host)[:1]
