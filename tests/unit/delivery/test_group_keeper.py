"""Deliveries of groups at the right member."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

import pytest
from structlog.testing import capture_logs

from gateway.delivery.group_keeper import PAGE, GroupKeeper
from gateway.delivery.group_members import GroupMembers
from gateway.model.delivery import DeliveryState
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
        self.keeper = GroupKeeper(
            self.journal, self.members, self.meter, lambda: self.groups, lambda name: name not in self.elsewhere
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
