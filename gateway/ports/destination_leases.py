"""Destinations of this node: each is worked on by one node at a time. The tables by which nodes know of each other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from gateway.model.node import ClusterView, DestinationStanding, GatewayNode, NodeState


class DestinationLeases(Protocol):
    """The destinations that this node may send to. Used in the event loop."""

    @property
    def own(self) -> frozenset[str]:
        """Destinations whose couriers run here."""
        ...

    def subscribe(self, on_change: Callable[[frozenset[str]], None]) -> None:
        """`on_change(own)` is called on the event loop when `own` changed, but not by a call of `want`."""
        ...

    def want(self, destinations: Collection[str]) -> None:
        """The rules in force have these destinations. `own` has none of the others from now on."""
        ...

    def may_send(self, destination: str) -> bool:
        """True while an object may be begun. It ends by the clock, whether or not `on_change` was called."""
        ...

    def left_s(self, destination: str) -> float:
        """The seconds within which a courier has to end whose destination left `own`; what it sends then is aborted."""
        ...

    def share(self, standings: Callable[[], Mapping[str, DestinationStanding]]) -> None:
        """`standings` gives how the destinations stand whose couriers run, or ran, here; other nodes are told."""
        ...

    def standing_of(self, destination: str) -> DestinationStanding | None:
        """How it stands, or stood when it became one of `own`, as far as another node wrote it."""
        ...

    def ended(self, destination: str) -> None:
        """The courier of a destination that left `own` has ended: it sends nothing and has nothing in hand."""
        ...

    def node_of(self, destination: str) -> str:
        """The name of the node that works on it, as far as it is known here; empty when none does."""
        ...

    async def release_all(self) -> None:
        """No courier runs any more: another node takes all over at once. Never raises, never waits for long."""
        ...


class NodeTable(Protocol):
    """Steps of one node on tables that all share, by the clock of the server. One thread at a time calls them.

    Raises (each step): SpoolFull, Temporary, ConfigurationError, QueueBroken: as a store.
    """

    def beat(
        self, node: GatewayNode, state: NodeState, configuration: str, destinations: Collection[str]
    ) -> ClusterView:
        """Write that the node lives, and look at all. A node is live that was seen within `live_s`."""
        ...

    def renew(self, leases: Mapping[str, int], lease_s: float) -> Collection[str]:
        """Destination → token: those that are renewed for `lease_s` from now; others were over."""
        ...

    def take(self, instance: str, destinations: Collection[str], lease_s: float) -> Mapping[str, int]:
        """Take what is free or over among these: destination → token. What the holder before had claimed is free again.

        What another session works on at this moment is left out.
        """
        ...

    def write_standings(self, standings: Mapping[str, tuple[int, DestinationStanding]]) -> None:
        """Destination → token of its lease, and how it stands. Where another node has the lease nothing is written."""
        ...

    def read_standings(self, destinations: Collection[str]) -> Mapping[str, DestinationStanding]:
        """How these stand, with their refusals."""
        ...

    def release(self, leases: Mapping[str, int]) -> None:
        """Destination → token: free from now on, and the token is worth nothing."""
        ...

    def leave(self, instance: str) -> None:
        """Release everything, and take the node out of the table."""
        ...

    def tidy(self) -> None:
        """Remove nodes that have been gone for a day or run again, and leases that have been over for a day."""
        ...

    def close(self) -> None:
        """End the connection. Any thread; a step that runs fails."""
        ...
