"""The keeper looks for deadlines, and says what is complete."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from gateway.delivery import collection_keeper
from gateway.delivery.collection_keeper import CollectionKeeper
from gateway.delivery.collection_steps import CollectionStep
from gateway.model.collection import CollectionTerms, Membership, digest_of
from gateway.model.delivery import Dispatch
from gateway.model.expectation import ExpectedTerms
from gateway.ports.collections import CollectionFilter
from gateway.ports.errors import QueueBroken, Temporary
from gateway.ports.store import Store
from tests.support.fakes.memory_store import MemoryStore
from tests.support.fakes.meter import MemoryMeter
from tests.support.samples import Clock, instance

T = TypeVar("T")
TERMS = CollectionTerms("chest", quiet_s=60, at_most_s=600, late_for_s=3600)


class Site:
    """A keeper with everything around it; it is the journal."""

    def __init__(self) -> None:
        self.clock, self.meter = Clock(), MemoryMeter()
        self.store = MemoryStore(self.clock)
        self.arriving: frozenset[str] = frozenset()
        self.is_wanted = True
        self.reads, self.due = 0, set[str]()
        self.trouble: list[Exception] = []
        self.failures: list[Exception] = []
        self.asked: list[tuple[str, str, str, float]] = []
        self.answers: dict[str, list[str]] = {}
        self.go = asyncio.Event()
        self.go.set()
        self.keeper = CollectionKeeper(
            self, lambda: self.arriving, self.meter, self.query_source, lambda: self.is_wanted
        )

    async def query_source(self, source: str, study: str, series: str, limit_s: float) -> dict[str, str]:
        """What `answers` say, when `go` lets it."""
        self.asked.append((source, study, series, limit_s))
        await self.go.wait()
        return {digest_of(uid): uid for uid in self.answers.get(study, ())}

    async def read(self, function: Callable[[Store], T]) -> T:
        self.reads += 1
        if self.trouble:
            raise self.trouble.pop()
        return function(self.store)

    async def write_due(self, function: Callable[[Store], CollectionStep]) -> CollectionStep:
        if self.failures:
            raise self.failures.pop()
        with self.store.transaction():
            step = function(self.store)
        self.due |= step.destinations
        return step

    def put(self, *studies: str, terms: CollectionTerms = TERMS) -> None:
        for number, study in enumerate(studies):
            member = Membership(terms, study, patient="p")
            self.store.accept([(instance(number), [Dispatch("r", "pacs", collection=member)])], self.clock())

    async def look(self) -> None:
        """Look, and wait for the answers to all questions that may have one."""
        await self.keeper.look()
        while self.go.is_set() and self.keeper.questions.waiting("vna"):
            await asyncio.sleep(0)

    def states(self) -> list[str]:
        return [one.state.value for one in self.store.collections.list(CollectionFilter(), 1000)]


@pytest.fixture
def site() -> Site:
    return Site()


async def test_what_is_due_is_let_go_and_said_without_values_of_objects(site: Site) -> None:
    site.put("1.2", "1.3")
    await site.keeper.look()
    assert site.states() == ["open", "open"]
    site.clock.advance(60)
    with capture_logs() as logs:
        await site.keeper.look()
    assert (site.states(), site.due) == (["complete", "complete"], {"pacs"})
    assert [entry["event"] for entry in logs] == ["collection_completed"] * 2
    first = logs[0]
    assert (first["collection"], first["study_instance_uid"], first["instances"]) == ("chest", "1.2", 1)
    assert (first["result"], first["outcome"], first["generation"], first["waited_s"]) == ("unverified", "send", 1, 60)
    assert site.meter.counted["gateway_collections_completed_total", "chest", "unverified"] == 2


async def test_an_object_on_its_way_in_holds_its_study_up(site: Site) -> None:
    site.put("1.2", "1.3")
    site.arriving = frozenset({"1.2"})
    await site.keeper.look()
    site.clock.advance(60)
    await site.keeper.look()
    assert site.states() == ["open", "complete"]
    (waiting,) = (one for one in site.store.collections.list(CollectionFilter(), 10) if one.is_open)
    assert waiting.last_arrival_at == site.clock()


async def test_more_than_one_page_is_taken_in_one_look(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_keeper, "AT_ONCE", 2)
    site.put(*(f"1.{number}" for number in range(5)))
    site.clock.advance(60)
    await site.keeper.look()
    assert site.states() == ["complete"] * 5


async def test_a_gateway_that_collects_nothing_reads_rarely(site: Site) -> None:
    site.is_wanted = False
    for _ in range(collection_keeper.LOOKS_PASSED_OVER):
        await site.keeper.look()
    assert site.reads == 1
    await site.keeper.look()
    assert site.reads == 2


async def test_what_came_between_the_last_look_and_a_reload_without_collections_is_looked_after(site: Site) -> None:
    await site.keeper.look()
    site.put("1.2")
    site.is_wanted = False
    site.clock.advance(60)
    for _ in range(collection_keeper.LOOKS_PASSED_OVER):
        await site.keeper.look()
    assert site.states() == ["complete"]


async def test_what_waits_is_looked_after_when_no_rule_collects_any_more(site: Site) -> None:
    site.put("1.2")
    site.is_wanted = False
    await site.keeper.look()
    site.clock.advance(60)
    await site.keeper.look()
    assert site.states() == ["complete"]


async def test_trouble_is_said_once_and_all_goes_on_afterwards(site: Site) -> None:
    site.put("1.2")
    site.clock.advance(60)
    site.trouble = [Temporary("the disk is slow"), Temporary("the disk is slow")]
    with capture_logs() as logs:
        for _ in range(3):
            await site.keeper.look()
    assert [entry["event"] for entry in logs] == ["collections_not_looked_at", "collection_completed"]


def make_unreadable(site: Site, number: int) -> None:
    site.store.collection_rows[number] = dataclasses.replace(
        site.store.collection_rows[number], unreadable="terms: new"
    )


async def test_one_that_cannot_be_read_stays_and_others_go_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_keeper, "AT_ONCE", 1)
    site.put("1.2", "1.3", "1.4")
    make_unreadable(site, 1)
    unreadable = site.store.collection_rows[1]
    site.clock.advance(60)
    with capture_logs() as logs:
        for _ in range(3 * collection_keeper.TRIED_AGAIN_AFTER):
            await site.keeper.look()
    assert site.states() == ["open", "complete", "complete"]
    assert site.store.collection_rows[1] == unreadable
    (said,) = (entry for entry in logs if entry["event"] == "collection_not_decided")
    assert (said["collection_id"], said["collection"]) == (1, "chest")
    assert said["error"] == "cannot be read by this version: terms: new"
    assert site.meter.counted["gateway_collection_problems_total", "chest"] == 1
    site.store.collection_rows[1] = dataclasses.replace(unreadable, unreadable="")
    for _ in range(collection_keeper.TRIED_AGAIN_AFTER):
        await site.keeper.look()
    assert site.states() == ["complete"] * 3


async def test_a_step_that_fails_is_the_trouble_of_its_collection(site: Site) -> None:
    site.put("1.2", "1.3")
    site.clock.advance(60)
    site.failures = [ZeroDivisionError("a mistake")]
    with capture_logs() as logs:
        await site.keeper.look()
        assert site.states() == ["open", "complete"]
        for _ in range(collection_keeper.TRIED_AGAIN_AFTER):
            await site.keeper.look()
    assert site.states() == ["complete", "complete"]
    assert [entry["event"] for entry in logs] == ["collection_not_decided"] + ["collection_completed"] * 2
    assert site.meter.counted["gateway_collection_problems_total", ""] == 1


async def test_an_error_of_the_store_about_one_lets_the_next_look_begin_with_others(site: Site) -> None:
    site.put("1.2", "1.3")
    site.clock.advance(60)
    site.failures = [QueueBroken("a page is damaged")]
    with capture_logs() as logs:
        await site.keeper.look()
        assert site.states() == ["open", "open"]
        await site.keeper.look()
    assert site.states() == ["open", "complete"]
    assert [entry["event"] for entry in logs] == ["collections_not_looked_at", "collection_completed"]


ASKING = dataclasses.replace(TERMS, expect=ExpectedTerms("vna", every_s=30, timeout_s=10))


async def test_a_source_that_says_the_same_twice_verifies(site: Site) -> None:
    site.put("1.2", terms=ASKING)
    site.answers["1.2"] = [instance(0).sop_instance_uid]
    site.clock.advance(60)
    await site.look()
    assert (site.states(), site.asked) == (["open"], [("vna", "1.2", "", 10.0)])
    site.clock.advance(30)
    with capture_logs() as logs:
        await site.look()
    assert (site.states(), len(site.asked)) == (["complete"], 2)
    (entry,) = logs
    assert (entry["event"], entry["result"], entry["expected"]) == ("collection_completed", "verified", 1)
    assert (entry["missing"], entry["why"]) == (0, "")
    assert site.meter.counted["gateway_collections_completed_total", "chest", "verified"] == 1


async def test_a_source_that_hangs_holds_up_no_other_collection(site: Site) -> None:
    site.put("1.2", terms=ASKING)
    site.put("1.3")
    site.go.clear()
    site.clock.advance(60)
    await site.look()
    assert site.states() == ["open", "complete"]
    site.put("1.4")
    site.clock.advance(60)
    await site.look()
    assert site.states()[0::2] == ["open", "complete"]
    await site.keeper.questions.close()


async def test_a_question_that_is_open_at_the_end_is_asked_again_by_the_next(site: Site) -> None:
    site.put("1.2", terms=ASKING)
    site.answers["1.2"] = [instance(0).sop_instance_uid]
    site.go.clear()
    site.clock.advance(60)
    running = asyncio.create_task(site.keeper.run())
    while not site.asked:
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert not site.keeper.questions.waiting("vna")
    site.go.set()
    site.clock.advance(30)
    await site.look()
    site.clock.advance(30)
    await site.look()
    assert (site.states(), len(site.asked)) == (["complete"], 3)


async def test_an_answer_that_the_store_does_not_take_is_asked_for_again(site: Site) -> None:
    site.put("1.2", terms=ASKING)
    site.answers["1.2"] = [instance(0).sop_instance_uid]
    site.go.clear()
    site.clock.advance(60)
    await site.look()
    site.failures = [Temporary("the disk is slow")]
    site.go.set()
    with capture_logs() as logs:
        await site.look()
    assert [entry["event"] for entry in logs] == ["collection_answer_lost"]
    for _ in range(2):
        site.clock.advance(30)
        await site.look()
    assert (site.states(), len(site.asked)) == (["complete"], 3)


async def test_an_answer_that_fails_is_the_trouble_of_its_collection(site: Site) -> None:
    site.put("1.2", terms=ASKING)
    site.put("1.3")
    site.go.clear()
    site.clock.advance(60)
    await site.look()
    site.failures = [ZeroDivisionError("a mistake")]
    site.go.set()
    with capture_logs() as logs:
        await site.look()
        await site.look()
    assert site.states() == ["open", "complete"]
    (entry,) = logs
    assert (entry["event"], entry["collection_id"]) == ("collection_not_decided", 1)
    assert entry["error"] == "ZeroDivisionError: a mistake"
    assert site.meter.counted["gateway_collection_problems_total", ""] == 1
