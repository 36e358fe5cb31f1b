"""Objects that a courier sends before the ones before them have their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.delivery.ready_line import ClaimedDelivery
from gateway.delivery.worker import Worker
from gateway.model.delivery import Deferred, Delivered, DeliveryState, Outcome, Refused
from gateway.ports.destination import Outbound
from gateway.ports.errors import DestinationDown
from gateway.sending.store_outcome import outcome_of
from tests.support.fakes.delivery import ScriptedChannel, ScriptedDestination, accept, peer
from tests.support.fakes.memory_journal import CT, EXPLICIT, MR
from tests.unit.delivery.conftest import Bench
from tests.unit.delivery.parts import Parts
from tests.unit.destinations.fakes import ASSOCIATION, outbound

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING


@pytest.fixture
async def there(bench: Bench) -> AsyncIterator[ScriptedDestination]:
    """The destination, which grants a window of three; what still waits at the end is delivered."""
    there = bench.to()
    there.window = 3
    yield there
    for _, answered in there.unanswered:
        answered(Delivered())


def uids(*numbers: int) -> list[str]:
    return [f"1.2.3.{number}" for number in numbers]


async def until_sent(bench: Bench, count: int) -> list[str]:
    await bench.journal.until(lambda: len(bench.to().sent) >= count)
    for _ in range(20):
        await asyncio.sleep(0)
    return bench.to().sent


def answer(there: ScriptedDestination, uid: str, outcome: Outcome | None) -> None:
    """The outcome of one that waits."""
    place = next(place for place, (waiting, _) in enumerate(there.unanswered) if waiting == uid)
    there.unanswered.pop(place)[1](outcome)


def lose(there: ScriptedDestination) -> None:
    """The line is gone: each that waits has no outcome."""
    waiting, there.unanswered = there.unanswered, []
    for _, answered in waiting:
        answered(None)


async def test_the_first_object_goes_alone_then_as_many_as_the_window(bench: Bench, there: ScriptedDestination) -> None:
    bench.journal.add_many(8)
    await bench.start(peer())
    assert await until_sent(bench, 4) == uids(1, 2, 3, 4)
    assert bench.journal.states() == [DELIVERED] + [PENDING] * 7 or bench.journal.states() == [PENDING] * 8
    answer(there, "1.2.3.3", Delivered())
    assert await until_sent(bench, 5) == uids(1, 2, 3, 4, 5)
    answer(there, "1.2.3.2", Delivered())
    answer(there, "1.2.3.5", Delivered())
    assert await until_sent(bench, 7) == uids(*range(1, 8))
    assert there.opened == 1


async def test_each_outcome_settles_its_own_delivery(bench: Bench, there: ScriptedDestination) -> None:
    bench.journal.add_many(4)
    await bench.start(peer())
    await until_sent(bench, 4)
    answer(there, "1.2.3.4", outcome_of(0xC000))
    answer(there, "1.2.3.2", Delivered(warning=0xB000))
    answer(there, "1.2.3.3", Delivered())
    attempts, name = bench.meter.counted, "gateway_delivery_attempts_total"
    await bench.journal.until(lambda: attempts[name, "pacs", "delivered"] + attempts[name, "pacs", "refused"] == 4)
    assert bench.journal.states() == [DELIVERED, DELIVERED, DELIVERED, DEAD]
    assert attempts[name, "pacs", "delivered"] == 3
    assert all(body.is_closed for body in bench.journal.opened)


async def test_objects_without_an_outcome_are_sent_again_alone_and_in_their_order(
    bench: Bench, there: ScriptedDestination
) -> None:
    alone: list[int] = []

    async def behave(outbound: Outbound) -> Outcome:
        alone.append(len(there.unanswered))
        return await accept(outbound)

    there.behave = behave
    bench.journal.add_many(6)
    await bench.start(peer())
    await until_sent(bench, 4)
    answer(there, "1.2.3.3", Delivered())
    await until_sent(bench, 5)
    lose(there)
    assert (await until_sent(bench, 9))[5:] == uids(2, 4, 5, 6)
    assert alone == [0, 0, 0, 0], "the first of the channel and the three that were lost"
    answer(there, "1.2.3.6", Delivered())
    await bench.journal.until_all(DELIVERED)
    assert bench.meter.counted["gateway_delivery_attempts_total", "pacs", "delivered"] == 6, "settled once each"


async def test_the_object_that_is_to_blame_is_found_among_those_that_were_lost(
    bench: Bench, there: ScriptedDestination
) -> None:
    async def behave(outbound: Outbound) -> Outcome:
        if outbound.sop_instance_uid == "1.2.3.3":
            return Deferred("the association ended", is_over_object=True)
        return await accept(outbound)

    there.behave = behave
    bench.journal.add_many(5)
    await bench.start(peer(associations=1))
    while DEAD not in bench.journal.states():
        await bench.journal.until(lambda: bool(there.unanswered) or DEAD in bench.journal.states())
        if any(uid == "1.2.3.3" for uid, _ in there.unanswered):
            lose(there)
        while there.unanswered and there.unanswered[0][0] != "1.2.3.3":
            there.unanswered.pop(0)[1](Delivered())
        bench.journal.add()  # others are taken in between
    dead = [place for place, state in enumerate(bench.journal.states()) if state is DEAD]
    assert dead == [2], "the others are innocent"


async def test_a_destination_that_is_gone_gets_none_of_them_and_each_stays_due(
    bench: Bench, there: ScriptedDestination
) -> None:
    bench.journal.add_many(4)
    await bench.start(peer())
    await until_sent(bench, 4)

    async def reach(number: int) -> None:
        raise DestinationDown("nobody listens")

    async def behave(outbound: Outbound) -> Outcome:
        raise DestinationDown("nobody listens")

    there.reach, there.behave = reach, behave
    lose(there)
    await bench.journal.until(lambda: bench.meter.values.get(("gateway_destination_up", "pacs")) == 0)
    await bench.journal.until(lambda: bench.journal.states()[0] is DELIVERED)
    assert bench.journal.states()[1:] == [PENDING] * 3
    there.reach, there.behave, there.window = None, accept, 1
    await bench.journal.until_all(DELIVERED)


async def test_another_kind_waits_until_all_are_answered(bench: Bench, there: ScriptedDestination) -> None:
    there.not_taken = {(MR, EXPLICIT)}
    bench.journal.add_many(3, sop_class_uid=CT)
    bench.journal.add(sop_class_uid=MR)
    await bench.start(peer())
    assert await until_sent(bench, 3) == uids(1, 2, 3)
    answer(there, "1.2.3.2", Delivered())
    assert await until_sent(bench, 3) == uids(1, 2, 3)
    answer(there, "1.2.3.3", Delivered())
    await bench.journal.until_all(DELIVERED)


async def test_an_object_that_is_refused_for_its_form_falls_back_alone(
    bench: Bench, there: ScriptedDestination
) -> None:
    bench.journal.add_many(3)
    await bench.start(peer(fallback=("1.2.840.10008.1.2",)))
    await until_sent(bench, 3)
    answer(there, "1.2.3.2", Refused("not in this form", is_about_form=True))
    await until_sent(bench, 3)
    answer(there, "1.2.3.3", Delivered())
    await bench.journal.until_all(DELIVERED)
    assert there.sent == uids(1, 2, 3, 2)


async def test_a_payload_that_is_lost_is_no_matter_of_the_others(bench: Bench, there: ScriptedDestination) -> None:
    bench.journal.add_many(4)
    bench.journal.lost = {bench.journal.rows[3].instance.payload.name}
    await bench.start(peer())
    await until_sent(bench, 3)
    for uid in uids(2, 4):
        answer(there, uid, Delivered())
    await bench.journal.until(lambda: PENDING not in bench.journal.states())
    assert bench.journal.states() == [DELIVERED, DELIVERED, DEAD, DELIVERED]


async def test_draining_waits_for_the_outcomes(bench: Bench, there: ScriptedDestination) -> None:
    bench.journal.add_many(4)
    await bench.start(peer())
    await until_sent(bench, 4)
    draining = asyncio.create_task(bench.service.drain(60.0))
    await asyncio.sleep(0)
    for uid in uids(2, 3):
        answer(there, uid, Delivered())
    lose(there)
    assert await draining
    assert bench.journal.states() == [DELIVERED, DELIVERED, DELIVERED, PENDING]
    assert bench.journal.leased() == []


async def test_a_drain_that_is_over_gives_back_what_has_no_outcome(bench: Bench, there: ScriptedDestination) -> None:
    bench.journal.add_many(4)
    await bench.start(peer())
    await until_sent(bench, 4)
    assert not await bench.service.drain(0.01)
    assert bench.journal.states() == [DELIVERED, PENDING, PENDING, PENDING]
    lose(there)
    assert bench.journal.states() == [DELIVERED, PENDING, PENDING, PENDING]


async def test_what_the_courier_cannot_do_with_an_outcome_reaches_it() -> None:
    """A fault of ours ends the courier, and is not left in a callback."""
    there, worker = ScriptedDestination(window=3), Worker()
    channel = await worker.channel(there, ASSOCIATION)
    await channel.prepare([(CT, EXPLICIT)])
    first = outbound("1.2.3", kind=(CT, EXPLICIT))
    await channel.send(first)
    windowed = worker.windowed(channel, (CT, EXPLICIT))
    assert windowed is channel

    def answered(outcome: Outcome) -> None:
        raise LookupError("a fault")

    claim = ClaimedDelivery(0.0, await Parts().claimed())
    assert await worker.begin(windowed, claim, first, answered, lambda claims: None) is None
    there.unanswered.pop()[1](Delivered())
    for step in (worker.room, worker.all_answered):
        with pytest.raises(LookupError, match="a fault"):
            await step()


async def test_a_channel_that_cannot_leave_outcomes_for_later_gets_one_object_after_the_other() -> None:
    """Whatever else it has, and whatever the channel before it could do."""

    class Wide(ScriptedChannel):
        window = 8

    there, worker = ScriptedDestination(window=3), Worker()
    channel = await worker.channel(there, ASSOCIATION)
    await channel.prepare([(CT, EXPLICIT)])
    await channel.send(outbound(kind=(CT, EXPLICIT)))
    assert worker.windowed(channel, (CT, EXPLICIT)) is channel
    assert worker.windowed(Wide(there, 2), (CT, EXPLICIT)) is None


async def test_new_settings_of_the_destination_take_another_channel() -> None:
    first, second, worker = ScriptedDestination(), ScriptedDestination(), Worker()
    assert worker.kept(first, ASSOCIATION) is None
    channel = await worker.channel(first, ASSOCIATION)
    assert worker.kept(first, ASSOCIATION) is channel
    assert worker.kept(second, ASSOCIATION) is None
    assert await worker.channel(second, ASSOCIATION) is not channel
    assert worker.kept(first, ASSOCIATION) is None
