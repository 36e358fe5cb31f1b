"""Only what a verb changed is kept, and nothing of what is under a lease."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.operations.kept_changes import drop_old_changes, kept_changes
from gateway.operations.store_on_file import StoreOnFile
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.operation_log import OperationState
from gateway.ports.undo_log import DeliveryChange
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import NOON, TO_PACS, Clock, an_operation, instance
from tests.support.store_rig import accept, claim


def test_what_stays_as_it_is_is_not_kept() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    accept(store, *((instance(number), [TO_PACS]) for number in range(1, 5)), clock=clock)
    (leased,) = claim(store, clock, limit=1)
    with store.transaction(), kept_changes(store, 5, (1, 2, 3, 99)):
        store.administration.hold(DeliveryFilter(ids=(1, 2)))
    assert leased.delivery_id == 1
    assert [each.delivery_id for each in store.undo.changes_of(5, 0, 9)] == [2]


def test_a_row_under_a_lease_that_is_over_is_not_kept() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    accept(store, (instance(1), [TO_PACS]), clock=clock)
    claim(store, clock)
    clock.at += timedelta(hours=1)
    with store.transaction(), kept_changes(store, 5, (1,)):
        assert store.administration.hold(DeliveryFilter(ids=(1,))) == 1
    assert store.undo.changes_of(5, 0, 9) == []


STATES = {
    "one that is over": ("complete", 61, [2, 3]),
    "one that is over a moment ago": ("complete", 59, [1, 2, 3]),
    "one that was interrupted": ("interrupted", 61, [2, 3]),
    "one that goes on": ("running", 61, [1, 2, 3]),
    "one that was killed": ("running", 301, [2, 3]),
}


@pytest.mark.parametrize("name", STATES)
async def test_changes_are_dropped_up_to_the_first_operation_that_needs_them(name: str) -> None:
    """Operation 2 goes on, 3 has ended long ago."""
    state, age_s, kept = STATES[name]
    store, change = MemoryStore(Clock()), DeliveryChange(1, "", "x")
    first = an_operation(NOON - timedelta(seconds=age_s), state=OperationState(state))
    others = (an_operation(NOON), an_operation(NOON - timedelta(hours=1), state=OperationState.COMPLETE))
    for number, each in enumerate((first, *others), 1):
        assert store.operations.begin_operation(each) == number
        store.undo.keep_changes(number, [change])
    await drop_old_changes(StoreOnFile(store), NOON)
    assert [number for number in (1, 2, 3) if store.undo.changes_of(number, 0, 9)] == kept


async def test_all_changes_are_dropped_when_no_operation_needs_them() -> None:
    store = MemoryStore(Clock())
    await drop_old_changes(StoreOnFile(store), NOON)
    store.operations.begin_operation(an_operation(NOON - timedelta(hours=1)))
    store.undo.keep_changes(1, [DeliveryChange(key, "", "x") for key in range(2500)])
    await drop_old_changes(StoreOnFile(store), NOON)
    assert store.undo.changes_of(1, -1, 9) == []
