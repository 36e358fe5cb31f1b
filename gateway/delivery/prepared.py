"""The part of the rules that deliveries follow, and what is made of it before it comes into force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.delivery.keeping import KeepingRoute
from gateway.model.peer import Peer, PeerGroup
from gateway.ports.destination import Destination
from gateway.ports.kinds import Resources


class DeliveryPeers(Protocol):
    """The part of a routing table that the service needs."""

    @property
    def peers(self) -> Mapping[str, Peer]: ...
    @property
    def groups(self) -> Mapping[str, PeerGroup]: ...
    @property
    def routes(self) -> Sequence[KeepingRoute]: ...
    @property
    def resources(self) -> Resources:
        """The resources for the stored actions."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A new table, ready for `DeliveryService.apply`: nothing in it can fail any more."""

    resources: Resources
    opened: Mapping[str, tuple[Peer, Destination]]
    """Every destination; those whose settings are the same are as they were."""
    groups: Mapping[str, PeerGroup]
    keeps: Mapping[str, float]
