"""Collections after a mishap, on each database: a clock that was set back, bytes or a row that cannot be read."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.delivery.collection_steps import advance, complete_now
from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.collections import CollectionFilter
from gateway.ports.store import Store
from tests.support.samples import Clock, instance, settlement
from tests.support.store_rig import DATABASES

pytestmark = pytest.mark.parametrize("queue", DATABASES, indirect=True)

CHEST = Membership(CollectionTerms("chest"), "1.2.3", patient="p")
WAITS = Dispatch("r", "pacs", collection=CHEST)
EVERY = CollectionFilter()


def test_a_clock_that_is_set_back_ends_no_collection_and_holds_none_up(queue: Store, clock: Clock) -> None:
    with queue.transaction():
        queue.deliveries.accept([(instance(1), [WAITS])], clock.advance(400 * 86400))
    clock.advance(-400 * 86400)
    with queue.transaction():
        queue.deliveries.accept([(instance(2), [Dispatch("r", "vna")])], clock())
        assert queue.deliveries.claim("pacs", 10, 900.0, clock()) == []
    (found,) = queue.collections.list(EVERY, 10)
    assert (found.opened_at, found.last_arrival_at, found.deadline_at) == (clock(), clock(), clock())
    assert found.at_most_at == clock() + found.terms.at_most
    clock.advance(60)
    with queue.transaction():
        assert advance(queue, found.collection_id, lambda _: False).is_completed
        assert len(queue.deliveries.claim("pacs", 10, 900.0, clock())) == 1
    with queue.transaction():
        queue.deliveries.accept([(instance(3), [Dispatch("r", "vna")])], clock.advance(400 * 86400))
    clock.advance(-401 * 86400)
    with queue.transaction():
        queue.deliveries.accept([(instance(4), [Dispatch("r", "vna")])], clock())
    (found,) = queue.collections.list(EVERY, 10)
    assert (found.completed_at, found.deadline_at) == (clock(), clock() + found.terms.late_for)


def test_the_same_bytes_are_taken_again_where_what_is_owed_cannot_be_read(queue: Store, clock: Clock) -> None:
    arrival = [(instance(1), [WAITS])]
    with queue.transaction():
        queue.deliveries.accept(arrival, clock())
    clock.advance(60)
    with queue.transaction():
        (found,) = queue.collections.list(EVERY, 10)
        assert advance(queue, found.collection_id, lambda _: False).is_completed
        assert [each.deliveries for each in queue.deliveries.accept(arrival, clock())] == [0]
        assert [each.deliveries for each in queue.deliveries.accept(arrival, clock(), lambda _: False)] == [1]
    with queue.transaction():
        claimed = queue.deliveries.claim("pacs", 10, 900.0, clock())
        queue.deliveries.settle([settlement(each, DeliveryState.DELIVERED, due_at=clock()) for each in claimed])
        assert [each.deliveries for each in queue.deliveries.accept(arrival, clock(), lambda _: False)] == [0]
    (found,) = queue.collections.list(EVERY, 10)
    assert (len(claimed), found.instances, found.late, found.repeated) == (2, 1, 1, 2)


def test_a_row_that_cannot_be_read_stays_and_nothing_of_its_study_is_lost(queue: Store, clock: Clock) -> None:
    newer = dataclasses.replace(CHEST, terms=CollectionTerms("chest", late="sometimes"))  # type: ignore[arg-type]
    with queue.transaction():
        queue.deliveries.accept([(instance(1), [dataclasses.replace(WAITS, collection=newer)])], clock())
    clock.advance(7200)
    (found,) = queue.collections.list(EVERY, 10)
    assert (found.terms.name, found.is_undecidable) == ("chest", True)
    with queue.transaction():
        step = advance(queue, found.collection_id, lambda _: False)
        assert (step.problem != "", step.is_completed) == (True, False)
        assert [each.deliveries for each in queue.deliveries.accept([(instance(2), [WAITS])], clock())] == [1]
    assert [(one.state, one.instances) for one in queue.collections.newest(EVERY, 10)] == [(found.state, 2)]
    with queue.transaction():
        complete_now(queue, found.collection_id)
        assert advance(queue, found.collection_id, lambda _: False).is_completed, "an operator's word is known"
        assert len(queue.deliveries.claim("pacs", 10, 900.0, clock())) == 2
