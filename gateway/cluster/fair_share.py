"""Which destinations a node takes and lets go of, decided alike by all nodes of what all of them see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Shares:
    """The next step of one node."""

    take: frozenset[str]
    """Free ones."""
    let_go: frozenset[str]


def shares(
    me: str, nodes: Mapping[str, Collection[str]], holders: Mapping[str, str], leaving: Collection[str]
) -> Shares:
    """The next step of node `me`.

    Destinations that the same nodes know are divided among these, so that their numbers differ by one at most. Those
    who have the most keep one more, so that no lease moves without need.

    Args:
        me: the node that asks.
        nodes: node → the destinations that its rules have; of those that may hold leases.
        holders: destination → the node that holds its lease, whatever node it is; the others are free.
        leaving: destinations whose lease `me` holds and is about to end.
    """
    known: dict[str, list[str]] = {}
    for node, destinations in sorted(nodes.items()):
        for destination in destinations:
            known.setdefault(destination, []).append(node)
    groups: dict[tuple[str, ...], list[str]] = {}
    for destination, its_nodes in known.items():
        groups.setdefault(tuple(its_nodes), []).append(destination)
    mine = {destination for destination, node in holders.items() if node == me} - set(leaving)
    let_go = {destination for destination in mine if me not in known.get(destination, ())}
    take: set[str] = set()
    for members, destinations in groups.items():
        if me not in members:
            continue
        held = Counter(holders[each] for each in destinations if each in holders)
        kept = [each for each in destinations if each in mine]
        surplus = len(kept) - _quota(me, members, held, len(destinations))
        free = [each for each in destinations if each not in holders]
        take.update(_chosen(me, free, -surplus))
        let_go.update(_chosen(me, kept, surplus))
    return Shares(frozenset(take), frozenset(let_go))


def _quota(me: str, nodes: Iterable[str], held: Counter[str], destinations: int) -> int:
    ranked = sorted(nodes, key=lambda node: (-held[node], node))
    each, more = divmod(destinations, len(ranked))
    return each + (ranked.index(me) < more)


def _chosen(me: str, destinations: Iterable[str], number: int) -> list[str]:
    """In an order of the node's own, so that two of them seldom want the same."""
    ordered = sorted(destinations, key=lambda each: blake2b(f"{me}\0{each}".encode(), digest_size=8).digest())
    return ordered[: max(number, 0)]
