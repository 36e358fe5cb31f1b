"""Destinations of this node: each is worked on by one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol


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

    def ended(self, destination: str) -> None:
        """The courier of a destination that left `own` has ended: it sends nothing and has nothing in hand."""
        ...

    def node_of(self, destination: str) -> str:
        """The name of the node that works on it, as far as it is known here; empty when none does."""
        ...

    async def release_all(self) -> None:
        """No courier runs any more: another node takes all over at once. Never raises, never waits for long."""
        ...
