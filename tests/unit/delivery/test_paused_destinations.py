"""A paused destination: what is in flight is finished, nothing more is begun, and others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.delivery.destination_state import DestinationState
from gateway.model.delivery import Delivered, DeliveryState, Outcome
from gateway.model.peer import Retry
from gateway.ports.destination import Outbound
from gateway.ports.pauses import Pause
from tests.support.fakes.delivery import peer, table
from tests.support.fakes.handed_leases import HandedLeases
from tests.support.fakes.memory_journal import MemoryJournal, real_clock
from tests.support.samples import NOON
from tests.unit.delivery.conftest import Bench
from tests.unit.delivery.parts import Parts, courier_context

PAUSED = Pause("destination", "pacs", "anna", "", NOON)
RESUMED = replace(PAUSED, resumed_at=NOON)


class Gate:
    """Objects are begun, and answered when the gate is open."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()

    async def __call__(self, outbound: Outbound) -> Outcome:
        await self.is_open.wait()
        return Delivered()


async def test_nothing_is_begun_from_the_start(bench: Bench) -> None:
    bench.service.follow_pauses([PAUSED])
    await bench.start(peer("pacs"), peer("vna"))
    bench.journal.add_many(3)
    bench.journal.add_many(3, "vna")
    await bench.journal.until_all(DeliveryState.DELIVERED, "vna")
    assert (bench.to().sent, bench.journal.states()) == ([], [DeliveryState.PENDING] * 3)
    assert bench.journal.leased() == []
    bench.service.follow_pauses([RESUMED])
    await bench.journal.until_all(DeliveryState.DELIVERED)


async def test_what_is_in_flight_is_finished_and_the_rest_given_back(bench: Bench) -> None:
    gate = bench.to().behave = Gate()
    bench.journal.add_many(5)
    await bench.start(peer("pacs", associations=1))
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    bench.service.follow_pauses([PAUSED])
    (row,) = bench.service.status()
    assert (row.paused_since, row.paused_by, row.is_here) == (NOON, "anna", True)
    await bench.journal.until(lambda: len(bench.journal.leased()) == 1)
    bench.journal.add_many(2)
    gate.is_open.set()
    await bench.journal.until(lambda: bench.journal.states().count(DeliveryState.DELIVERED) == 1)
    await bench.journal.until(lambda: not bench.service._pausing)
    assert (len(bench.to().sent), bench.journal.leased(), bench.to().open_now) == (1, [], 0)
    assert [row.attempts for row in bench.journal.rows.values()] == [1, 0, 0, 0, 0, 0, 0]
    bench.service.follow_pauses([RESUMED])
    await bench.journal.until_all(DeliveryState.DELIVERED)
    assert bench.to().sent == [f"1.2.3.{number}" for number in range(1, 8)], "once each, in order"
    (row,) = bench.service.status()
    assert row.paused_since is None


async def test_one_that_is_resumed_waits_for_what_is_in_flight(bench: Bench) -> None:
    gate = bench.to().behave = Gate()
    bench.journal.add_many(3)
    await bench.start(peer("pacs", associations=1))
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    bench.service.follow_pauses([PAUSED])
    bench.service.follow_pauses([RESUMED])
    bench.service.follow_pauses([PAUSED])
    bench.service.follow_pauses([RESUMED])
    await bench.journal.until(lambda: len(bench.journal.leased()) == 1)
    assert len(bench.to().sent) == 1
    gate.is_open.set()
    await bench.journal.until_all(DeliveryState.DELIVERED)
    assert (bench.to().sent, bench.to().most_open) == (["1.2.3.1", "1.2.3.2", "1.2.3.3"], 1)


async def test_a_reload_leaves_it_paused(bench: Bench) -> None:
    bench.service.follow_pauses([PAUSED])
    await bench.start(peer("pacs"))
    bench.journal.add_many(1)
    bench.service.apply(bench.service.prepare(table(peer("pacs"), peer("vna"))))
    bench.journal.add_many(1, "vna")
    await bench.journal.until_all(DeliveryState.DELIVERED, "vna")
    assert bench.to().sent == []


async def test_a_drain_ends_what_a_pause_lets_finish(bench: Bench) -> None:
    gate = bench.to().behave = Gate()
    bench.journal.add_many(2)
    await bench.start(peer("pacs", associations=1))
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    bench.service.follow_pauses([PAUSED])
    draining = asyncio.create_task(bench.service.drain(60.0))
    await asyncio.sleep(0)
    bench.service.follow_pauses([RESUMED])
    gate.is_open.set()
    assert await draining
    assert (len(bench.to().sent), bench.journal.leased()) == (1, [])


@pytest.fixture
def leases() -> HandedLeases:
    return HandedLeases("pacs")


@pytest.fixture
async def node(leases: HandedLeases) -> AsyncIterator[Bench]:
    made = Bench(MemoryJournal(real_clock), real_clock, leases=leases)
    yield made
    await asyncio.wait_for(made.service.drain(1.0), 60.0)


async def test_a_lease_is_given_up_when_what_was_in_flight_has_ended(node: Bench, leases: HandedLeases) -> None:
    """Another node must not send while this one still does, paused or not."""
    gate = node.to().behave = Gate()
    node.journal.add_many(2)
    await node.start(peer("pacs", associations=1))
    await node.journal.until(lambda: len(node.to().sent) == 1)
    node.service.follow_pauses([PAUSED])
    leases.hand()
    await asyncio.sleep(0)
    assert leases.have_ended == []
    gate.is_open.set()
    await node.journal.until(lambda: leases.have_ended == ["pacs"])


async def test_an_idle_paused_destination_is_given_up_at_once(node: Bench, leases: HandedLeases) -> None:
    node.service.follow_pauses([PAUSED])
    await node.start(peer("pacs"))
    leases.hand()
    assert leases.have_ended == ["pacs"]
    leases.hand("pacs")
    node.journal.add_many(1)
    node.service.follow_pauses([RESUMED])
    await node.journal.until_all(DeliveryState.DELIVERED)


AGES = {"no pause": (None, True), "one that ended just now": (0.0, False), "one that ended long ago": (-7200.0, True)}


@pytest.mark.parametrize("name", AGES)
async def test_the_time_of_a_pause_is_no_age(name: str) -> None:
    ended_s, is_given_up = AGES[name]
    parts = Parts({"retry": Retry(give_up_after_s=3600.0)})
    delivery = await parts.claimed()
    parts.clock.advance(86400)
    resumed_at = None if ended_s is None else parts.clock() + timedelta(seconds=ended_s)
    state = DestinationState(parts.state.peer, courier_context(parts.journal, parts.meter), resumed_at)
    assert state.is_given_up(delivery) is is_given_up
