"""Leases that a test hands to a delivery service and takes from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from gateway.model.node import DestinationStanding


class HandedLeases:
    """The `DestinationLeases` port: `own` is what the test gave by `hand`."""

    def __init__(self, *own: str) -> None:
        self.given = frozenset(own)
        self.wanted: frozenset[str] = frozenset()
        self.over: set[str] = set()
        """Destinations whose lease has ended by the clock."""
        self.seconds_left = math.inf
        self.have_ended: list[str] = []
        self.is_released = False
        self.standings: dict[str, DestinationStanding] = {}
        """As another node wrote them."""
        self.shared: Callable[[], Mapping[str, DestinationStanding]] = dict
        self._on_change: Callable[[frozenset[str]], None] = lambda own: None

    @property
    def own(self) -> frozenset[str]:
        return self.given & self.wanted

    def hand(self, *own: str) -> None:
        """These are the node's from now on."""
        self.given = frozenset(own)
        self._on_change(self.own)

    def subscribe(self, on_change: Callable[[frozenset[str]], None]) -> None:
        self._on_change = on_change

    def want(self, destinations: Collection[str]) -> None:
        self.wanted = frozenset(destinations)

    def may_send(self, destination: str) -> bool:
        return destination not in self.over

    def left_s(self, destination: str) -> float:
        return self.seconds_left

    def share(self, standings: Callable[[], Mapping[str, DestinationStanding]]) -> None:
        self.shared = standings

    def standing_of(self, destination: str) -> DestinationStanding | None:
        return self.standings.get(destination)

    def ended(self, destination: str) -> None:
        self.have_ended.append(destination)

    def node_of(self, destination: str) -> str:
        return "this" if destination in self.own else "other"

    async def release_all(self) -> None:
        self.is_released = True
