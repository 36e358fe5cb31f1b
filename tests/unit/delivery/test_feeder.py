"""The feeder of one courier: what it claims, when, and what it gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.delivery.feeder import FIRST_CLAIM, URGENT_LOOK_S, by_number_of_gateways
from gateway.model.delivery import DeliveryState
from gateway.model.peer import Retry
from gateway.model.priority import EACH, Priority
from tests.support.fakes.memory_journal import CT, EXPLICIT, MR
from tests.unit.delivery.parts import Parts

GUARD_S = 60.0
FOREVER = Retry(first_delay_s=3600.0, max_delay_s=3600.0, jitter=0.0)


@asynccontextmanager
async def feeding(parts: Parts) -> AsyncIterator[Callable[[Callable[[], bool]], Awaitable[None]]]:
    """The feeder runs; gives a function that waits for a condition."""

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0)

    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(parts.feeder.run())
        yield until
        parts.feeder.stop()


async def test_a_batch_is_claimed_and_the_workers_hear_of_it() -> None:
    heard: list[int] = []
    parts = Parts(on_work=lambda: heard.append(len(parts.feeder.ready)))
    parts.journal.add_many(FIRST_CLAIM + 10)
    async with feeding(parts) as until:
        await until(lambda: bool(heard))
        assert heard == [FIRST_CLAIM]
        assert len(parts.state.ledger) == FIRST_CLAIM
        assert [parts.feeder.take()[1].delivery_id for _ in range(3)] == [1, 2, 3]


async def test_the_next_batch_is_claimed_when_half_of_the_last_one_is_begun() -> None:
    parts = Parts()
    parts.journal.add_many(3 * FIRST_CLAIM)
    async with feeding(parts) as until:
        await until(lambda: len(parts.feeder.ready) == FIRST_CLAIM)
        for _ in range(FIRST_CLAIM // 2 - 1):
            parts.feeder.take()
        claims = len(parts.journal.claims)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(parts.journal.claims) == claims
        parts.feeder.take()
        await until(lambda: len(parts.journal.claims) > claims)


async def test_what_is_not_begun_is_given_back_at_the_end() -> None:
    parts = Parts()
    ids = parts.journal.add_many(5)
    async with feeding(parts) as until:
        await until(lambda: len(parts.feeder.ready) == 5)
    assert not parts.feeder.ready
    await parts.settle()
    assert [(each.delivery_id, each.state, each.is_attempt) for each in parts.journal.settlements] == [
        (number, DeliveryState.PENDING, False) for number in ids
    ]


async def test_a_destination_that_is_down_is_probed_with_one_object() -> None:
    parts = Parts({"retry": FOREVER})
    parts.journal.add_many(5)
    parts.state.standing.fail(FOREVER, "connection refused")
    async with feeding(parts) as until:
        for _ in range(20):
            await asyncio.sleep(0)
        assert parts.journal.claims == []
        parts.state.standing.probe_now()
        parts.feeder.expect_more()
        await until(lambda: len(parts.feeder.ready) == 1)
        assert parts.journal.claims == [1]


async def test_the_old_are_given_up_together_while_the_destination_is_down() -> None:
    parts = Parts({"retry": Retry(first_delay_s=3600.0, max_delay_s=3600.0, jitter=0.0, give_up_after_s=60.0)})
    old = parts.journal.add_many(3, age_s=100.0)
    for number in old[:2]:
        parts.journal.store.rows[number].change(attempts=1)
    [young] = parts.journal.add_many(1)
    parts.state.standing.fail(parts.state.peer.retry, "connection refused")
    parts.feeder.is_sweep_due = True
    async with feeding(parts) as until:
        await until(lambda: not parts.feeder.is_sweep_due and not parts.state.ledger)
    await parts.settle()
    after = {each.delivery_id: (each.state, each.is_attempt) for each in parts.journal.settlements}
    assert after == {
        old[0]: (DeliveryState.DEAD, False),
        old[1]: (DeliveryState.DEAD, False),
        old[2]: (DeliveryState.PENDING, True),  # never tried: the failed contact was its try
        young: (DeliveryState.PENDING, False),
    }


async def test_every_kind_in_sight_stands_first_among_them_once() -> None:
    parts = Parts()
    for sop_class in (CT, MR, CT):
        parts.journal.add(sop_class_uid=sop_class)
    async with feeding(parts) as until:
        await until(lambda: len(parts.feeder.ready) == 3)
        ct, mr = (CT, EXPLICIT), (MR, EXPLICIT)
        assert parts.feeder.sight == {ct: (ct, mr), mr: (mr, ct)}


async def test_objects_that_came_through_as_many_gateways_stand_together() -> None:
    parts = Parts()
    for name in ("X+2", "X", "X+1", "X+2", "X"):
        parts.journal.add(implementation_version_name=name)
    batch = await parts.journal.claim("pacs", 9, 900.0)
    assert [delivery.delivery_id for delivery in by_number_of_gateways(batch)] == [2, 5, 3, 1, 4]
    assert by_number_of_gateways(batch[1:2]) == batch[1:2]


async def test_an_urgent_delivery_is_claimed_while_others_are_in_hand_and_goes_before_them() -> None:
    parts = Parts()
    parts.journal.add_many(FIRST_CLAIM)
    async with feeding(parts) as until:
        await until(lambda: len(parts.feeder.ready) == FIRST_CLAIM)
        urgent = parts.journal.add(priority=Priority.URGENT)
        parts.feeder.notify()
        parts.feeder.take()  # half of what is in hand is there still
        await asyncio.wait_for(
            until(lambda: urgent in {each.delivery.delivery_id for each in parts.feeder.ready}), GUARD_S
        )
        assert parts.feeder.take().delivery.delivery_id == urgent
        assert parts.feeder.take().delivery.delivery_id == 2


async def test_nothing_is_looked_for_while_nothing_came() -> None:
    parts = Parts()
    parts.journal.add_many(FIRST_CLAIM)
    async with feeding(parts) as until:
        await until(lambda: len(parts.feeder.ready) == FIRST_CLAIM)
        claims = len(parts.journal.claims)
        await asyncio.sleep(3 * URGENT_LOOK_S)
        assert len(parts.journal.claims) == claims


async def test_claims_of_one_leave_each_eighth_place_to_lower_priorities() -> None:
    parts = Parts({"retry": FOREVER})
    low = parts.journal.add(priority=Priority.LOW)
    parts.journal.add_many(20)
    async with feeding(parts) as until:
        order: list[int] = []
        for _ in range(10):
            await until(lambda: bool(parts.feeder.ready))
            order.append(parts.feeder.take().delivery.delivery_id)
    assert order.index(low) == EACH - 1
