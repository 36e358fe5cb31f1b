"""Pause and resume as operations: recorded with the change, or neither."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gateway.model.delivery import RULE_PAUSED, DeliveryState
from gateway.operations.operation_listing import list_operations
from gateway.operations.pausing import begin_pause, end_pause, paused, waiting_for
from gateway.operations.queue_administration import Operator
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.pauses import Pause, PausedKind
from gateway.ports.store import Store
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import NOON, TO_PACS, TO_VNA, Clock, instance, settlement

ANNA, BERT = Operator("anna", "it moves"), Operator("bert")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> StoreOnFile:
    store = MemoryStore(clock)
    with store.transaction():
        store.accept([(instance(1), [TO_PACS]), (instance(2), [TO_PACS, TO_VNA])], NOON)
    return StoreOnFile(store)


async def recorded(access: StoreOnFile) -> list[tuple[object, ...]]:
    fields = ("verb", "operator", "filter", "meant", "done", "state", "why")
    return [tuple(each[field] for field in fields) for each in await list_operations(access, 10, NOON)]


def of(kind: PausedKind, by: Operator, began_at: datetime = NOON) -> Pause:
    return Pause(kind, "pacs", by.name, by.why, began_at)


WAITING: dict[PausedKind, int] = {"destination": 2, "sender": 0, "rule": 0}
"""Kind → deliveries that a pause of `pacs` means."""


@pytest.mark.parametrize("kind", WAITING)
async def test_pause_and_resume_are_recorded(kind: PausedKind, access: StoreOnFile, clock: Clock) -> None:
    number = await waiting_for(access, kind, "pacs")
    assert number == WAITING[kind]
    assert await begin_pause(access, of(kind, ANNA), number) is None
    pause = (await paused(access, kind))["pacs"]
    assert (pause.operator, pause.why, pause.began_at) == ("anna", "it moves", NOON)
    ended_at = clock.advance(60)
    assert await end_pause(access, kind, "pacs", BERT, number, NOON)
    assert await paused(access, kind) == {}
    (kept,) = await access.read(lambda store: store.pauses.all_pauses())
    assert kept.resumed_at == ended_at, "in the queue's time"
    which = {kind: "pacs"}
    assert await recorded(access) == [
        ("resume", "bert", which, number, number, "complete", ""),
        ("pause", "anna", which, number, number, "complete", "it moves"),
    ]


async def test_twice_is_said_and_not_recorded(access: StoreOnFile) -> None:
    assert not await end_pause(access, "destination", "pacs", ANNA, 2, NOON)
    assert await begin_pause(access, of("destination", ANNA), 2) is None
    before = await begin_pause(access, of("destination", BERT, NOON + timedelta(hours=1)), 2)
    assert before is not None
    assert (before.operator, before.began_at) == ("anna", NOON)
    assert len(await recorded(access)) == 1


async def test_a_destination_and_a_sender_of_one_name_are_two(access: StoreOnFile) -> None:
    assert await begin_pause(access, of("destination", ANNA), 2) is None
    assert await paused(access, "sender") == {}
    assert not await end_pause(access, "sender", "pacs", ANNA, 0, NOON)
    assert await begin_pause(access, of("sender", ANNA), 0) is None
    assert await end_pause(access, "destination", "pacs", ANNA, 2, NOON)
    assert [*await paused(access, "sender")] == ["pacs"]


async def test_a_pause_of_a_rule_means_what_waits_or_is_held_for_it(access: StoreOnFile, clock: Clock) -> None:
    def hold(store: Store, reason: str) -> None:
        (claimed,) = store.deliveries.claim("pacs", 1, 60.0, clock())
        store.deliveries.settle([settlement(claimed, DeliveryState.HELD, reason=reason)])

    assert await waiting_for(access, "rule", TO_PACS.rule) == 3
    await access.write(lambda store: hold(store, "an operator"))
    assert await waiting_for(access, "rule", TO_PACS.rule) == 2
    await access.write(lambda store: hold(store, RULE_PAUSED))
    assert await waiting_for(access, "rule", TO_PACS.rule) == 2
