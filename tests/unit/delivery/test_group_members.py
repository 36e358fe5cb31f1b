"""Which member of a group gets an object."""

from __future__ import annotations

import pytest

from gateway.delivery.group_members import TRIAL_EACH_S, GroupMembers
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.node import DestinationStanding
from gateway.model.peer import PeerGroup

ARCHIVES = PeerGroup("archives", ("a", "b", "c"), "failover", after_s=30.0)
GROUPS = {"archives": ARCHIVES}
UP = DestinationStanding(True)
TO_ARCHIVES = Dispatch("all", "a", group_name="archives")


def down(for_s: float, wait_s: float = 10.0) -> DestinationStanding:
    return DestinationStanding(False, "refused", 3, wait_s, down_s=for_s)


class Standings:
    """Members as a test wants them, and a clock that it moves."""

    def __init__(self, **standings: DestinationStanding) -> None:
        self.standings = standings
        self.at_s = 100.0
        self.members = GroupMembers(self.standings.get, lambda: self.at_s)

    def chosen(self, *dispatches: Dispatch) -> list[str]:
        return [each.destination for each in self.members.choose(dispatches, GROUPS)]


@pytest.mark.parametrize(
    ("standings", "best"),
    [
        ({}, "a"),
        ({"a": UP, "b": UP}, "a"),
        ({"a": down(29.9)}, "a"),
        ({"a": down(30.0)}, "b"),
        ({"a": down(30.0), "b": down(31.0)}, "c"),
        ({"a": down(30.0), "b": down(31.0), "c": down(500.0)}, "a"),
        ({"b": down(30.0)}, "a"),
    ],
    ids=["unused", "up", "down a moment", "given up", "two given up", "all given up", "the second"],
)
def test_the_first_that_is_not_given_up(standings: dict[str, DestinationStanding], best: str) -> None:
    site = Standings(**standings)
    assert site.members.best(ARCHIVES) == best
    assert site.chosen(TO_ARCHIVES) == [best]


def test_a_peer_that_was_named_itself_is_left_as_it_is() -> None:
    site = Standings(a=down(60.0))
    direct = Dispatch("all", "a")
    assert site.members.choose((direct,), GROUPS) == (direct,)


def test_an_object_goes_once_to_a_member_that_it_goes_to_anyway() -> None:
    site = Standings(a=down(60.0))
    assert site.chosen(TO_ARCHIVES, Dispatch("all", "b")) == ["b"]
    assert site.chosen(TO_ARCHIVES, Dispatch("all", "b", "[edited]")) == ["b", "b"]
    assert site.chosen(TO_ARCHIVES, Dispatch("all", "a")) == ["b", "a"]


def test_what_is_held_has_a_member_too() -> None:
    held = Dispatch("all", "a", "", DeliveryState.HELD, "archives")
    assert Standings(a=down(60.0)).chosen(held) == ["b"]


def test_a_member_that_is_given_up_is_tried_with_one_object_when_its_wait_is_over() -> None:
    site = Standings(a=down(60.0, wait_s=1.0))
    assert site.chosen(TO_ARCHIVES) == ["b"]
    site.standings["a"] = down(61.0, wait_s=0.0)
    assert [site.chosen(TO_ARCHIVES) for _ in range(3)] == [["a"], ["b"], ["b"]]
    site.at_s += TRIAL_EACH_S
    assert [site.chosen(TO_ARCHIVES) for _ in range(2)] == [["a"], ["b"]]


def test_no_member_is_tried_that_stands_behind_the_chosen_one() -> None:
    site = Standings(b=down(60.0, wait_s=0.0))
    assert site.chosen(TO_ARCHIVES) == ["a"]


def test_each_member_is_tried_while_all_are_given_up() -> None:
    site = Standings(a=down(60.0), b=down(60.0, wait_s=0.0), c=down(60.0, wait_s=0.0))
    assert [site.chosen(TO_ARCHIVES) for _ in range(3)] == [["b"], ["c"], ["a"]]


def test_a_doubtful_delivery_is_the_try_of_its_member() -> None:
    site = Standings(a=down(60.0, wait_s=0.0))
    site.members.doubtful = {("archives", "a"): 1}
    assert site.chosen(TO_ARCHIVES) == ["b"]
