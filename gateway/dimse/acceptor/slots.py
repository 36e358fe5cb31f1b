"""Slots of connections and associations: bounds for each host, for strangers together, for all.

A connection is without an association until its A-ASSOCIATE-RQ was accepted, and again when the association is over.
The oldest of these makes room for a new one: a requestor associates at once, and one that does not loses its place.
Connections from hosts that known peers call from have as much room of their own as all others together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits

C = TypeVar("C", bound=Hashable)


class Unassociated(Generic[C]):
    """Connections without an association.

    Args:
        most: of all hosts together.
        most_per_host: of each.
    """

    def __init__(self, most: int, most_per_host: int) -> None:
        self._most = most
        self._most_per_host = min(most_per_host, most)
        self._hosts: dict[str, tuple[dict[C, None], dict[C, None]]] = {}
        """Host → connections whose association is over, connections that have had none; the oldest first."""
        self._host_of: dict[C, str] = {}

    def __len__(self) -> int:
        return len(self._host_of)

    def __contains__(self, connection: object) -> bool:
        return connection in self._host_of

    def enter(self, connection: C, host: str, *, is_over: bool = False) -> C | None:
        """One more; the connection that must be closed for it, if any: it has left already.

        One of the same host when that has too many, else of the host that has the most. Those whose association is
        over go first.
        """
        over, opening = self._hosts.setdefault(host, ({}, {}))
        victim = None
        if len(over) + len(opening) >= self._most_per_host:
            victim = self._oldest(host)
        elif len(self._host_of) >= self._most:
            victim = self._oldest(max(self._hosts, key=self._count))
        if victim is not None:
            self.leave(victim)
            over, opening = self._hosts.setdefault(host, (over, opening))
        (over if is_over else opening)[connection] = None
        self._host_of[connection] = host
        return victim

    def leave(self, connection: C) -> None:
        """A connection is gone, or has an association now; one that is not here is passed over."""
        host = self._host_of.pop(connection, None)
        if host is None:
            return
        over, opening = self._hosts[host]
        over.pop(connection, None)
        opening.pop(connection, None)
        if not over and not opening:
            del self._hosts[host]

    def _count(self, host: str) -> int:
        over, opening = self._hosts[host]
        return len(over) + len(opening)

    def _oldest(self, host: str) -> C | None:
        over, opening = self._hosts[host]
        return next(iter(over or opening), None)


class Associations:
    """Counts associations, and says which limit one more would break."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = 0
        self._strangers = 0
        self._of_strangers_host: Counter[str] = Counter()
        self._of_peer: Counter[tuple[str, str]] = Counter()

    def objection(self, facts: AssociationFacts, *, is_stranger: bool) -> str:
        """The reason why there is no room for one more; empty when there is."""
        limits, host = self._limits, facts.remote_host
        if self._all >= limits.associations:
            return f"{limits.associations} associations are open (limits.associations)"
        if self._of_peer[host, facts.calling_ae_title] >= limits.associations_per_peer:
            return f"{limits.associations_per_peer} associations of this peer are open (limits.associations_per_peer)"
        if not is_stranger:
            return ""
        if self._strangers >= limits.strangers:
            return (
                f"{limits.strangers} associations of strangers are open "
                "(limits.associations_of_strangers); the others are reserved for known peers"
            )
        if self._of_strangers_host[host] >= limits.associations_per_host:
            return f"{limits.associations_per_host} associations of this host are open (limits.associations_per_host)"
        return ""

    def joined(self, facts: AssociationFacts) -> None:
        """One more."""
        self._add(facts, 1)

    def left(self, facts: AssociationFacts) -> None:
        """One less."""
        self._add(facts, -1)

    def _add(self, facts: AssociationFacts, number: int) -> None:
        self._all += number
        _count(self._of_peer, (facts.remote_host, facts.calling_ae_title), number)
        if not facts.peer:
            self._strangers += number
            _count(self._of_strangers_host, facts.remote_host, number)


K = TypeVar("K", bound=Hashable)


def _count(counter: Counter[K], key: K, number: int) -> None:
    counter[key] += number
    if not counter[key]:
        del counter[key]


class Slots(Generic[C]):
    """The two together, for the connections of one server."""

    def __init__(self, limits: Limits) -> None:
        self.associations = Associations(limits)
        self._known: Unassociated[C] = Unassociated(limits.unassociated, limits.unassociated)
        self._others: Unassociated[C] = Unassociated(limits.unassociated, limits.unassociated_per_host)

    def enter(self, connection: C, host: str, *, is_known: bool, is_over: bool = False) -> C | None:
        """A connection without an association; the one that must be closed for it, if any."""
        return (self._known if is_known else self._others).enter(connection, host, is_over=is_over)

    def leave(self, connection: C) -> None:
        """A connection is gone, or has an association."""
        self._known.leave(connection)
        self._others.leave(connection)

    @property
    def unassociated(self) -> int:
        """Connections without an association."""
        return len(self._known) + len(self._others)
