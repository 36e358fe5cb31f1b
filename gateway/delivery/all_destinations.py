"""A gateway that is alone works on all destinations, without leases."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from gateway.model.node import DestinationStanding


class AllDestinations:
    """The `DestinationLeases` port where there is no other node."""

    def __init__(self) -> None:
        self.own: frozenset[str] = frozenset()

    def subscribe(self, on_change: Callable[[frozenset[str]], None]) -> None:
        """The set changes by `want` alone."""

    def want(self, destinations: Collection[str]) -> None:
        """All are ours."""
        self.own = frozenset(destinations)

    def may_send(self, destination: str) -> bool:
        """Always."""
        return True

    def left_s(self, destination: str) -> float:
        """A courier of a removed destination finishes what is in flight, however long it takes."""
        return math.inf

    def share(self, standings: Callable[[], Mapping[str, DestinationStanding]]) -> None:
        """There is nobody to be told."""

    def standing_of(self, destination: str) -> DestinationStanding | None:
        """None: no other node knows it."""
        return None

    def ended(self, destination: str) -> None:
        """No other node waits for it."""

    def node_of(self, destination: str) -> str:
        """Empty: there are no nodes."""
        return ""

    async def release_all(self) -> None:
        """No other node takes over."""
