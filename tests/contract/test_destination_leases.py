"""What every `DestinationLeases` must do; and what those of several nodes do together."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.delivery.all_destinations import AllDestinations
from gateway.model.node import DestinationStanding
from gateway.ports.destination_leases import DestinationLeases
from tests.support.node_rig import Cluster, ClusterClock, seen

TAKE_OVER_S = 15
DESTINATIONS = [f"destination-{number}" for number in range(37)]

Settled = Callable[[], Awaitable[None]]


@pytest.fixture
def clock() -> Iterator[ClusterClock]:
    made = ClusterClock()
    yield made
    made.close()


@pytest.fixture
def cluster(clock: ClusterClock) -> Iterator[Cluster]:
    made = Cluster(clock)
    yield made
    made.close()


@pytest.fixture(params=["alone", pytest.param("PostgreSQL", marks=pytest.mark.postgresql)])
async def leases(request: pytest.FixtureRequest) -> AsyncIterator[tuple[DestinationLeases, Settled]]:
    """The leases of a node, and a call after which what it asked for is done."""
    if request.param == "alone":

        async def at_once() -> None:
            return

        yield AllDestinations(), at_once
        return
    cluster = Cluster(request.getfixturevalue("clock"))
    node = cluster.start("one", ())

    async def after_rounds() -> None:
        await cluster.rounds(2)

    yield node.leases, after_rounds
    cluster.close()


async def test_a_node_without_others_works_on_all(leases: tuple[DestinationLeases, Settled]) -> None:
    mine, settled = leases
    mine.want(["pacs", "vna"])
    await settled()
    assert mine.own == {"pacs", "vna"}
    assert mine.may_send("pacs")


async def test_what_is_not_wanted_any_more_is_left_at_once(leases: tuple[DestinationLeases, Settled]) -> None:
    mine, settled = leases
    mine.want(["pacs", "vna"])
    await settled()
    mine.want(["vna", "research"])
    assert "pacs" not in mine.own
    assert mine.left_s("pacs") > 0
    mine.ended("pacs")
    await settled()
    assert mine.own == {"vna", "research"}


async def test_what_comes_back_is_worked_on_again_when_its_courier_has_ended(
    leases: tuple[DestinationLeases, Settled],
) -> None:
    mine, settled = leases
    for wanted in (["pacs"], [], ["pacs"]):
        mine.want(wanted)
    mine.ended("pacs")
    await settled()
    assert mine.own == {"pacs"}


async def test_all_is_released_more_than_once(leases: tuple[DestinationLeases, Settled]) -> None:
    mine, settled = leases
    mine.want(["pacs"])
    await settled()
    await mine.release_all()
    await mine.release_all()


# --- among nodes --------------------------------------------------------------------------------------------------


@pytest.mark.postgresql
class TestNodes:
    async def test_destinations_are_spread_evenly(self, cluster: Cluster) -> None:
        for number in range(10):
            cluster.start(f"node-{number}", DESTINATIONS)
        await cluster.rounds(6)
        assert cluster.numbers() == [3] * 3 + [4] * 7
        assert sorted(each for own in cluster.own().values() for each in own) == sorted(DESTINATIONS)

    async def test_no_lease_moves_without_a_reason(self, cluster: Cluster) -> None:
        for number in range(4):
            cluster.start(f"node-{number}", DESTINATIONS)
        await cluster.rounds(6)
        before, taken = cluster.own(), [len(node.taken) for node in cluster.nodes.values()]
        await cluster.rounds(40)
        assert cluster.own() == before
        assert [len(node.taken) for node in cluster.nodes.values()] == taken

    async def test_a_node_that_comes_gets_its_share_and_no_other_lease_moves(self, cluster: Cluster) -> None:
        for number in range(9):
            cluster.start(f"node-{number}", DESTINATIONS)
        await cluster.rounds(6)
        before = cluster.own()
        cluster.start("new", DESTINATIONS, courier_rounds=2)
        await cluster.rounds(8)
        after = cluster.own()
        assert cluster.numbers() == [3] * 3 + [4] * 7
        moved = {each for name in before for each in before[name] - after[name]}
        assert moved == after["new"]

    async def test_a_lease_is_let_go_when_its_courier_has_ended_and_not_before(self, cluster: Cluster) -> None:
        cluster.start("one", ["pacs", "vna"], courier_rounds=12)
        await cluster.rounds(2)
        cluster.start("two", ["pacs", "vna"])
        await cluster.rounds(8)
        assert cluster.numbers() == [0, 1]
        await cluster.rounds(8)
        assert cluster.numbers() == [1, 1]

    async def test_a_courier_that_does_not_end_is_aborted(self, cluster: Cluster) -> None:
        cluster.start("one", ["pacs", "vna"], courier_rounds=1_000_000)
        await cluster.rounds(2)
        cluster.start("two", ["pacs", "vna"])
        await cluster.rounds(40)
        assert cluster.numbers() == [1, 1]

    async def test_a_dead_node_s_destinations_are_taken_over_in_time(self, cluster: Cluster) -> None:
        for number in range(3):
            cluster.start(f"node-{number}", DESTINATIONS)
        await cluster.rounds(6)
        cluster.kill("node-1")
        await cluster.rounds(TAKE_OVER_S)
        assert cluster.numbers() == [18, 19]
        assert seen(cluster.nodes["node-0"].leases.view)["node-1"] == ("running", False, 0)

    async def test_a_node_that_ends_in_order_is_followed_at_once(self, cluster: Cluster) -> None:
        for number in range(3):
            cluster.start(f"node-{number}", DESTINATIONS)
        await cluster.rounds(6)
        await cluster.stop("node-1")
        await cluster.rounds(2)
        assert cluster.numbers() == [18, 19]
        assert "node-1" not in seen(cluster.nodes["node-0"].leases.view)

    async def test_a_node_that_drains_hands_over(self, cluster: Cluster) -> None:
        one, two = (cluster.start(name, DESTINATIONS) for name in ("one", "two"))
        await cluster.rounds(4)
        one.leases.begin_drain()
        await cluster.rounds(4)
        assert (len(one.leases.own), len(two.leases.own)) == (0, 37)
        assert seen(two.leases.view)["one"] == ("draining", True, 0)

    async def test_a_node_that_drains_and_has_nobody_to_hand_over_to_goes_on(self, cluster: Cluster) -> None:
        one = cluster.start("one", DESTINATIONS)
        await cluster.rounds(2)
        one.leases.begin_drain()
        await cluster.rounds(4)
        assert len(one.leases.own) == 37

    async def test_a_node_that_cannot_renew_stops_before_another_takes_over(self, cluster: Cluster) -> None:
        one = cluster.start("one", ["pacs"], courier_rounds=1_000_000)
        await cluster.rounds(2)
        two = cluster.start("two", ["pacs"])
        await cluster.rounds(2)
        one.table.is_cut = True
        await cluster.rounds(TAKE_OVER_S)  # `check`: never both
        assert [*one.leases.own, "|", *two.leases.own] == ["|", "pacs"]
        one.table.is_cut = False
        await cluster.rounds(10)
        assert [*one.leases.own, "|", *two.leases.own] == ["|", "pacs"]

    async def test_a_node_that_wakes_up_late_may_send_nothing(self, cluster: Cluster) -> None:
        one = cluster.start("one", ["pacs"])
        await cluster.rounds(2)
        two = cluster.start("two", ["pacs"])
        one.is_frozen = True
        await cluster.rounds(TAKE_OVER_S)
        assert two.leases.own == {"pacs"}
        assert one.leases.own == {"pacs"}  # nobody told it yet
        assert not one.leases.may_send("pacs")
        one.is_frozen = False
        await cluster.rounds(3)
        assert [*one.leases.own, "|", *two.leases.own] == ["|", "pacs"]

    async def test_a_lease_comes_back_with_another_token(self, cluster: Cluster) -> None:
        one = cluster.start("one", ["pacs"])
        await cluster.rounds(2)
        first = one.leases.tokens()["pacs"]
        one.table.is_cut = True
        await cluster.rounds(12)
        assert one.leases.own == frozenset()
        one.table.is_cut = False
        await cluster.rounds(3)
        assert one.leases.own == {"pacs"}
        assert one.leases.tokens()["pacs"] > first

    async def test_destinations_that_one_node_alone_knows_are_its_own(self, cluster: Cluster) -> None:
        one = cluster.start("one", DESTINATIONS)
        two = cluster.start("two", DESTINATIONS[:10])
        await cluster.rounds(6)
        assert one.leases.own | two.leases.own == set(DESTINATIONS)
        assert len(two.leases.own) == 5
        before = one.leases.own
        await cluster.rounds(10)
        assert one.leases.own == before

    async def test_which_node_works_on_a_destination_is_known_to_all(self, cluster: Cluster) -> None:
        one = cluster.start("one", ["pacs"])
        await cluster.rounds(2)
        two = cluster.start("two", ["pacs"])
        await cluster.rounds(2)
        assert [each.leases.node_of("pacs") for each in (one, two)] == ["one", "one"]
        assert two.leases.node_of("vna") == ""


STEP = st.one_of(
    st.tuples(st.just("rounds"), st.integers(1, 12)),
    st.tuples(st.sampled_from(["start", "kill", "stop", "freeze", "cut", "drain"]), st.integers(0, 5)),
)


@pytest.mark.postgresql
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(STEP, min_size=4, max_size=25), seed=st.integers(0, 2**16))
async def test_whatever_happens_one_node_works_on_a_destination_and_in_the_end_all_are_worked_on(
    history: list[tuple[str, int]], seed: int
) -> None:
    clock, random, names = ClusterClock(), Random(seed), DESTINATIONS[:11]
    cluster = Cluster(clock)
    try:
        for number in range(3):
            cluster.start(f"begin-{number}", names)
        await cluster.rounds(4)
        for number, (what, which) in enumerate(history):
            nodes = [*cluster.nodes.values()]
            if what == "rounds":
                await cluster.rounds(which, lambda them: random.sample(them, len(them)))
            elif what == "start" and len(nodes) < 6:
                cluster.start(f"node-{number}", names, courier_rounds=which * 3)
            elif nodes:
                node = nodes[which % len(nodes)]
                match what:
                    case "kill":
                        cluster.kill(node.name)
                    case "stop":
                        await cluster.stop(node.name)
                    case "freeze" | "cut":
                        node.is_frozen, node.table.is_cut = what == "freeze", what == "cut"
                        await cluster.rounds(random.randrange(25))
                        node.is_frozen = node.table.is_cut = False
                    case "drain":
                        node.leases.begin_drain()
            cluster.check()
        cluster.start("last", names)
        await cluster.rounds(60)  # a courier that does not end is aborted after 30 s
        working = [node for node in cluster.nodes.values() if node.leases.own]
        assert sorted(each for node in working for each in node.leases.own) == sorted(names)
        numbers = [len(node.leases.own) for node in working]
        assert max(numbers) - min(numbers) <= 1
    finally:
        cluster.close()
        clock.close()


# --- how destinations stand ------------------------------------------------------------------------------------------

DOWN = DestinationStanding(False, "connection refused", 3, 60.0, '["refusals"]')


async def test_what_another_node_did_not_write_is_not_known(leases: tuple[DestinationLeases, Settled]) -> None:
    mine, settled = leases
    mine.share(lambda: {"pacs": DOWN})
    mine.want(["pacs"])
    await settled()
    assert mine.standing_of("pacs") is None, "its own courier knows"
    assert mine.standing_of("vna") is None


@pytest.mark.postgresql
async def test_nodes_know_how_a_destination_stands_and_one_that_takes_it_goes_on_with_it(cluster: Cluster) -> None:
    one = cluster.start("one", ["pacs"])
    await cluster.rounds(2)
    two = cluster.start("two", ["pacs"])
    one.leases.share(lambda: {"pacs": DOWN})
    await cluster.rounds(2)
    seen_by_two = two.leases.standing_of("pacs")
    assert seen_by_two is not None
    assert (seen_by_two.is_up, seen_by_two.reason, seen_by_two.failures) == (False, "connection refused", 3)
    assert 55 <= seen_by_two.wait_s <= 60
    cluster.kill("one")
    await cluster.rounds(TAKE_OVER_S)
    assert two.leases.own == {"pacs"}
    taken = two.leases.standing_of("pacs")
    assert taken is not None
    assert taken.refusals == DOWN.refusals
    assert 60 - TAKE_OVER_S - 3 <= taken.wait_s < seen_by_two.wait_s


@pytest.mark.postgresql
async def test_the_last_word_of_a_node_that_ends_in_order_is_written(cluster: Cluster) -> None:
    one, two = cluster.start("one", ["pacs"]), cluster.start("two", [])
    await cluster.rounds(2)
    one.leases.share(lambda: {"pacs": DOWN})
    await cluster.stop("one")
    await cluster.rounds(1)
    standing = two.leases.standing_of("pacs")
    assert standing is not None
    assert standing.reason == "connection refused"


@pytest.mark.postgresql
async def test_a_standing_is_written_when_it_has_changed_alone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = cluster.start("one", ["pacs"])
    await cluster.rounds(2)
    written: list[object] = []
    monkeypatch.setattr(one.table, "write_standings", written.append)
    standings = iter([60.0, 59.0, 58.0, 57.0])
    one.leases.share(lambda: {"pacs": dataclasses.replace(DOWN, wait_s=next(standings))})
    await cluster.rounds(3)
    assert len(written) == 1, "a wait that goes by is no change"
    one.leases.share(lambda: {"pacs": dataclasses.replace(DOWN, wait_s=0.0)})
    await cluster.rounds(2)
    assert len(written) == 2, "an operator has it tried at once"


@pytest.mark.postgresql
async def test_a_node_that_lets_go_of_what_it_took_before_a_courier_ran_says_nothing_of_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = cluster.start("one", ["pacs"])
    one.leases.share(lambda: {"pacs": DOWN})  # of a courier that ended long ago
    written: list[object] = []
    monkeypatch.setattr(one.table, "write_standings", written.append)
    take = one.table.take

    def taken_and_not_wanted(*arguments: Any) -> Mapping[str, int]:
        found = take(*arguments)
        one.leases.want([])  # rules are loaded meanwhile
        return found

    monkeypatch.setattr(one.table, "take", taken_and_not_wanted)
    await cluster.rounds(1)
    assert one.leases.tokens().keys() == {"pacs"}
    await cluster.rounds(2)
    assert one.leases.tokens() == {}
    assert written == []
