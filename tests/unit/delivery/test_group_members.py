"""Which member of a group gets an object."""

from __future__ import annotations

import pytest

from gateway.delivery.group_members import TRIAL_EACH_S, GroupMembers
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.node import DestinationStanding
from gateway.model.peer import PeerGroup
from gateway.model.priority import Priority

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


# --- balance --------------------------------------------------------------------------------------------------------

READERS = PeerGroup("readers", ("a", "b", "c"), "balance", after_s=30.0)


@pytest.mark.parametrize(
    ("standings", "waiting", "best"),
    [
        ({}, {}, "a"),
        ({}, {"a": 1}, "b"),
        ({}, {"a": 5, "b": 7, "c": 4}, "c"),
        ({"c": down(1.0)}, {"a": 5, "b": 7, "c": 4}, "a"),
        ({"a": down(1.0), "c": down(60.0)}, {"a": 0, "b": 7, "c": 0}, "b"),
        ({"a": down(1.0), "b": down(2.0), "c": down(60.0)}, {"a": 9, "b": 7, "c": 0}, "b"),
        ({"a": down(60.0), "b": down(60.0), "c": down(60.0)}, {"a": 9, "b": 7, "c": 8}, "b"),
    ],
    ids=["none", "the next", "the fewest", "one down", "two down", "all down", "all given up"],
)
def test_of_a_balance_group_the_one_with_the_fewest_among_those_that_are_up(
    standings: dict[str, DestinationStanding], waiting: dict[str, int], best: str
) -> None:
    site = Standings(**standings)
    site.members.count(waiting)
    assert site.members.best(READERS) == best
    assert site.members.next_one(READERS) == best


def test_members_with_as_much_to_do_take_turns() -> None:
    site = Standings()
    assert [site.members.next_one(READERS) for _ in range(6)] == [*"abcabc"]
    site.members.count({})
    assert [site.members.next_one(READERS) for _ in range(3)] == [*"abc"]


def test_what_was_chosen_since_the_last_count_waits_too() -> None:
    site = Standings()
    site.members.count({"a": 3, "b": 1, "c": 10})
    assert [site.members.next_one(READERS) for _ in range(7)] == [*"bbababa"]
    assert site.members.waiting("b") == 5


def test_a_study_goes_to_its_member_and_counts_there() -> None:
    site = Standings()
    to_readers = Dispatch("all", "a", group_name="readers")
    for _ in range(2):
        (chosen,) = site.members.choose((to_readers,), {"readers": READERS}, {"readers": "c"})
        assert chosen.destination == "c"
    assert site.members.waiting("c") == 2


def test_studies_leave_a_member_that_is_given_up_unless_it_is_about_to_be_tried() -> None:
    site = Standings(a=down(29.0), b=down(60.0))
    assert site.members.keeping(READERS) == ("a", "c")
    assert [site.members.is_left(READERS, each) for each in ("a", "b", "c", "gone")] == [False, True, False, True]
    site.standings["b"] = down(60.0, wait_s=0.0)
    assert site.members.keeping(READERS) == ("a", "b", "c")
    site.members.doubtful = {("readers", "b"): 1}
    assert site.members.keeping(READERS) == ("a", "c"), "a doubtful delivery is the try"
    site.standings |= {"a": down(60.0), "c": down(60.0)}
    assert site.members.keeping(READERS) == READERS.members, "there is no better one"


def test_a_member_of_a_balance_group_that_is_given_up_is_tried_with_one_study() -> None:
    site = Standings(c=down(60.0, wait_s=0.0))
    assert [site.members.next_one(READERS) for _ in range(3)] == [*"cab"]
    site.at_s += TRIAL_EACH_S
    assert site.members.next_one(READERS) == "c"


# --- several groups -------------------------------------------------------------------------------------------------

SEVERAL = {
    "ab": PeerGroup("ab", ("a", "b"), "failover"),
    "also_ab": PeerGroup("also_ab", ("b", "a"), "failover"),
    "abc": PeerGroup("abc", ("a", "b", "c"), "failover"),
    "ac": PeerGroup("ac", ("a", "c"), "failover"),
}
HELD = DeliveryState.HELD


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["ab", "abc"], ["ab"]),
        (["abc", "ab"], ["ab"]),
        (["ab", "ac"], ["ab", "ac"]),
        (["abc", "ab", "ac"], ["ab", "ac"]),
        (["also_ab", "abc"], ["also_ab", "abc"]),
    ],
    ids=["a part", "a part later", "an overlap", "two parts", "another member"],
)
def test_groups_that_choose_the_same_member_send_once_where_both_promises_are_kept(
    names: list[str], kept: list[str]
) -> None:
    """Wherever a delivery of the smaller group is moved to is a member of the larger one, too."""
    dispatches = [Dispatch("all", SEVERAL[name].members[0], group_name=name) for name in names]
    chosen = Standings().members.choose(dispatches, SEVERAL)
    assert sorted(each.group_name for each in chosen) == sorted(kept)


def test_other_actions_and_what_is_held_are_another_promise() -> None:
    first = Dispatch("all", "a", group_name="ab")
    for other, number in (
        (Dispatch("all", "a", "[edited]", group_name="abc"), 2),
        (Dispatch("all", "a", "", HELD, "abc"), 1),
    ):
        assert len(Standings().members.choose([first, other], SEVERAL)) == number
    held = Dispatch("all", "a", "", HELD, "ab")
    chosen = Standings().members.choose([held, Dispatch("all", "a", group_name="abc")], SEVERAL)
    assert [each.group_name for each in chosen] == ["ab", "abc"], "the held one may never be released"


def test_what_stays_is_as_urgent_as_what_goes() -> None:
    urgent = Dispatch("all", "a", group_name="abc", priority=Priority.URGENT, passes_window=True)
    for dispatches in (
        [Dispatch("all", "a", group_name="ab"), urgent],
        [urgent, Dispatch("all", "a", group_name="ab")],
    ):
        (chosen,) = Standings().members.choose(dispatches, SEVERAL)
        assert (chosen.group_name, chosen.is_passing) == ("ab", True)
    (direct,) = Standings().members.choose([Dispatch("all", "a"), urgent], SEVERAL)
    assert (direct.group_name, direct.is_passing) == ("", True)


def test_a_small_group_stands_for_all_that_hold_it() -> None:
    names = {"abc": "abc", "abd": "abd", "ab": "ab"}
    groups = {name: PeerGroup(name, tuple(members), "failover") for name, members in names.items()}
    dispatches = [Dispatch("all", "x"), *(Dispatch("all", "a", group_name=name) for name in names)]
    assert [each.group_name for each in Standings().members.choose(dispatches, groups)] == ["", "ab"]
