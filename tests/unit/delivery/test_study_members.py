"""The members that studies are with."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery import study_members
from gateway.delivery.group_members import GroupMembers
from gateway.delivery.study_members import KNOWN_S, StudyMembers
from gateway.model.delivery import Dispatch
from gateway.model.node import DestinationStanding
from gateway.model.peer import PeerGroup
from gateway.ports.errors import Temporary
from tests.support.fakes.memory_journal import MemoryJournal

READERS = PeerGroup("readers", ("a", "b", "c"), "balance", after_s=30.0)
ARCHIVES = PeerGroup("archives", ("x", "y"), "failover")
BY_OBJECT = PeerGroup("objects", ("a", "b", "c"), "balance", is_by_study=False)
GROUPS = {group.name: group for group in (READERS, ARCHIVES, BY_OBJECT)}
DOWN = DestinationStanding(False, "refused", 3, 10.0, down_s=60.0)
TO_READERS = Dispatch("all", "a", group_name="readers")
TO_ARCHIVES = Dispatch("all", "x", group_name="archives")


class Node:
    """A node of a gateway: what it knows is its own, the store is shared."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.standings: dict[str, DestinationStanding] = {}
        self.at_s = 1000.0
        self.members = GroupMembers(self.standings.get, lambda: self.at_s)
        self.studies = StudyMembers(self.members, journal.keep_affinities, lambda: self.at_s)

    async def place(self, study: str) -> str:
        (chosen,) = await self.studies.chosen([TO_READERS], GROUPS, study)
        return chosen.destination

    def known(self, study: str) -> str | None:
        chosen = self.studies.at_once([TO_READERS], GROUPS, study)
        return None if chosen is None else chosen[0].destination


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


async def test_the_store_is_asked_for_a_study_that_is_not_known(journal: MemoryJournal) -> None:
    node = Node(journal)
    assert node.known("1.1") is None
    assert await node.place("1.1") == "a"
    assert [node.known("1.1") for _ in range(3)] == [*"aaa"]
    assert await node.place("1.2") == "b"
    assert journal.wishes == [1, 1]


async def test_objects_that_come_at_once_ask_once(journal: MemoryJournal) -> None:
    node = Node(journal)
    places = await asyncio.gather(*(node.place(f"1.{number % 3}") for number in range(30)))
    assert [*places[:3]] == [*"abc"]
    assert places == [*places[:3]] * 10
    assert sum(journal.wishes) == 3


async def test_two_nodes_that_see_the_first_objects_of_studies_at_once_choose_alike(journal: MemoryJournal) -> None:
    first, second = Node(journal), Node(journal)
    second.members.count({"a": 10})  # it would choose others
    studies = [f"1.{number}" for number in range(20)]
    here, there = await asyncio.gather(
        asyncio.gather(*map(first.place, studies)), asyncio.gather(*map(second.place, reversed(studies)))
    )
    assert here == there[::-1]


async def test_a_study_is_where_it_was_after_a_start(journal: MemoryJournal) -> None:
    studies = [f"1.{number}" for number in range(10)]
    before = [await Node(journal).place(study) for study in studies]
    after = Node(journal)
    assert [await after.place(study) for study in reversed(studies)] == before[::-1]


async def test_a_study_leaves_a_member_that_is_given_up(journal: MemoryJournal) -> None:
    node, other = Node(journal), Node(journal)
    assert await node.place("1.1") == await other.place("1.1") == "a"
    node.standings["a"] = DOWN
    assert node.known("1.1") is None
    assert await node.place("1.1") == "b"
    assert other.known("1.1") == "a", "what it knew"
    other.at_s += KNOWN_S
    assert other.known("1.1") is None, "it asks again"
    assert await other.place("1.1") == "b"


async def test_the_store_is_not_asked_for_other_groups_and_without_a_study(journal: MemoryJournal) -> None:
    studies = Node(journal).studies
    dispatches = [TO_ARCHIVES, Dispatch("all", "pacs"), Dispatch("all", "a", group_name="objects")]
    found = studies.at_once(dispatches, GROUPS, "1.1")
    assert found is not None
    assert [each.destination for each in found] == ["x", "pacs", "a"]
    assert studies.at_once([TO_READERS], GROUPS, "") is not None
    assert journal.wishes == []


async def test_an_object_of_several_groups_waits_for_the_one_that_asks(journal: MemoryJournal) -> None:
    studies = Node(journal).studies
    both = [TO_ARCHIVES, TO_READERS]
    assert studies.at_once(both, GROUPS, "1.1") is None
    assert [each.destination for each in await studies.chosen(both, GROUPS, "1.1")] == ["x", "a"]
    assert studies.at_once(both, GROUPS, "1.1") is not None


async def test_a_store_that_takes_nothing_refuses_all_that_asked(journal: MemoryJournal) -> None:
    node = Node(journal)
    journal.affinity_trouble = [Temporary("busy")]
    answers = await asyncio.gather(*(node.place(f"1.{number}") for number in range(4)), return_exceptions=True)
    assert [type(each) for each in answers] == [Temporary] * 4
    assert await node.place("1.1") in READERS.members


async def test_one_that_gives_up_waiting_disturbs_nobody(journal: MemoryJournal) -> None:
    node = Node(journal)
    gone = asyncio.create_task(node.place("1.1"))
    stays = asyncio.create_task(node.place("1.1"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "a"
    assert gone.cancelled()


async def test_no_more_studies_are_in_memory_than_fit(journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_members, "KNOWN", 3)
    node = Node(journal)
    places = {study: await node.place(study) for study in ("1.1", "1.2", "1.3", "1.4")}
    assert node.known("1.1") is None
    assert {study: await node.place(study) for study in places} == places


async def test_a_study_that_is_put_with_a_member_is_known_there_at_once(journal: MemoryJournal) -> None:
    node = Node(journal)
    await node.place("1.1")
    await node.studies.put(READERS, "1.1", "c")
    assert node.known("1.1") == "c"
    assert await Node(journal).place("1.1") == "c"
