"""Nodes: the gateway processes that share a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

NodeState = Literal["running", "draining"]
"""A node that drains hands its destinations over."""


@dataclass(frozen=True, slots=True)
class GatewayNode:
    """One process, as it writes itself down."""

    instance: str
    """Told apart by this: another start of the same node has another one."""
    name: str
    version: str
    """The version of the gateway."""
    host: str
    pid: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node as the others see it; times are the server's."""

    node: GatewayNode
    state: NodeState
    configuration: str
    """The version of the rules in force."""
    destinations: frozenset[str]
    """The destinations of these rules."""
    seen_at: datetime
    is_live: bool
    """False when it was not seen for some seconds: it is gone since `seen_at`."""
    leases: int
    """The number of destinations that it works on."""

    @property
    def kind(self) -> tuple[str, str]:
        """Its version and its rules, which nodes should have in common."""
        return self.node.version, self.configuration


@dataclass(frozen=True, slots=True)
class DestinationLease:
    """The lease of a destination."""

    destination: str
    instance: str
    """Its holder; the last one when it is over. Empty when it was released."""
    token: int
    is_over: bool


@dataclass(frozen=True, slots=True)
class DestinationStanding:
    """How a destination behaved lately, as the node knows it that works on it."""

    is_up: bool
    reason: str = ""
    """The reason why it is down; fit for logs."""
    failures: int = 0
    """Tries in vain in a row; 0 while it is up."""
    wait_s: float = 0.0
    """Seconds from the moment at which this was written or read to the next try."""
    refusals: str = ""
    """Its refusals in a row, as `gateway.delivery.refusals` writes them; empty where nobody goes on with them."""
    down_s: float = 0.0
    """Seconds for which it had been down at the moment at which this was written or read; 0 while it is up."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Nodes, leases and destinations at one moment of the server's clock."""

    nodes: tuple[NodeSeen, ...] = ()
    """By name; those that are gone included."""
    leases: tuple[DestinationLease, ...] = ()
    standings: Mapping[str, DestinationStanding] = field(default_factory=dict)
    """Destination → how it stands, without refusals."""

    @property
    def live(self) -> tuple[NodeSeen, ...]:
        """The nodes that run now."""
        return tuple(seen for seen in self.nodes if seen.is_live)

    @property
    def are_alike(self) -> bool:
        """True when all nodes that run now have the same version and rules."""
        return len({seen.kind for seen in self.live}) < 2
