"""Deliveries of groups at the right member."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from random import Random

import pytest
from structlog.testing import capture_logs

from gateway.delivery.group_keeper import PAGE, GroupKeeper
from gateway.delivery.group_members import GroupMembers
from gateway.delivery.study_members import StudyMembers
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.node import DestinationStanding
from gateway.model.peer import PeerGroup
from gateway.ports.errors import Temporary
from tests.support.fakes.memory_journal import MemoryJournal
from tests.support.fakes.meter import MemoryMeter

ARCHIVES = PeerGroup("archives", ("a", "b"), "failover", after_s=30.0)
UP = DestinationStanding(True)
DOWN = DestinationStanding(False, "refused", 3, 10.0, down_s=60.0)
MAY_BE_TRIED = replace(DOWN, wait_s=0.0)
GONE = DestinationStanding(False, "not in the rules", 0, inf, down_s=inf)


@dataclass
class Site:
    """A keeper with everything around it."""

    journal: MemoryJournal = field(default_factory=MemoryJournal)
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    standings: dict[str, DestinationStanding] = field(default_factory=dict)
    groups: dict[str, PeerGroup] = field(default_factory=lambda: {"archives": ARCHIVES})
    elsewhere: set[str] = field(default_factory=set)
    """Destinations that another node works on."""

    def __post_init__(self) -> None:
        self.members = GroupMembers(self.standings.get, lambda: 100.0)
        self.studies = StudyMembers(self.members, self.journal.keep_affinities, lambda: 100.0)
        self.keeper = GroupKeeper(
            self.journal,
            self.members,
            self.studies,
            self.meter,
            lambda: self.groups,
            lambda name: name not in self.elsewhere,
        )

    def add(self, destination: str, count: int = 1) -> list[int]:
        return self.journal.add_many(count, destination, group_name="archives")

    def counts(self) -> dict[str, int]:
        return {name: len(self.journal.states(name)) for name in ("a", "b", "x") if self.journal.states(name)}


@pytest.fixture
def site() -> Site:
    return Site()


async def test_what_waits_for_a_member_that_is_given_up_goes_to_the_next_one_and_comes_back(site: Site) -> None:
    site.add("a", 2 * PAGE + 1)
    site.journal.add("a")  # named itself
    await site.keeper.look()
    assert site.counts() == {"a": 2 * PAGE + 2}
    site.standings["a"] = DOWN
    with capture_logs() as logs:
        await site.keeper.look()
    assert site.counts() == {"a": 1, "b": 2 * PAGE + 1}
    told = [(each["event"], each.get("destination"), each.get("count")) for each in logs]
    assert told == [("group_member_given_up", "a", None), ("group_deliveries_moved", "b", 2 * PAGE + 1)]
    assert logs[0]["reason"] == "refused"
    assert logs[0]["chosen"] == "b"
    assert site.meter.values["gateway_group_member_given_up", "archives", "a"] == 1
    assert site.meter.counted["gateway_group_deliveries_moved_total", "archives", "a", "b"] == 2 * PAGE + 1
    site.standings["a"] = UP
    with capture_logs() as logs:
        await site.keeper.look()
    assert site.counts() == {"a": 2 * PAGE + 2}
    assert [each["event"] for each in logs] == ["group_member_taken_back", "group_deliveries_moved"]
    assert site.meter.values["gateway_group_member_given_up", "archives", "a"] == 0


async def test_what_waits_stays_where_it_is_when_nothing_goes_back(site: Site) -> None:
    site.groups["archives"] = replace(ARCHIVES, is_moved_back=False)
    site.add("b", 3)
    await site.keeper.look()
    assert site.counts() == {"b": 3}
    site.standings["b"] = DOWN
    await site.keeper.look()
    assert site.counts() == {"a": 3}


async def test_what_is_doubtful_stays_behind_and_is_counted(site: Site) -> None:
    first, _ = site.add("a", 2)
    site.journal.store.rows[first].change(is_doubtful=True)
    site.standings["a"] = DOWN
    with capture_logs() as logs:
        await site.keeper.look()
    assert site.counts() == {"a": 1, "b": 1}
    assert [each["doubtful"] for each in logs] == [1, 1]
    assert site.meter.values["gateway_group_doubtful_deliveries", "archives", "a"] == 1
    (status,) = site.keeper.status()
    assert (status.name, status.kind, status.chosen, status.why) == (
        "archives",
        "failover",
        "b",
        "a is given up: refused",
    )
    assert [(each.destination, each.is_given_up, each.doubtful) for each in status.members] == [
        ("a", True, 1),
        ("b", False, 0),
    ]
    site.journal.store.rows[first].change(state=DeliveryState.DELIVERED)
    await site.keeper.look()
    assert site.meter.values["gateway_group_doubtful_deliveries", "archives", "a"] == 0


async def test_what_a_member_may_have_goes_to_the_next_one_after_the_time_that_the_group_says(site: Site) -> None:
    (first,) = site.add("a")
    site.journal.store.rows[first].change(is_doubtful=True)
    site.standings["a"] = replace(DOWN, down_s=3599.0)
    for after_s, down_s, place in ((None, 1e9, "a"), (3600.0, 3599.0, "a"), (3600.0, 3600.0, "b")):
        site.groups["archives"] = replace(ARCHIVES, after_doubt_s=after_s)
        site.standings["a"] = replace(DOWN, down_s=down_s)
        with capture_logs() as logs:
            await site.keeper.look()
        assert site.counts() == {place: 1}
    assert [each["event"] for each in logs] == ["group_doubts_given_up", "group_deliveries_moved"]
    assert (logs[0]["doubtful"], logs[0]["destination"]) == (1, "b")
    assert not site.journal.store.rows[first].delivery.is_doubtful
    await site.keeper.look()
    assert site.meter.values["gateway_group_doubtful_deliveries", "archives", "a"] == 0


async def test_what_a_member_may_have_stays_while_nobody_else_is_up(site: Site) -> None:
    site.groups["archives"] = replace(ARCHIVES, after_doubt_s=60.0)
    for place in ("a", "b"):
        (number,) = site.add(place)
        site.journal.store.rows[number].change(is_doubtful=True)
    site.standings |= {"a": DOWN, "b": DOWN}
    await site.keeper.look()
    assert site.counts() == {"a": 1, "b": 1}
    site.standings["b"] = UP
    await site.keeper.look()
    assert site.counts() == {"b": 2}


async def test_the_node_that_works_on_a_member_moves_what_waits_for_it(site: Site) -> None:
    site.elsewhere.add("a")
    site.add("a")
    site.standings["a"] = DOWN
    with capture_logs() as logs:
        await site.keeper.look()
    assert site.counts() == {"a": 1}
    assert logs == []


async def test_what_waits_for_a_peer_that_is_no_member_any_more_goes_to_one(site: Site) -> None:
    site.add("x", 2)
    site.standings["x"] = GONE
    await site.keeper.look()
    assert site.counts() == {"a": 2}


async def test_what_waits_of_a_group_that_is_gone_stays_with_its_peer(site: Site) -> None:
    site.groups.clear()
    site.add("a")
    site.standings["a"] = DOWN
    await site.keeper.look()
    assert site.counts() == {"a": 1}


async def test_while_all_are_given_up_one_delivery_tries_a_member_where_nothing_waits(site: Site) -> None:
    site.add("a", 3)
    site.standings |= {"a": DOWN, "b": MAY_BE_TRIED}
    await site.keeper.look()
    assert site.counts() == {"a": 2, "b": 1}
    await site.keeper.look()
    assert site.counts() == {"a": 3}
    (status,) = site.keeper.status()
    assert status.chosen == "a"
    assert "all members are given up" in status.why


async def test_a_store_that_takes_nothing_is_told_once(site: Site) -> None:
    site.add("a")
    site.standings["a"] = DOWN
    site.journal.depths_trouble = [Temporary("busy"), Temporary("busy")]
    with capture_logs() as logs:
        await site.keeper.look()
        await site.keeper.look()
    assert [each["event"] for each in logs] == ["groups_not_looked_at"]
    await site.keeper.look()
    assert site.counts() == {"b": 1}


# --- balance --------------------------------------------------------------------------------------------------------

READERS = PeerGroup("readers", ("a", "b", "c"), "balance", after_s=30.0)


@dataclass
class Readers(Site):
    """A balance group of three members."""

    groups: dict[str, PeerGroup] = field(default_factory=lambda: {"readers": READERS})

    async def comes(self, study: str, count: int = 1) -> str:
        """Objects of a study arrive; where they go."""
        group = self.groups["readers"]
        places = set()
        for _ in range(count):
            (chosen,) = await self.studies.chosen([Dispatch("all", "a", group_name=group.name)], self.groups, study)
            self.journal.add(chosen.destination, group_name=group.name, study_instance_uid=study)
            places.add(chosen.destination)
        (place,) = places
        return place

    def places(self) -> dict[str, set[str]]:
        """Study → the members that are owed something of it."""
        found: dict[str, set[str]] = {}
        for row in self.journal.rows.values():
            found.setdefault(row.instance.study_instance_uid, set()).add(row.destination)
        return found


@pytest.fixture
def readers() -> Readers:
    return Readers()


async def test_whole_studies_leave_a_member_that_is_given_up_and_do_not_come_back(readers: Readers) -> None:
    before = {f"1.{number}": await readers.comes(f"1.{number}", 3) for number in range(9)}
    assert sorted(before.values()) == [*"aaabbbccc"]
    readers.standings["b"] = DOWN
    with capture_logs() as logs:
        await readers.keeper.look()
    after = readers.places()
    assert all(len(places) == 1 for places in after.values())
    assert {study for study, (place,) in after.items() if place != before[study]} == {
        study for study, place in before.items() if place == "b"
    }
    assert readers.counts().get("b") is None
    moved = [(each["destination"], each["count"]) for each in logs if each["event"] == "group_deliveries_moved"]
    assert sum(count for _, count in moved) == 9
    assert {place for place, _ in moved} == {"a", "c"}, "the others get its share"
    readers.standings["b"] = UP
    await readers.keeper.look()
    assert readers.places() == after
    assert {study: await readers.comes(study) for study in before} == {
        study: next(iter(after[study])) for study in after
    }
    assert await readers.comes("2.1") == "b", "nothing waits there"


async def test_more_than_a_page_of_a_study_moves_to_one_member(readers: Readers) -> None:
    place = await readers.comes("1.1", 2 * PAGE + 3)
    await readers.comes("1.2", 2)
    readers.standings[place] = DOWN
    await readers.keeper.look()
    (after,) = readers.places()["1.1"]
    assert after != place
    assert readers.meter.counted["gateway_group_deliveries_moved_total", "readers", place, after] == 2 * PAGE + 3


async def test_what_a_member_may_have_of_a_study_stays_and_the_rest_moves(readers: Readers) -> None:
    place = await readers.comes("1.1", 4)
    first = next(iter(readers.journal.store.rows))
    readers.journal.store.rows[first].change(is_doubtful=True)
    readers.standings[place] = MAY_BE_TRIED
    await readers.keeper.look()
    assert readers.places()["1.1"] > {place}
    assert readers.counts()[place] == 1
    assert await readers.comes("1.1") != place, "new ones of the study go with the rest"


async def test_objects_without_a_study_and_those_of_a_group_by_object_are_spread(readers: Readers) -> None:
    readers.groups["readers"] = replace(READERS, is_by_study=False)
    readers.journal.add_many(100, "b", group_name="readers", study_instance_uid="1.1")
    readers.journal.add_many(100, "b", group_name="readers", study_instance_uid="")
    readers.standings["b"] = DOWN
    await readers.keeper.look()
    assert readers.counts() == {"a": 100}
    assert len(readers.journal.states("c")) == 100


async def test_studies_stay_while_their_member_is_tried_and_all_others_are_up(readers: Readers) -> None:
    place = await readers.comes("1.1", 2)
    readers.standings[place] = MAY_BE_TRIED
    await readers.keeper.look()
    assert readers.places() == {"1.1": {place}}
    readers.standings[place] = DOWN
    await readers.keeper.look()
    assert place not in readers.places()["1.1"]


async def test_a_study_that_tries_a_member_goes_as_a_whole_however_much_waits(readers: Readers) -> None:
    for study, count in (("1.1", 1), ("1.2", PAGE), ("1.1", PAGE + 7)):
        readers.journal.add_many(count, "a", group_name="readers", study_instance_uid=study)
    for study in ("1.1", "1.2"):
        await readers.studies.put(READERS, study, "a")
    readers.standings |= {"a": DOWN, "b": MAY_BE_TRIED, "c": DOWN}
    await readers.keeper.look()
    assert readers.places() == {"1.1": {"b"}, "1.2": {"a"}}
    readers.standings |= {"a": UP, "b": UP, "c": UP}
    await readers.keeper.look()
    assert readers.places() == {"1.1": {"b"}, "1.2": {"a"}}


async def test_while_all_are_given_up_one_study_tries_a_member_where_nothing_waits(readers: Readers) -> None:
    for study in ("1.1", "1.2"):
        readers.journal.add_many(3, "a", group_name="readers", study_instance_uid=study)
        await readers.studies.put(READERS, study, "a")
    readers.standings |= {"a": DOWN, "b": MAY_BE_TRIED, "c": DOWN}
    await readers.keeper.look()
    assert readers.places() == {"1.1": {"b"}, "1.2": {"a"}}
    await readers.keeper.look()
    assert readers.places() == {"1.1": {"b"}, "1.2": {"a"}}, "one try each five seconds"
    (status,) = readers.keeper.status()
    assert "all members are given up" in status.why
    readers.standings["b"] = UP
    await readers.keeper.look()
    assert readers.places() == {"1.1": {"b"}, "1.2": {"b"}}


async def test_while_all_are_given_up_one_object_tries_a_member(readers: Readers) -> None:
    readers.groups["readers"] = replace(READERS, is_by_study=False)
    readers.journal.add_many(3, "a", group_name="readers")
    readers.standings |= {"a": DOWN, "b": DOWN, "c": MAY_BE_TRIED}
    await readers.keeper.look()
    assert readers.counts() == {"a": 2}
    assert len(readers.journal.states("c")) == 1


async def test_a_peer_that_is_no_member_any_more_keeps_no_study(readers: Readers) -> None:
    place = await readers.comes("1.1", 2)
    left = tuple(each for each in READERS.members if each != place)
    readers.groups["readers"] = replace(READERS, members=left)
    await readers.keeper.look()
    assert readers.places()["1.1"] <= {*left}
    assert await readers.comes("1.1") in readers.places()["1.1"]


async def test_the_group_tells_what_waits_and_who_gets_the_next_study(readers: Readers) -> None:
    readers.journal.add_many(2, "a")
    readers.journal.add("b")
    await readers.keeper.look()
    (status,) = readers.keeper.status()
    assert (status.kind, status.chosen, status.why) == ("balance", "c", "the one with the fewest that wait")
    assert [each.waiting for each in status.members] == [2, 1, 0]
    readers.standings["c"] = DOWN
    (status,) = readers.keeper.status()
    assert (status.chosen, status.why) == ("b", "the one with the fewest that wait; c is given up: refused")


async def test_studies_that_came_long_ago_are_forgotten(readers: Readers) -> None:
    readers.groups["readers"] = replace(READERS, remember_s=-1.0)
    await readers.comes("1.1")
    await readers.keeper.look()
    assert readers.journal.store.forget_affinities(readers.journal.now(), 10) == 0, "it was forgotten"


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_a_study_that_is_not_in_doubt_is_at_one_member(seed: int) -> None:
    """Members come and go at random; after a look with somebody up, nothing waits at one that is given up."""
    random, readers = Random(seed), Readers()
    for _ in range(60):
        for name in READERS.members:
            readers.standings[name] = random.choice([UP, UP, UP, DOWN])
        for _ in range(random.randint(0, 5)):
            await readers.comes(f"1.{random.randint(1, 8)}", random.randint(1, 3))
        await readers.keeper.look()
        are_up = [name for name in READERS.members if readers.standings[name] is UP]
        for study, places in readers.places().items():
            assert len(places) == 1, study
            assert not are_up or places <= {*are_up}
