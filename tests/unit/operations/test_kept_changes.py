"""Only what a verb changed is kept, and nothing of what is under a lease."""

from __future__ import annotations

from datetime import timedelta

from gateway.operations.kept_changes import kept_changes
from gateway.ports.delivery_administration import DeliveryFilter
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import TO_PACS, Clock, instance
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
