"""Which destinations a node takes and lets go of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cluster.fair_share import shares


def numbers(**held: int) -> dict[str, str]:
    """Node → so many destinations: the holder of each."""
    names = iter(range(100))
    return {f"d{next(names)}": node for node, number in held.items() for _ in range(number)}


# held by node, free ones, me → number taken, number let go
TABLE: dict[str, tuple[dict[str, int], int, str, int, int]] = {
    "alone, all free": ({"a": 0}, 5, "a", 5, 0),
    "two begin: the first by name has one more": ({"a": 0, "b": 0}, 5, "a", 3, 0),
    "two begin: the second": ({"a": 0, "b": 0}, 5, "b", 2, 0),
    "who has one more keeps it": ({"a": 2, "b": 3}, 0, "b", 0, 0),
    "and nobody takes it": ({"a": 2, "b": 3}, 0, "a", 0, 0),
    "a node comes: who has most lets go": ({"a": 3, "b": 2, "new": 0}, 0, "a", 0, 1),
    "and who has its share does not": ({"a": 3, "b": 2, "new": 0}, 0, "b", 0, 0),
    "of ten that have four three let go": ({**{f"n{n}": 4 for n in range(10)}, "new": 0}, 0, "n6", 0, 0),
    "the other three": ({**{f"n{n}": 4 for n in range(10)}, "new": 0}, 0, "n7", 0, 1),
    "a node is gone: its leases are shared": ({"a": 3, "b": 2}, 3, "b", 2, 0),
    "more nodes than destinations": ({"a": 1, "b": 1, "c": 0}, 0, "c", 0, 0),
}


@pytest.mark.parametrize(("held", "free", "me", "take", "let_go"), TABLE.values(), ids=TABLE)
def test_a_share(held: dict[str, int], free: int, me: str, take: int, let_go: int) -> None:
    holders = numbers(**held)
    destinations = [*holders, *(f"free{number}" for number in range(free))]
    found = shares(me, dict.fromkeys(held, destinations), holders, ())
    assert (len(found.take), len(found.let_go)) == (take, let_go)
    assert found.take <= {name for name in destinations if name.startswith("free")}
    assert {holders[name] for name in found.let_go} <= {me}


def test_what_is_leaving_is_not_let_go_again() -> None:
    holders = numbers(a=4, new=0)
    nodes = {"a": [*holders], "new": [*holders]}
    first = shares("a", nodes, holders, ())
    assert len(first.let_go) == 2
    assert shares("a", nodes, holders, first.let_go).let_go == frozenset()


def test_a_node_that_may_hold_none_lets_all_go() -> None:
    holders = numbers(a=2)
    assert shares("a", {"b": [*holders]}, holders, ()).let_go == holders.keys()


def test_what_the_rules_of_a_node_do_not_have_is_for_others() -> None:
    nodes = {"a": ["d0", "d1", "d2"], "b": ["d2"]}
    assert shares("a", nodes, {}, ()).take == {"d0", "d1", "d2"}
    assert shares("b", nodes, {}, ()).take == frozenset()
    assert shares("a", {"a": [], "b": ["d0"]}, {"d0": "a"}, ()).let_go == {"d0"}


def test_two_nodes_seldom_want_the_same_first() -> None:
    destinations = [f"d{number}" for number in range(100)]
    nodes = dict.fromkeys((f"n{number}" for number in range(100)), destinations)
    first = Counter(next(iter(shares(node, nodes, {}, ()).take)) for node in nodes)
    assert len(first) > 40


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, unique=True),
    st.dictionaries(st.integers(0, 30).map(str), st.sampled_from(["a", "b", "c", "d", "e", "f", "dead"])),
    st.integers(0, 20),
)
def test_steps_of_all_nodes_lead_to_even_shares_and_stay_there(
    nodes: list[str], holders: Mapping[str, str], free: int
) -> None:
    destinations: Collection[str] = [*holders, *(f"free{number}" for number in range(free))]
    held = {name: node for name, node in holders.items() if node != "dead"}
    for _ in range(4):
        for node in nodes:
            step = shares(node, dict.fromkeys(nodes, destinations), held, ())
            held = {name: holder for name, holder in held.items() if name not in step.let_go}
            held |= dict.fromkeys(step.take - held.keys(), node)
        held = {name: holder for name, holder in held.items() if holder in nodes}  # leases of the others end
    counts = [Counter(held.values())[node] for node in nodes]
    assert sum(counts) == len(destinations)
    assert max(counts) - min(counts) <= 1
    for node in nodes:
        step = shares(node, dict.fromkeys(nodes, destinations), held, ())
        assert (step.take, step.let_go) == (frozenset(), frozenset())
