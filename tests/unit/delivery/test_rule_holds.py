"""A paused rule: what it wants waits, held, and goes on when it is resumed. Others are not held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.model.delivery import RULE_PAUSED, Deferred, Delivered, DeliveryState, Outcome
from gateway.model.peer import Retry
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.destination import Outbound
from gateway.ports.errors import DestinationDown
from gateway.ports.pauses import Pause
from tests.support.fakes.delivery import peer
from tests.support.fakes.memory_journal import MemoryJournal, real_clock
from tests.support.samples import NOON
from tests.unit.delivery.conftest import Bench

PAUSED = Pause("rule", "chest", "anna", "", NOON)
RESUMED = replace(PAUSED, resumed_at=NOON)
HELD, DELIVERED = DeliveryState.HELD, DeliveryState.DELIVERED


class Site:
    """A service on a journal, which another one may take over."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self.journal = journal or MemoryJournal(real_clock)
        self.bench = Bench(self.journal, real_clock)

    def add(self, rule: str, number: int = 1, **options: Any) -> list[int]:
        return self.journal.add_many(number, rule=rule, **options)

    def states(self, rule: str) -> list[DeliveryState]:
        return [row.state for row in self.journal.rows.values() if row.rule == rule]

    async def until(self, rule: str, state: DeliveryState) -> None:
        await self.journal.until(lambda: {*self.states(rule)} == {state})

    @property
    def sent(self) -> list[str]:
        return self.bench.to().sent


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    yield made
    await asyncio.wait_for(made.bench.service.drain(1.0), 60.0)


async def test_what_it_wants_waits_and_other_routes_go_on(site: Site) -> None:
    site.bench.service.follow_pauses([PAUSED])
    site.add("chest", 600)  # more than a claim
    site.add("all", 3)
    await site.bench.start(peer("pacs"))
    await site.until("all", DELIVERED)
    await site.until("chest", HELD)
    assert {row.reason for row in site.journal.rows.values() if row.rule == "chest"} == {RULE_PAUSED}
    assert [row.attempts for row in site.journal.rows.values() if row.rule == "chest"] == [0] * 600
    assert len(site.sent) == 3
    assert site.bench.meter.total("gateway_deliveries_total") == 3
    site.add("chest")
    await site.until("chest", HELD)
    with capture_logs() as lines:
        site.bench.service.follow_pauses([RESUMED])
        await site.until("chest", DELIVERED)
    assert [(line["rule"], line["deliveries"]) for line in lines if line["event"] == "rule_resumed"] == [("chest", 601)]
    assert len(site.sent) == len({*site.sent}) == 604, "once each"


async def test_what_is_in_flight_is_finished_and_what_fails_waits(site: Site) -> None:
    is_open = asyncio.Event()
    answers: list[Outcome] = [Deferred("later"), Delivered(), Delivered(), Delivered()]

    async def behave(outbound: Outbound) -> Outcome:
        await is_open.wait()
        return answers.pop(0)

    site.bench.to().behave = behave
    site.add("chest", 3)
    await site.bench.start(peer("pacs", associations=1, retry=Retry(first_delay_s=0.01)))
    await site.journal.until(lambda: len(site.sent) == 1)
    site.bench.service.follow_pauses([PAUSED])
    is_open.set()
    await site.until("chest", HELD)
    assert (len(site.sent), [row.attempts for row in site.journal.rows.values()]) == (1, [1, 0, 0])
    site.bench.service.follow_pauses([RESUMED])
    await site.until("chest", DELIVERED)


async def test_what_an_operator_held_stays_held(site: Site) -> None:
    (own,) = site.add("chest")
    site.journal.store.hold(DeliveryFilter(ids=(own,)))
    site.bench.service.follow_pauses([PAUSED])
    await site.bench.start(peer("pacs"))
    (other,) = site.add("chest")
    await site.journal.until(lambda: site.journal.rows[other].state is HELD)
    site.bench.service.follow_pauses([RESUMED])
    await site.journal.until(lambda: site.journal.rows[other].state is DELIVERED)
    assert site.journal.rows[own].state is HELD


async def test_what_was_held_before_a_restart_goes_on_after_it(site: Site) -> None:
    """The rule was resumed while no gateway ran."""
    site.bench.service.follow_pauses([PAUSED])
    site.add("chest", 2)
    await site.bench.start(peer("pacs"))
    await site.until("chest", HELD)
    assert await site.bench.service.drain(60.0)
    after = Site(site.journal)
    after.bench.service.follow_pauses([RESUMED])
    await after.bench.start(peer("pacs"))
    await after.until("chest", DELIVERED)
    assert await after.bench.service.drain(60.0)


async def test_a_rule_that_is_paused_again_is_let_go_again(site: Site) -> None:
    await site.bench.start(peer("pacs"))
    for number in (1, 2):
        site.bench.service.follow_pauses([PAUSED])
        (added,) = site.add("chest")
        await site.journal.until(lambda added=added: site.journal.rows[added].state is HELD)  # type: ignore[misc]
        site.bench.service.follow_pauses([RESUMED])
        await site.until("chest", DELIVERED)
        assert len(site.sent) == number


async def test_a_destination_that_is_tried_is_tried_with_what_may_go(site: Site) -> None:
    """However many deliveries of a paused rule are before the first one of another route."""

    async def down(number: int) -> None:
        raise DestinationDown("refused")

    destination = site.bench.to()
    destination.reach = down
    site.add("all")
    await site.bench.start(peer("pacs", retry=Retry(first_delay_s=0.01, max_delay_s=0.01, factor=1.0, jitter=0.0)))
    await site.journal.until(lambda: site.bench.service.status()[0].is_up is False)
    site.add("chest", 300, priority=Priority.URGENT)
    site.bench.service.follow_pauses([PAUSED])
    destination.reach = None
    await site.until("all", DELIVERED)
    await site.until("chest", HELD)
    assert len(site.sent) == 1


async def test_a_whole_bundle_of_a_paused_rule_waits(site: Site) -> None:
    site.bench.service.follow_pauses([PAUSED])
    site.add("chest", 40, bundle="1.2")
    site.add("all", 2, bundle="1.3")
    await site.bench.start(peer("pacs", associations=1))
    await site.until("all", DELIVERED)
    await site.until("chest", HELD)
    site.bench.service.follow_pauses([RESUMED])
    await site.until("chest", DELIVERED)
    assert len(site.sent) == 42


async def test_nothing_of_it_is_given_up_for_its_age(site: Site) -> None:
    async def down(number: int) -> None:
        raise DestinationDown("refused")

    site.bench.to().reach = down
    site.bench.service.follow_pauses([PAUSED])
    (old,) = site.add("all", age_s=100.0)
    site.add("chest", 5, age_s=100.0)
    await site.bench.start(peer("pacs", retry=Retry(first_delay_s=0.01, give_up_after_s=50.0)))
    await site.journal.until(lambda: site.journal.rows[old].state is DeliveryState.DEAD)
    await site.until("chest", HELD)
