"""Pause and resume as operations: recorded with the change, or neither."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.operations.operation_listing import list_operations
from gateway.operations.pausing import pause_destination, pause_of, resume_destination, waiting_for
from gateway.operations.queue_administration import Operator
from gateway.operations.store_on_file import StoreOnFile
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import NOON, TO_PACS, TO_VNA, Clock, instance

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


async def test_pause_and_resume_are_recorded(access: StoreOnFile, clock: Clock) -> None:
    number = await waiting_for(access, "pacs")
    assert await pause_destination(access, "pacs", ANNA, number, NOON) is None
    pause = await pause_of(access, "pacs")
    assert pause is not None
    assert (pause.operator, pause.why, pause.began_at) == ("anna", "it moves", NOON)
    ended_at = clock.advance(60)
    assert await resume_destination(access, "pacs", BERT, number, NOON)
    assert await pause_of(access, "pacs") is None
    (kept,) = await access.read(lambda store: store.pauses.all_pauses())
    assert kept.resumed_at == ended_at, "in the queue's time"
    which = {"destination": "pacs"}
    assert await recorded(access) == [
        ("resume", "bert", which, 2, 2, "complete", ""),
        ("pause", "anna", which, 2, 2, "complete", "it moves"),
    ]


async def test_twice_is_said_and_not_recorded(access: StoreOnFile) -> None:
    assert not await resume_destination(access, "pacs", ANNA, 2, NOON)
    assert await pause_destination(access, "pacs", ANNA, 2, NOON) is None
    before = await pause_destination(access, "pacs", BERT, 2, NOON + timedelta(hours=1))
    assert before is not None
    assert (before.operator, before.began_at) == ("anna", NOON)
    assert len(await recorded(access)) == 1
