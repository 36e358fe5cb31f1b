"""Couriers of destinations with a delivery window or a rate."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.common.week import spans_of
from gateway.delivery.courier_status import CourierStatus
from gateway.delivery.feeder import FIRST_CLAIM
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome
from gateway.model.delivery_window import DeliveryWindow, merged
from gateway.model.peer import Peer, Retry
from gateway.model.priority import Priority
from gateway.ports.destination import Outbound
from gateway.ports.errors import DestinationDown
from tests.support.fakes.delivery import QUICK, peer, reload, table
from tests.support.fakes.handed_leases import HandedLeases
from tests.support.fakes.memory_journal import MemoryJournal, real_clock
from tests.support.samples import Clock
from tests.unit.delivery.conftest import Bench
from tests.unit.delivery.parts import Parts

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
GUARD_S = 60.0
MONDAY_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NIGHTS = DeliveryWindow(merged(spans_of("18:00-06:00")), ZoneInfo("UTC"))
CRAWL = 1e-6
"""Bytes a second: the next object after the first never goes."""


def bench_at(moment: datetime = MONDAY_NOON) -> tuple[Bench, Clock]:
    wall = Clock(moment)
    return Bench(MemoryJournal(real_clock), real_clock, wall=wall), wall


async def until_waiting(bench: Bench, waits_for: str) -> CourierStatus:
    async with asyncio.timeout(GUARD_S):
        while bench.service.status()[0].waits_for != waits_for:
            await asyncio.sleep(0.001)
    return bench.service.status()[0]


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_nothing_is_sent_or_claimed_before_the_window_opens() -> None:
    bench, wall = bench_at()
    bench.journal.add_many(3)
    await bench.start(peer(window=NIGHTS))
    status = await until_waiting(bench, "window")
    await turns()
    assert (bench.to().sent, sum(bench.journal.claims)) == ([], 0)
    assert (status.is_up, status.reason, status.wait_s) == (None, "", 6 * 3600)
    assert status.opens_at == datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
    bench.journal.add()
    await turns()
    assert sum(bench.journal.claims) == 0
    wall.advance(6 * 3600)
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent == [f"1.2.3.{number}" for number in range(1, 5)]
    assert bench.service.status()[0].waits_for == ""
    assert await bench.service.drain(GUARD_S)


async def test_what_is_in_hand_when_it_closes_is_finished_and_the_rest_given_back() -> None:
    bench, wall = bench_at(MONDAY_NOON + timedelta(hours=7))
    gate = asyncio.Event()

    async def slowly(outbound: Outbound) -> Outcome:
        await gate.wait()
        return Delivered()

    bench.to().behave = slowly
    bench.journal.add_many(10)
    await bench.start(peer(window=NIGHTS))
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    wall.advance(12 * 3600)
    await bench.journal.until(lambda: len(bench.journal.settlements) == 9)
    assert {(each.state, each.is_attempt) for each in bench.journal.settlements} == {(PENDING, False)}
    gate.set()
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 1)
    await until_waiting(bench, "window")
    assert bench.to().sent == ["1.2.3.1"]
    wall.advance(11 * 3600)
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent == [f"1.2.3.{number}" for number in range(1, 11)]
    assert {row.attempts for row in bench.journal.rows.values()} == {1}
    assert await bench.service.drain(GUARD_S)


@pytest.mark.parametrize("days", [-400, 400], ids=["back", "ahead"])
async def test_a_clock_that_is_set_while_something_waits_counts_at_once(days: int) -> None:
    bench, wall = bench_at()
    bench.journal.add()
    await bench.start(peer(window=NIGHTS))
    await until_waiting(bench, "window")
    wall.at = MONDAY_NOON + timedelta(days=days, hours=9)
    await bench.journal.until_all(DELIVERED)
    wall.at = MONDAY_NOON
    bench.journal.add()
    await until_waiting(bench, "window")
    await turns()
    assert len(bench.to().sent) == 1
    assert await bench.service.drain(GUARD_S)


@pytest.mark.parametrize("is_window_taken_away", [True, False])
async def test_a_reload_opens_a_window_at_once(*, is_window_taken_away: bool) -> None:
    bench, _ = bench_at()
    bench.journal.add_many(3)
    await bench.start(peer(window=NIGHTS))
    await until_waiting(bench, "window")
    noons = DeliveryWindow(merged(spans_of("Mo 11:00-13:00")), ZoneInfo("UTC"))
    await reload(bench.service, table(peer(window=None if is_window_taken_away else noons)))
    await bench.journal.until_all(DELIVERED)
    assert await bench.service.drain(GUARD_S)


async def test_a_reload_that_closes_a_window_gives_back_what_is_not_begun() -> None:
    bench, _ = bench_at()
    gate = asyncio.Event()

    async def slowly(outbound: Outbound) -> Outcome:
        await gate.wait()
        return Delivered()

    bench.to().behave = slowly
    bench.journal.add_many(5)
    await bench.start(peer())
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    await reload(bench.service, table(peer(window=NIGHTS)))
    await bench.journal.until(lambda: len(bench.journal.settlements) == 4)
    gate.set()
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 1)
    assert bench.to().sent == ["1.2.3.1"]
    assert await bench.service.drain(GUARD_S)


@pytest.mark.parametrize("settings", [{"window": NIGHTS}, {"bytes_per_s": CRAWL}], ids=["window", "rate"])
async def test_a_destination_that_waits_stops_no_other(settings: dict[str, Any]) -> None:
    bench, _ = bench_at()
    bench.journal.add_many(50)
    for _ in range(50):
        bench.journal.add(destination="vna")
    await bench.start(peer(**settings), peer("vna"))
    await bench.journal.until_all(DELIVERED, "vna")
    assert len(bench.to("vna").sent) == 50
    assert len(bench.to().sent) <= 1
    assert await bench.service.drain(GUARD_S)


@pytest.mark.parametrize("settings", [{"window": NIGHTS}, {"bytes_per_s": CRAWL}], ids=["window", "rate"])
async def test_it_ends_at_once_while_something_waits(settings: dict[str, Any]) -> None:
    bench, _ = bench_at()
    bench.journal.add_many(5, data=b"12345678")
    await bench.start(peer(**settings))
    await until_waiting(bench, "window" if "window" in settings else "rate")
    async with asyncio.timeout(GUARD_S):
        assert await bench.service.drain(3600.0)
    assert bench.journal.states().count(PENDING) >= 4
    assert all(not each.is_attempt for each in bench.journal.settlements if each.state is PENDING)


async def test_a_rate_holds_the_next_object_back_until_a_reload_says_otherwise() -> None:
    bench, _ = bench_at()
    bench.journal.add_many(300, data=b"12345678")
    await bench.start(peer(bytes_per_s=CRAWL, associations=16))
    status = await until_waiting(bench, "rate")
    assert (status.reason, status.opens_at) == ("", None)
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 1)
    await turns()
    assert (len(bench.to().sent), bench.to().most_open) == (1, 1)
    await reload(bench.service, table(peer(bytes_per_s=1e9, objects_per_s=1e6, associations=16)))
    await bench.journal.until_all(DELIVERED)
    assert sorted(bench.to().sent) == sorted(f"1.2.3.{number}" for number in range(1, 301))
    assert {row.attempts for row in bench.journal.rows.values()} == {1}
    assert await bench.service.drain(GUARD_S)


async def test_nothing_is_in_hand_in_a_large_debt() -> None:
    bench = Bench(MemoryJournal(real_clock), real_clock, idle_s=0.2)
    bench.journal.add_many(FIRST_CLAIM, data=b"12345678")
    await bench.start(peer(bytes_per_s=CRAWL))
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 1)
    await bench.journal.until(lambda: bench.service.status()[0].in_hand == 0)
    assert bench.service.status()[0].waits_for == "rate"
    async with asyncio.timeout(GUARD_S):
        while bench.to().open_now:  # the association is not kept for so long
            await asyncio.sleep(0.001)
    assert await bench.service.drain(GUARD_S)


async def test_several_associations_share_a_rate() -> None:
    bench, _ = bench_at()

    async def slowly(outbound: Outbound) -> Outcome:
        await asyncio.sleep(0.05)
        return Delivered()

    bench.to().behave = slowly
    bench.journal.add_many(60)
    await bench.start(peer(objects_per_s=100, associations=4))
    await bench.journal.until_all(DELIVERED)
    assert bench.to().most_open > 1
    assert bench.meter.counted["gateway_delivery_rate_wait_seconds_total", "pacs"] >= 0
    assert await bench.service.drain(GUARD_S)


async def test_what_could_not_be_sent_costs_nothing() -> None:
    bench, _ = bench_at()
    tries = 0

    async def down(number: int) -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise DestinationDown("connection refused")

    bench.to().reach = down
    bench.journal.add(data=b"12345678")
    await bench.start(peer(bytes_per_s=CRAWL))
    await bench.journal.until_all(DELIVERED)
    assert tries == 5
    assert await bench.service.drain(GUARD_S)


async def test_a_failure_before_it_closed_is_no_failure_of_the_closed_window() -> None:
    bench, wall = bench_at(MONDAY_NOON + timedelta(hours=7))

    async def failing(outbound: Outbound) -> Outcome:
        wall.at = MONDAY_NOON + timedelta(days=1)
        return Deferred("no room", is_destination_down=True)

    bench.to().behave = failing
    bench.journal.add()
    await bench.start(peer(window=NIGHTS))
    status = await until_waiting(bench, "window")
    await bench.journal.until(lambda: len(bench.journal.settlements) == 1)
    async with asyncio.timeout(GUARD_S):
        while bench.service.status()[0].wait_s < 3600 or not status.opens_at:
            await asyncio.sleep(0.001)
    await turns()
    status = bench.service.status()[0]
    assert (status.is_up, status.reason, len(bench.to().sent)) == (False, "no room", 1)
    wall.advance(8 * 3600)
    await bench.journal.until(lambda: len(bench.to().sent) == 2)
    assert await bench.service.drain(GUARD_S)


HOURLY = Retry(first_delay_s=0.02, factor=1.0, max_delay_s=0.02, jitter=0.0, give_up_after_s=3600.0)


@pytest.mark.parametrize(
    ("window", "age_h", "is_given_up"),
    [
        (None, 8.0, True),
        (NIGHTS, 8.0, False),  # open since half an hour, and closed for 12 hours before
        (NIGHTS, 12.6, False),
        (NIGHTS, 13.1, True),  # there in the last half an hour of the night before
    ],
)
async def test_the_closed_window_is_no_age(window: DeliveryWindow | None, age_h: float, *, is_given_up: bool) -> None:
    parts = Parts({"retry": HOURLY, "window": window})
    parts.clock.at = MONDAY_NOON + timedelta(hours=6.5)
    delivery = await parts.claimed(age_s=age_h * 3600)
    assert parts.state.is_given_up(delivery) is is_given_up


@pytest.mark.parametrize("settings", [{"window": NIGHTS}, {"bytes_per_s": CRAWL}], ids=["window", "rate"])
async def test_another_node_takes_over_while_something_waits(settings: dict[str, Any]) -> None:
    leases = HandedLeases("pacs")
    bench = Bench(MemoryJournal(real_clock), real_clock, wall=Clock(MONDAY_NOON), leases=leases)
    bench.journal.add_many(5, data=b"12345678")
    await bench.start(peer(**settings))
    what = "window" if "window" in settings else "rate"
    await until_waiting(bench, what)
    sent = len(bench.to().sent)
    leases.hand()
    await bench.journal.until(lambda: leases.have_ended == ["pacs"])
    assert bench.journal.states().count(PENDING) == 5 - sent
    assert bench.journal.leased() == []
    leases.hand("pacs")
    await until_waiting(bench, what)
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 2 * sent)
    assert len(bench.to().sent) == 2 * sent, "a node begins with a full bucket"
    assert await bench.service.drain(GUARD_S)


async def test_the_status_of_one_that_another_node_works_on_has_its_window() -> None:
    bench = Bench(MemoryJournal(real_clock), real_clock, wall=Clock(MONDAY_NOON), leases=HandedLeases())
    await bench.start(peer(window=NIGHTS))
    [status] = bench.service.status()
    assert (status.is_here, status.waits_for, status.wait_s) == (False, "window", 6 * 3600)
    assert await bench.service.drain(GUARD_S)


def test_settings_that_are_alike_are_one() -> None:
    def made() -> Peer:
        return peer(window=DeliveryWindow(merged(spans_of("18:00-06:00")), ZoneInfo("UTC")), retry=QUICK)

    assert made() == made()


async def test_what_is_urgent_passes_a_closed_window_where_its_route_says_so() -> None:
    bench, wall = bench_at()
    bench.journal.add()
    bench.journal.add(priority=Priority.URGENT)
    passing = bench.journal.add(priority=Priority.URGENT, passes_window=True)
    bench.journal.add(passes_window=True)
    await bench.start(peer(window=NIGHTS))
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 1)
    assert bench.journal.rows[passing].state is DELIVERED
    status = await until_waiting(bench, "window")
    assert status.opens_at == datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
    later = bench.journal.add(priority=Priority.URGENT, passes_window=True)
    await bench.journal.until(lambda: bench.journal.rows[later].state is DELIVERED)
    assert bench.to().sent == [f"1.2.3.{passing}", f"1.2.3.{later}"]
    wall.advance(6 * 3600)
    await bench.journal.until_all(DELIVERED)
    assert bench.to().sent[2:] == ["1.2.3.2", "1.2.3.1", "1.2.3.4"]
    assert await bench.service.drain(GUARD_S)


async def test_what_passes_stays_in_hand_when_the_window_closes() -> None:
    bench, wall = bench_at(MONDAY_NOON + timedelta(hours=7))
    gate = asyncio.Event()

    async def slowly(outbound: Outbound) -> Outcome:
        await gate.wait()
        return Delivered()

    bench.to().behave = slowly
    bench.journal.add_many(3)
    bench.journal.add(priority=Priority.URGENT, passes_window=True)
    bench.journal.add(priority=Priority.URGENT, passes_window=True)
    await bench.start(peer(window=NIGHTS))
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    wall.advance(12 * 3600)
    await bench.journal.until(lambda: len(bench.journal.settlements) == 3)
    gate.set()
    await bench.journal.until(lambda: bench.journal.states().count(DELIVERED) == 2)
    await until_waiting(bench, "window")
    assert bench.to().sent == ["1.2.3.4", "1.2.3.5"]
    assert await bench.service.drain(GUARD_S)


async def test_of_one_association_what_passes_goes_and_the_rest_waits_for_the_window() -> None:
    bench, wall = bench_at()
    for place in (1, 2):
        bench.journal.add(bundle="1.2", bundle_place=place)
    for place in (4, 3):
        bench.journal.add(bundle="1.2", bundle_place=place, priority=Priority.URGENT, passes_window=True)
    await bench.start(peer(window=NIGHTS))
    await bench.journal.until(lambda: bench.journal.states() == [PENDING, PENDING, DELIVERED, DELIVERED])
    await until_waiting(bench, "window")
    assert bench.to().over == [(True, ["1.2.3.4", "1.2.3.3"])]
    wall.advance(7 * 3600.0)
    await bench.journal.until_all(DELIVERED)
    assert bench.to().over[1:] == [(True, ["1.2.3.1", "1.2.3.2"])]
    assert await asyncio.wait_for(bench.service.drain(GUARD_S), GUARD_S)
