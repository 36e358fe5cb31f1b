"""Couriers run for the destinations of this node, and for no others. How one is served: `test_courier.py`."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from structlog.testing import capture_logs

from gateway.model.delivery import Delivered, DeliveryState, Dispatch, Outcome
from gateway.model.node import DestinationStanding
from gateway.model.peer import PeerGroup, Retry
from gateway.ports.destination import Outbound
from gateway.ports.errors import ConfigurationError, DestinationDown, QueueBroken
from tests.support.fakes.delivery import ScriptedDestination, peer, reload, table
from tests.support.fakes.handed_leases import HandedLeases
from tests.support.fakes.memory_journal import MemoryJournal, real_clock
from tests.unit.delivery.conftest import Bench

DELIVERED, PENDING = DeliveryState.DELIVERED, DeliveryState.PENDING


@pytest.fixture
def leases() -> HandedLeases:
    return HandedLeases()


@pytest.fixture
async def bench(leases: HandedLeases) -> AsyncIterator[Bench]:
    made = Bench(MemoryJournal(real_clock), real_clock, leases=leases)
    yield made
    await asyncio.wait_for(made.service.drain(1.0), 60.0)


async def until_ended(leases: HandedLeases, *names: str) -> None:
    async with asyncio.timeout(60.0):
        while leases.have_ended != [*names]:
            await asyncio.sleep(0.002)


async def test_what_another_node_works_on_is_left_to_it(bench: Bench, leases: HandedLeases) -> None:
    leases.hand("vna")
    bench.journal.add("pacs")
    bench.journal.add("vna")
    with capture_logs() as logs:
        await bench.start(peer("pacs"), peer("vna"))
        await bench.journal.until_all(DELIVERED, "vna")
        bench.journal.add("pacs")  # wakes nobody here
        bench.journal.operate(lambda store: 0)
        assert await bench.service.report_strays() == {}
    assert bench.journal.states("pacs") == [PENDING] * 2
    assert [each["event"] for each in logs if each["event"] == "destination_not_configured"] == []
    assert [(row.destination, row.node, row.is_up) for row in bench.service.status()] == [
        ("pacs", "other", None),
        ("vna", "this", True),
    ]


async def test_a_destination_that_is_down_at_another_node_is_shown_as_such(bench: Bench, leases: HandedLeases) -> None:
    leases.standings["pacs"] = DestinationStanding(False, "connection refused", 3, 7.0)
    await bench.start(peer("pacs"))
    (status,) = bench.service.status()
    assert (status.is_here, status.is_up, status.reason, status.wait_s) == (False, False, "connection refused", 7.0)


ARCHIVES = PeerGroup("archives", ("pacs", "vna"), "failover")
GIVEN_UP = DestinationStanding(False, "connection refused", 3, 7.0, down_s=60.0)


async def test_a_member_that_is_down_at_another_node_is_given_up_here_and_its_deliveries_are_left_to_that_node(
    bench: Bench, leases: HandedLeases
) -> None:
    leases.standings["pacs"] = GIVEN_UP
    leases.hand("vna")
    await bench.service.start(table(peer("pacs"), peer("vna"), groups=[ARCHIVES]))
    to_archives = Dispatch("all", "pacs", group_name="archives")
    (chosen,) = bench.service.members.choose([to_archives], {"archives": ARCHIVES})
    assert chosen.destination == "vna"
    left = bench.journal.add("pacs", group_name="archives")
    bench.journal.add("pacs-before", group_name="archives")
    await bench.journal.until(lambda: bench.journal.states("vna") == [DELIVERED])
    assert bench.journal.rows[left].destination == "pacs"
    (group,) = bench.service.groups()
    assert (group.chosen, group.why) == ("vna", "pacs is given up: connection refused")
    leases.hand("pacs", "vna")
    bench.to("pacs").reach = refused
    await bench.journal.until(lambda: bench.journal.states("vna") == [DELIVERED] * 2)


async def refused(number: int) -> None:
    raise DestinationDown("connection refused")


async def test_what_waits_for_a_member_that_a_reload_removes_goes_to_another_one(
    bench: Bench, leases: HandedLeases
) -> None:
    leases.hand("pacs", "vna")
    bench.to("pacs").reach = refused
    bench.journal.add_many(3, "pacs", group_name="archives")
    doubtful = bench.journal.add("pacs", group_name="archives")
    bench.journal.store.rows[doubtful].change(is_doubtful=True)
    await bench.service.start(table(peer("pacs"), peer("vna"), groups=[ARCHIVES]))
    leases.hand("vna")
    with capture_logs() as logs:
        await reload(bench.service, table(peer("vna"), groups=[PeerGroup("archives", ("vna",), "failover")]))
        await bench.journal.until(lambda: bench.journal.states("vna") == [DELIVERED] * 3)
    assert bench.journal.rows[doubtful].destination == "pacs"
    assert "destination_not_configured" in [each["event"] for each in logs]


async def test_a_fault_of_ours_in_the_groups_ends_the_service(bench: Bench, leases: HandedLeases) -> None:
    await bench.service.start(table(peer("pacs"), groups=[ARCHIVES]))
    bench.journal.depths_trouble = [QueueBroken("no such table")]
    with pytest.raises(QueueBroken):
        await asyncio.wait_for(bench.service.run(), 60.0)


async def test_a_destination_that_was_down_for_another_node_is_tried_at_once_and_is_up_when_it_answers(
    bench: Bench, leases: HandedLeases
) -> None:
    leases.standings["pacs"] = DestinationStanding(False, "no route to host", 3, 3600.0)
    leases.hand("pacs")
    bench.journal.add_many(20)
    await bench.start(peer("pacs"))
    (status,) = bench.service.status()
    assert (status.is_here, status.is_up, status.reason, status.wait_s) == (True, False, "no route to host", 0.0)
    await bench.journal.until_all(DELIVERED)
    await bench.journal.until(lambda: leases.shared()["pacs"] == DestinationStanding(True))
    leases.hand()
    await until_ended(leases, "pacs")
    assert leases.shared()["pacs"] == DestinationStanding(True), "the last word of its courier"


async def test_a_destination_that_is_down_here_too_is_tried_with_one_object_and_waits_longer_than_before(
    bench: Bench, leases: HandedLeases
) -> None:
    async def refuse(channel: int) -> None:
        raise DestinationDown("connection refused")

    bench.to().reach = refuse
    leases.standings["pacs"] = DestinationStanding(False, "no route to host", 3, 3600.0, '["of another version"]')
    leases.hand("pacs")
    bench.journal.add_many(20)
    with capture_logs() as logs:
        await bench.start(peer("pacs", retry=Retry(first_delay_s=3600.0, max_delay_s=36_000.0, jitter=0.0)))
        await bench.journal.until(lambda: leases.shared()["pacs"].failures == 4 and not bench.journal.leased())
    standing = leases.shared()["pacs"]
    assert standing.reason == "connection refused"
    assert standing.wait_s > 3600 * 2
    assert len(bench.journal.settlements) == 1, "of one try"
    (log,) = [each for each in logs if each["event"] == "refusals_not_read"]
    assert log["destination"] == "pacs"


async def test_what_another_node_accepted_is_looked_for_when_it_is_told(bench: Bench, leases: HandedLeases) -> None:
    leases.hand("pacs", "vna")
    await bench.start(peer("pacs"), peer("vna"))
    for destination in ("pacs", "vna"):
        bench.journal.add(destination)
    await bench.journal.until_all(DELIVERED)
    for destination in ("pacs", "vna"):
        bench.journal.add(destination, is_told=False)
    bench.service.look({"vna", "elsewhere"})
    await bench.journal.until_all(DELIVERED, "vna")
    assert bench.journal.states("pacs") == [DELIVERED, PENDING]
    bench.service.look(None)
    await bench.journal.until_all(DELIVERED)


async def test_a_destination_that_comes_is_worked_on(bench: Bench, leases: HandedLeases) -> None:
    bench.journal.add_many(3)
    await bench.start(peer())
    leases.hand("pacs")
    await bench.journal.until_all(DELIVERED)
    assert len(bench.opened) == 1


async def test_a_destination_that_goes_is_left_when_what_is_in_flight_has_ended(
    bench: Bench, leases: HandedLeases
) -> None:
    may_end = asyncio.Event()

    async def held(outbound: Outbound) -> Outcome:
        await may_end.wait()
        return Delivered()

    bench.to().behave = held
    bench.journal.add_many(30)
    leases.hand("pacs")
    await bench.start(peer(associations=2))
    await bench.journal.until(lambda: len(bench.to().sent) == 2)
    leases.hand()
    assert leases.have_ended == []
    may_end.set()
    await until_ended(leases, "pacs")
    assert bench.journal.states() == [DELIVERED] * 2 + [PENDING] * 28
    assert bench.journal.leased() == []
    assert bench.to().open_now == 0


async def test_what_is_in_flight_is_aborted_before_the_lease_ends(bench: Bench, leases: HandedLeases) -> None:
    async def silent(outbound: Outbound) -> Outcome:
        await asyncio.Event().wait()
        return Delivered()

    bench.to().behave = silent
    bench.journal.add_many(4)
    leases.hand("pacs")
    await bench.start(peer())
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    leases.seconds_left = 0.0
    leases.hand()
    await until_ended(leases, "pacs")
    assert bench.journal.states() == [PENDING] * 4
    assert bench.journal.leased() == []
    assert bench.to().open_now == 0


async def test_the_end_of_a_lease_is_looked_for_again_while_a_courier_ends(bench: Bench, leases: HandedLeases) -> None:
    async def silent(outbound: Outbound) -> Outcome:
        await asyncio.Event().wait()
        return Delivered()

    bench.to().behave = silent
    bench.journal.add()
    leases.hand("pacs")
    await bench.start(peer())
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    leases.seconds_left = 3600.0
    leases.hand()
    leases.seconds_left = 0.0
    await until_ended(leases, "pacs")
    assert bench.journal.states() == [PENDING]


async def test_nothing_is_begun_when_the_lease_is_over_by_the_clock_alone(bench: Bench, leases: HandedLeases) -> None:
    """Nobody has told the service yet."""

    async def last(outbound: Outbound) -> Outcome:
        leases.over.add("pacs")
        return Delivered()

    bench.to().behave = last
    bench.journal.add_many(10)
    leases.hand("pacs")
    await bench.start(peer())
    await bench.journal.until(lambda: DELIVERED in bench.journal.states())
    leases.hand()
    await until_ended(leases, "pacs")
    assert bench.to().sent == ["1.2.3.1"]
    assert bench.journal.states() == [DELIVERED] + [PENDING] * 9
    assert bench.journal.leased() == []


async def test_nothing_is_sent_over_an_association_that_was_opened_too_late(bench: Bench, leases: HandedLeases) -> None:
    async def slowly(number: int) -> None:
        leases.over.add("pacs")

    bench.to().reach = slowly
    bench.journal.add()
    leases.hand("pacs")
    await bench.start(peer())
    await bench.journal.until(lambda: "pacs" in leases.over)
    leases.hand()
    await until_ended(leases, "pacs")
    assert bench.to().sent == []
    assert bench.journal.states() == [PENDING]


async def test_what_cannot_be_given_back_ends_the_service(
    bench: Bench, leases: HandedLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(outbound: Outbound) -> Outcome:
        await asyncio.Event().wait()
        return Delivered()

    async def broken(settlements: object) -> list[bool]:
        raise QueueBroken("damaged")

    bench.to().behave = silent
    bench.journal.add()
    leases.hand("pacs")
    await bench.start(peer())
    await bench.journal.until(lambda: len(bench.to().sent) == 1)
    monkeypatch.setattr(bench.journal, "settle", broken)
    leases.seconds_left = 0.0
    leases.hand()
    with pytest.raises(QueueBroken):
        await asyncio.wait_for(bench.service.run(), 60.0)
    assert leases.have_ended == []


async def test_rules_are_checked_for_all_destinations_whoever_works_on_them(bench: Bench) -> None:
    bench.refusing.add("pacs")
    with pytest.raises(ConfigurationError, match="pacs cannot be made"):
        await bench.start(peer())


async def test_new_settings_hold_for_a_destination_that_comes_later(bench: Bench, leases: HandedLeases) -> None:
    await bench.start(peer(port=104))
    await reload(bench.service, table(peer(port=11112)))
    await reload(bench.service, table(peer(port=11112)))
    leases.hand("pacs")
    bench.journal.add()
    await bench.journal.until_all(DELIVERED)
    assert [each.port for each in bench.opened] == [104, 11112]


async def test_a_removed_destination_is_left(bench: Bench, leases: HandedLeases) -> None:
    leases.hand("pacs", "vna")
    await bench.start(peer("pacs"), peer("vna"))
    await reload(bench.service, table(peer("vna")))
    await until_ended(leases, "pacs")
    assert [row.destination for row in bench.service.status()] == ["vna"]


async def test_draining_releases_all_at_the_very_end(bench: Bench, leases: HandedLeases) -> None:
    bench.journal.add_many(3)
    leases.hand("pacs")
    await bench.start(peer())
    assert await bench.service.drain(60.0)
    assert leases.is_released
    assert bench.journal.leased() == []


async def test_leases_that_move_at_random_lose_double_and_overtake_nothing() -> None:
    """Three nodes over one queue: one of them sends to a destination at a time, in order, each object once."""
    random, journal = Random(7), MemoryJournal(real_clock)
    pacs, handed = ScriptedDestination(), [HandedLeases() for _ in range(3)]
    benches = [Bench(journal, real_clock, leases=each, destinations={"pacs": pacs}) for each in handed]

    async def quickly(outbound: Outbound) -> Outcome:
        await asyncio.sleep(random.random() * 0.002)
        return Delivered()

    pacs.behave = quickly
    for bench in benches:
        await bench.start(peer())
    for holder in [*range(3), 0, 2, 1, 0] * 3:
        journal.add_many(20)
        leases = handed[holder]
        leases.have_ended.clear()
        leases.hand("pacs")
        await journal.until(
            lambda: len(pacs.sent) % 20 > random.randrange(20) or DeliveryState.PENDING not in journal.states()
        )
        leases.hand()
        await until_ended(leases, "pacs")
    handed[0].hand("pacs")
    await journal.until_all(DELIVERED)
    assert pacs.sent == [f"1.2.3.{number}" for number in range(1, len(journal.rows) + 1)]
    assert pacs.most_open == 1
    for bench in benches:
        assert await bench.service.drain(60.0)
