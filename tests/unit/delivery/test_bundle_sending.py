"""Bundles on their way: each over one channel with nothing else in it, in order, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from gateway.delivery import bundle_sending, feeder
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome, Refused
from gateway.model.peer import Retry
from gateway.model.priority import Priority
from gateway.ports.destination import Outbound
from gateway.ports.errors import DestinationDown
from tests.support.fakes.delivery import accept, peer
from tests.support.fakes.memory_journal import MR
from tests.unit.delivery.conftest import Bench

DELIVERED, DEAD = DeliveryState.DELIVERED, DeliveryState.DEAD


def uid(*numbers: int) -> list[str]:
    return [f"1.2.3.{number}" for number in numbers]


def add(bench: Bench, bundle: str, *places: int, **options: str) -> None:
    for place in places:
        bench.journal.add(bundle=bundle, bundle_place=place, **options)  # type: ignore[arg-type]


async def stopped_at(bench: Bench, number: int, then: Callable[[], None]) -> None:
    """The destination calls `then` while it has the object of this number in order."""

    async def behave(outbound: Outbound) -> Outcome:
        if len(bench.to().sent) == number:
            then()
        return await accept(outbound)

    bench.to().behave = behave


@pytest.mark.parametrize("associations", [1, 3])
async def test_studies_that_came_mixed_go_one_after_the_other_each_in_its_order(
    bench: Bench, associations: int
) -> None:
    add(bench, "1.2", 5)
    bench.journal.add()
    add(bench, "1.3", 9)
    add(bench, "1.2", 1, 3)
    bench.journal.add()
    add(bench, "1.3", 8)
    add(bench, "1.2", 2)
    await bench.start(peer(associations=associations))
    await bench.journal.until_all(DELIVERED)
    over = bench.to().over
    assert sorted(sent for is_undivided, sent in over if is_undivided) == [uid(4, 8, 5, 1), uid(7, 3)]
    assert sorted(each for is_undivided, sent in over if not is_undivided for each in sent) == uid(2, 6)


async def test_what_was_behind_a_backlog_goes_with_the_first(bench: Bench) -> None:
    add(bench, "1.2", 1000)
    bench.journal.add_many(2 * feeder.LARGEST_CLAIM)
    add(bench, "1.2", 2, 1)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    last = 2 * feeder.LARGEST_CLAIM + 3
    assert bench.to().over[0] == (True, uid(last, last - 1, 1))


async def test_what_comes_while_it_is_sent_goes_with_it(bench: Bench) -> None:
    add(bench, "1.2", 1, 2)
    await stopped_at(bench, 2, lambda: add(bench, "1.2", 0))
    await bench.start(peer())
    await bench.journal.until(lambda: bench.journal.states() == [DELIVERED] * 3)
    assert bench.to().over == [(True, uid(1, 2, 3))]


async def test_a_study_that_goes_on_and_on_lets_others_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_sending, "OTHERS_WAIT_S", 0.0)
    add(bench, "1.2", *range(50))
    number = 0

    async def behave(outbound: Outbound) -> Outcome:
        nonlocal number
        number += 1
        if number == 3:
            bench.journal.add(sop_instance_uid="1.9", priority=Priority.URGENT)
        if number < 500:
            add(bench, "1.2", 1000 + number)
        return await accept(outbound)

    bench.to().behave = behave
    await bench.start(peer())
    with capture_logs() as logs:
        await bench.journal.until_all(DELIVERED)
    assert bench.to().sent.index("1.9") < 300
    assert len(bench.to().sent) == 550
    assert "bundle_ended_for_others" in {entry["event"] for entry in logs}


async def test_more_than_may_be_in_hand_is_sent_in_pages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder, "MOST_IN_HAND", 40)
    add(bench, "1.2", *reversed(range(200)))
    most = 0

    async def behave(outbound: Outbound) -> Outcome:
        nonlocal most
        most = max(most, len(bench.journal.leased()))
        return await accept(outbound)

    bench.to().behave = behave
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert [len(sent) for _, sent in bench.to().over] == [200]
    assert most < 40 + feeder.LARGEST_CLAIM
    numbers = [int(each.rpartition(".")[2]) for each in bench.to().sent]
    assert numbers[:8] == [200, 199, 198, 197, 196, 195, 194, 193]


async def test_one_that_is_refused_does_not_stop_the_rest(bench: Bench) -> None:
    async def behave(outbound: Outbound) -> Outcome:
        return Refused("no", 0xC000) if outbound.sop_instance_uid == "1.2.3.2" else Delivered()

    bench.to().behave = behave
    add(bench, "1.2", 1, 2, 3)
    await bench.start(peer())
    await bench.journal.until(lambda: bench.journal.states() == [DELIVERED, DEAD, DELIVERED])
    assert bench.to().over == [(True, uid(1, 2, 3))]


async def test_the_association_is_made_for_all_that_is_to_come(bench: Bench) -> None:
    add(bench, "1.2", 1)
    add(bench, "1.2", 2, sop_class_uid=MR)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert {kind[0] for kind in bench.to().prepared[0]} == {MR, bench.journal.rows[1].instance.sop_class_uid}


async def test_more_contexts_than_an_association_can_have_are_said(bench: Bench) -> None:
    for number in range(65):
        add(bench, "1.2", number, sop_class_uid=f"1.2.840.{number}")
    with capture_logs() as logs:
        await bench.start(peer())
        await bench.journal.until_all(DELIVERED)
    (line,) = (line for line in logs if line["event"] == "bundle_divided")
    assert (line["destination"], line["associations"]) == ("pacs", 2)


async def test_a_destination_that_is_down_gets_the_first_one_alone_then_the_rest_in_order(bench: Bench) -> None:
    tries = 0

    async def reach(number: int) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise DestinationDown("refused")

    bench.to().reach = reach
    add(bench, "1.2", 3, 2, 1)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    assert bench.to().over == [(True, uid(3, 2, 1))]
    assert all(row.attempts <= 3 for row in bench.journal.rows.values())


async def test_when_the_destination_goes_down_the_rest_is_sent_later_in_order(bench: Bench) -> None:
    async def behave(outbound: Outbound) -> Outcome:
        if len(bench.to().sent) == 2:
            return Deferred("gone", is_destination_down=True)
        return Delivered()

    bench.to().behave = behave
    add(bench, "1.2", 4, 3, 2, 1)
    await bench.start(peer())
    await bench.journal.until_all(DELIVERED)
    first, *others = [sent for is_undivided, sent in bench.to().over if is_undivided]
    assert first == uid(4, 3)
    later = [each for sent in others for each in sent]
    assert later in (uid(3, 2, 1), uid(2, 3, 1), uid(2, 1, 3)), "the one that failed waits for its next try"


async def test_what_is_left_when_the_courier_stops_is_given_back(bench: Bench) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def behave(outbound: Outbound) -> Outcome:
        reached.set()
        await go_on.wait()
        return Delivered()

    bench.to().behave = behave
    add(bench, "1.2", 1, 2, 3)
    await bench.start(peer())
    await asyncio.wait_for(reached.wait(), 60.0)
    draining = asyncio.ensure_future(bench.service.drain(60.0))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.wait_for(draining, 120.0)
    assert bench.journal.states() == [DELIVERED, DeliveryState.PENDING, DeliveryState.PENDING]
    assert bench.journal.leased() == []
    assert [row.is_doubtful for row in bench.journal.rows.values()] == [False] * 3


async def test_a_peer_that_takes_no_second_association_gets_the_bundle_over_the_first(bench: Bench) -> None:
    async def reach(number: int) -> None:
        if bench.to().open_now:
            raise DestinationDown("one at a time")

    bench.to().reach = reach
    bench.journal.add_many(20)
    add(bench, "1.2", 2, 1)
    await bench.start(peer(associations=2, retry=Retry(first_delay_s=0.02, max_delay_s=0.02, jitter=0.0)))
    await bench.journal.until_all(DELIVERED)
    assert [sent for is_undivided, sent in bench.to().over if is_undivided] == [uid(22, 21)]
    assert bench.to().most_open == 1


async def test_a_rate_has_each_object_wait_over_the_same_association(bench: Bench) -> None:
    add(bench, "1.2", 1, 2, 3)
    await bench.start(peer(objects_per_s=20.0))
    await bench.journal.until_all(DELIVERED)
    assert bench.to().over == [(True, uid(1, 2, 3))]
