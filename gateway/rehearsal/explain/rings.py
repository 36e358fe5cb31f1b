"""Rings: an object that would come back, or be held for that, as far as the rules of one gateway can say it."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from gateway.model.association import AssociationFacts
from gateway.model.delivery import LOOP_RULE, DeliveryState
from gateway.model.hops import hops_of
from gateway.model.listener import Listener
from gateway.model.peer import Peer
from gateway.model.settings import Settings
from gateway.routing.table import RoutingTable

ANY = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def ring_to(table: RoutingTable, association: AssociationFacts, peer: Peer) -> str:
    """The reason why an object of this requestor would go round when it is sent to `peer`; empty when there is none."""
    if not peer.host:
        return ""
    limits = table.settings.loops
    if limits.hops and (hops := hops_of(association)) > limits.hops:
        return f"it came through {hops} gateways, so that it is held under the rule {LOOP_RULE} (`gateway.loops`)"
    listener = _own_listener(table.settings, peer)
    if listener is not None:
        return (
            f"a ring: {peer.host}:{peer.port} is this gateway's own listener {listener.name!r}, so that it comes back"
        )
    if peer.ae_title == association.calling_ae_title:
        return (
            "it goes back to the requestor, whose AE title that is: a ring, if that one sends on to here what it gets; "
            f"then it is held under the rule {LOOP_RULE} (`gateway.loops`)"
        )
    return ""


def was_held(rule: str, state: DeliveryState) -> str:
    """The reason why a delivery of the queue waits, when it is for a ring; else empty."""
    if rule != LOOP_RULE or state is not DeliveryState.HELD:
        return ""
    return "it went round in a ring of places that forward to each other; the log (instance_loops) says how often"


def _own_listener(settings: Settings, peer: Peer) -> Listener | None:
    """The one that `peer` leads to, by an address that is this machine's for sure."""
    title = peer.associate.called_ae_title or peer.ae_title
    if title not in (settings.ae_title, *settings.called_ae_titles) and "*" not in settings.called_ae_titles:
        return None
    same_port = (one for one in settings.listeners if one.port == peer.port)
    return next((one for one in same_port if _leads_to(peer.host, one.address)), None)


def _leads_to(host: str, address: str) -> bool:
    if host.lower() == address.lower():
        return True
    is_loopback = host.lower() == "localhost"
    with suppress(ValueError):
        is_loopback |= ipaddress.ip_address(host).is_loopback
    return is_loopback and (address in ANY or address.lower() == "localhost")
