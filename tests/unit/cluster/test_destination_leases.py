"""One node, its clock and a table that does what a test says. Several: `tests/contract/test_destination_leases.py`."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

import pytest
from structlog.testing import capture_logs

from gateway.cluster import destination_leases
from gateway.cluster.destination_leases import (
    ABORTED_AFTER_S,
    LEASE_S,
    LET_GO_S,
    QUIET_AFTER_S,
    RENEWED_AFTER_S,
    SharedDestinationLeases,
    awake_clock_s,
)
from gateway.delivery.worker import ABORT_S
from gateway.model.node import ClusterView, DestinationLease, DestinationStanding, GatewayNode, NodeSeen, NodeState
from gateway.ports.errors import SpoolFull

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = GatewayNode("me-run", "me", "1.0", "host", 7, NOON)


@dataclass
class ScriptedTable:
    """Gives what is asked for, but for what it `refuses`; notes each step."""

    others: tuple[NodeSeen, ...] = ()
    leases: tuple[DestinationLease, ...] = ()
    refuses: set[str] = field(default_factory=set)
    error: Exception | None = None
    """Raised by each step."""
    steps: list[str] = field(default_factory=list)
    is_stuck: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    tokens: int = 0
    stuck_at: str = ""
    """Only steps that begin so wait for `may_go_on`."""

    def __post_init__(self) -> None:
        self.may_go_on.set()

    def _step(self, name: str) -> None:
        if name.startswith(self.stuck_at):
            self.is_stuck.set()
            assert self.may_go_on.wait(60.0)
        self.steps.append(name)
        if self.error is not None:
            raise self.error

    def beat(
        self, node: GatewayNode, state: NodeState, configuration: str, destinations: Collection[str]
    ) -> ClusterView:
        self._step("beat")
        mine = NodeSeen(node, state, configuration, frozenset(destinations), NOON, True, 0)
        return ClusterView((mine, *self.others), self.leases)

    def renew(self, leases: Mapping[str, int], lease_s: float) -> Collection[str]:
        self._step(f"renew {' '.join(leases)}")
        return [destination for destination in leases if destination not in self.refuses]

    def take(self, instance: str, destinations: Collection[str], lease_s: float) -> Mapping[str, int]:
        self._step(f"take {' '.join(sorted(destinations))}")
        self.tokens += 1
        return {destination: self.tokens for destination in destinations if destination not in self.refuses}

    def write_standings(self, standings: Mapping[str, tuple[int, DestinationStanding]]) -> None:
        self._step(f"write {' '.join(standings)}")

    def read_standings(self, destinations: Collection[str]) -> Mapping[str, DestinationStanding]:
        return {}

    def release(self, leases: Mapping[str, int]) -> None:
        self._step(f"release {' '.join(leases)}")

    def leave(self, instance: str) -> None:
        self._step("leave")

    def tidy(self) -> None:
        self._step("tidy")

    def close(self) -> None:
        self.steps.append("close")


@dataclass
class Bench:
    table: ScriptedTable = field(default_factory=ScriptedTable)
    now_s: float = 100.0
    rules: str = "rules-1"
    changes: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leases = SharedDestinationLeases(
            lambda: self.table, ME, lambda: self.rules, clock_s=lambda: self.now_s, random=Random(1)
        )
        self.leases.subscribe(lambda own: self.changes.append({*own}))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.table.may_go_on.set()
    await made.leases.release_all()


async def test_times_leave_room_for_an_abort_before_the_lease_ends() -> None:
    assert RENEWED_AFTER_S < QUIET_AFTER_S < ABORTED_AFTER_S < ABORTED_AFTER_S + ABORT_S < LEASE_S
    assert awake_clock_s() > 0


async def test_what_is_taken_is_told_with_its_token(bench: Bench) -> None:
    bench.leases.want(["pacs", "vna"])
    await bench.leases.round()
    assert bench.changes == [{"pacs", "vna"}]
    assert bench.leases.tokens() == {"pacs": 1, "vna": 1}
    assert bench.leases.node_of("pacs") == "me"
    assert bench.table.steps == ["beat", "tidy", "take pacs vna"]


async def test_a_lease_is_renewed_when_it_is_time(bench: Bench) -> None:
    bench.leases.want(["pacs"])
    await bench.leases.round()
    for passed_s in (RENEWED_AFTER_S - 0.1, 0.1):
        bench.now_s += passed_s
        await bench.leases.round()
    assert [step for step in bench.table.steps if step.startswith("renew")] == ["renew pacs"]
    bench.now_s += QUIET_AFTER_S - 0.1
    assert bench.leases.may_send("pacs")


async def test_without_the_database_nothing_is_begun_after_a_while_and_all_is_aborted_before_the_lease_ends(
    bench: Bench,
) -> None:
    bench.leases.want(["pacs"])
    await bench.leases.round()
    bench.table.error = SpoolFull("gone")
    bench.now_s += QUIET_AFTER_S - 0.1
    with capture_logs() as logs:
        await bench.leases.round()
        await bench.leases.round()
    assert [each["event"] for each in logs] == ["leases_not_renewed"], "once"
    assert bench.leases.may_send("pacs")
    assert bench.leases.own == {"pacs"}
    bench.now_s += 0.1
    assert not bench.leases.may_send("pacs"), "by the clock alone"
    bench.leases.look()
    assert bench.changes == [{"pacs"}, set()]
    assert bench.leases.left_s("pacs") == pytest.approx(ABORTED_AFTER_S - QUIET_AFTER_S)
    assert bench.leases.tokens() == {"pacs": 1}, "what is in hand is settled with it"


async def test_a_lease_that_another_node_has_is_aborted_at_once(bench: Bench) -> None:
    bench.leases.want(["pacs"])
    await bench.leases.round()
    bench.table.refuses = {"pacs"}
    bench.now_s += RENEWED_AFTER_S
    with capture_logs() as logs:
        await bench.leases.round()
    assert "destination_lease_lost" in [each["event"] for each in logs]
    assert bench.changes == [{"pacs"}, set()]
    assert bench.leases.left_s("pacs") == 0.0


async def test_an_answer_that_comes_too_late_is_worth_nothing(bench: Bench) -> None:
    """The lease began when it was asked for."""
    bench.leases.want(["pacs"])
    await bench.leases.round()
    bench.now_s += RENEWED_AFTER_S
    async with stuck_in(bench, "renew"):
        bench.now_s += LEASE_S
        bench.leases.look()
        assert bench.changes == [{"pacs"}, set()]
    assert bench.leases.left_s("pacs") == 0.0


@contextlib.asynccontextmanager
async def stuck_in(bench: Bench, step: str) -> AsyncIterator[None]:
    """A round whose step of this name has no answer until the end."""
    bench.table.stuck_at = step
    bench.table.is_stuck.clear()
    bench.table.may_go_on.clear()
    running = asyncio.create_task(bench.leases.round())
    await asyncio.to_thread(bench.table.is_stuck.wait, 60.0)
    yield
    bench.table.may_go_on.set()
    await running


async def test_a_lease_that_is_nearly_over_when_it_is_given_is_released_and_taken_again(bench: Bench) -> None:
    bench.leases.want(["pacs"])
    async with stuck_in(bench, "take"):
        bench.now_s += QUIET_AFTER_S
    assert bench.changes == []
    await bench.leases.round()
    assert bench.table.steps[-3:] == ["beat", "release pacs", "take pacs"]
    assert bench.changes == [{"pacs"}]


async def test_a_lease_that_is_given_when_it_is_not_wanted_any_more_is_released(bench: Bench) -> None:
    bench.leases.want(["pacs", "vna"])
    async with stuck_in(bench, "take"):
        bench.leases.want(["vna"])
    assert bench.changes == [{"vna"}]
    await bench.leases.round()
    assert bench.table.steps[-1] == "release pacs"


@pytest.mark.parametrize("step", ["beat", "take", "renew"])
async def test_an_answer_after_the_end_is_for_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setattr(destination_leases, "LEAVE_LIMIT_S", 0.05)
    if step == "renew":
        bench.leases.want(["pacs"])
        await bench.leases.round()
        bench.now_s += RENEWED_AFTER_S
    bench.leases.want(["pacs", "vna"])
    with capture_logs() as logs:
        async with stuck_in(bench, step):
            await bench.leases.release_all()
    assert (bench.leases.own, bench.leases.tokens()) == (frozenset(), {})
    assert "leases_not_renewed" not in [each["event"] for each in logs], "an end is no trouble"


async def test_a_destination_is_released_when_its_courier_has_ended(bench: Bench) -> None:
    bench.leases.want(["pacs", "vna"])
    await bench.leases.round()
    bench.leases.want(["vna"])
    assert bench.leases.own == {"vna"}
    assert bench.changes == [{"pacs", "vna"}], "who says what it wants is told nothing"
    await bench.leases.round()
    assert not [step for step in bench.table.steps if step.startswith("release")]
    assert bench.leases.left_s("pacs") == QUIET_AFTER_S + ABORTED_AFTER_S - QUIET_AFTER_S
    bench.leases.ended("pacs")
    await bench.leases.round()
    assert "release pacs" in bench.table.steps
    assert bench.leases.tokens() == {"vna": 1}
    bench.leases.ended("pacs")  # once more is harmless


async def test_a_courier_that_is_to_end_has_a_limit_though_its_lease_is_renewed(bench: Bench) -> None:
    bench.leases.want(["pacs"])
    await bench.leases.round()
    bench.leases.want([])
    for _ in range(round(LET_GO_S / RENEWED_AFTER_S)):
        assert bench.leases.left_s("pacs") > 0
        bench.now_s += RENEWED_AFTER_S
        await bench.leases.round()
    assert bench.leases.left_s("pacs") == 0.0
    assert bench.leases.may_send("pacs")


async def test_a_lease_of_ours_that_we_do_not_know_is_left_to_end(bench: Bench) -> None:
    """The answer to its taking was lost."""
    bench.table.leases = (DestinationLease("pacs", ME.instance, 7, is_over=False),)
    bench.leases.want(["pacs"])
    await bench.leases.round()
    assert bench.leases.own == set()
    bench.table.leases = (replace(bench.table.leases[0], is_over=True),)
    await bench.leases.round()
    assert bench.leases.own == {"pacs"}


async def test_nodes_that_are_not_alike_are_logged_once(bench: Bench) -> None:
    other = NodeSeen(replace(ME, instance="o", name="other"), "running", "rules-1", frozenset(), NOON, True, 0)
    bench.table.others = (other,)
    bench.rules = "rules-2"
    with capture_logs() as logs:
        await bench.leases.round()
        await bench.leases.round()
        bench.rules = "rules-1"
        await bench.leases.round()
    told = [(each["log_level"], each["are_alike"]) for each in logs if each["event"] == "nodes_compared"]
    assert told == [("warning", False), ("info", True)]


async def test_the_end_releases_all_and_nothing_is_taken_after_it(bench: Bench) -> None:
    running = asyncio.create_task(bench.leases.run())
    bench.leases.want(["pacs"])
    async with asyncio.timeout(60.0):
        while not bench.leases.own:
            await asyncio.sleep(0.002)
        await bench.leases.release_all()
        await running
    assert bench.table.steps[-2:] == ["leave", "close"]
    assert (bench.leases.own, bench.leases.tokens()) == (frozenset(), {})
    await bench.leases.round()
    assert bench.table.steps[-2:] == ["leave", "close"]


async def test_the_end_waits_for_no_database(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination_leases, "LEAVE_LIMIT_S", 0.05)
    await bench.leases.round()
    bench.table.may_go_on.clear()
    with capture_logs() as logs:
        async with asyncio.timeout(60.0):
            await bench.leases.release_all()
    assert [each["event"] for each in logs] == ["leases_not_released"]


async def test_who_watches_the_clock_tells_without_the_database(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination_leases, "LOOK_S", 0.002)
    bench.leases.want(["pacs"])
    running = asyncio.create_task(bench.leases.run())
    async with asyncio.timeout(60.0):
        while not bench.leases.own:
            await asyncio.sleep(0.002)
        bench.table.is_stuck.clear()
        bench.table.may_go_on.clear()
        await asyncio.to_thread(bench.table.is_stuck.wait, 60.0)
        bench.now_s += QUIET_AFTER_S
        while bench.leases.own:
            await asyncio.sleep(0.002)
        bench.table.may_go_on.set()
        await bench.leases.release_all()
        await running
