"""How long the copy of what was delivered is kept, by the rules in force. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from gateway.model.peer import Peer


class KeepingRoute(Protocol):
    """The part of a route that says how long copies are kept."""

    @property
    def name(self) -> str: ...
    @property
    def keep_s(self) -> float: ...


def keep_by_rule(routes: Iterable[KeepingRoute]) -> Mapping[str, float]:
    """Name of the route → seconds, of those that keep copies."""
    return {route.name: route.keep_s for route in routes if route.keep_s}


def keep_s(peer: Peer, rule: str, by_rule: Mapping[str, float]) -> float:
    """The seconds for which a delivery by `rule` to `peer` keeps the copy: the longer of the two; 0: not at all."""
    return max(peer.keep_s, by_rule.get(rule, 0.0))
