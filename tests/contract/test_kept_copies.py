"""What every `KeptCopies` must do; run against each implementation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from gateway.model.delivery import Delivery, DeliveryState
from gateway.operations.kept_changes import kept_changes
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.kept_copies import NOTHING_KEPT, KeptTotal
from gateway.ports.store import Store
from tests.support.samples import NOON, TO_PACS, TO_VNA, Clock, instance, settlement
from tests.support.store_rig import ANY, accept, claim, settle_all, uids

WEEK = timedelta(days=7)
SIZE = instance(1).payload.length_bytes


def deliver(queue: Store, deliveries: Sequence[Delivery], kept_until: datetime | None) -> None:
    with queue.transaction():
        settled = [
            dataclasses.replace(settlement(each, DeliveryState.DELIVERED), kept_until=kept_until) for each in deliveries
        ]
        assert all(queue.deliveries.settle(settled))


def keep_one(queue: Store, clock: Clock, number: int = 1, kept_for: timedelta = WEEK) -> int:
    """Its instance."""
    (accepted,) = accept(queue, (instance(number), [TO_PACS]), clock=clock)
    deliver(queue, claim(queue, clock), clock() + kept_for)
    return accepted.instance_id


def forgotten(queue: Store, now: datetime) -> int:
    with queue.transaction():
        return queue.deliveries.forget(now + timedelta(microseconds=1), 10)


def ended(queue: Store, now: datetime) -> int:
    with queue.transaction():
        return queue.kept.end_kept(now, 10)


def test_what_is_kept_is_forgotten_when_its_time_is_over_and_not_before(queue: Store, clock: Clock) -> None:
    kept = keep_one(queue, clock)
    assert queue.kept.kept_until(kept) == NOON + WEEK
    assert queue.kept.kept_total(10) == KeptTotal(1, SIZE, True, NOON + WEEK, NOON + WEEK)
    clock.advance(7 * 86400 - 1)
    assert ended(queue, clock()) == 0
    assert forgotten(queue, clock()) == 0
    clock.advance(1)
    assert ended(queue, clock()) == 1
    assert ended(queue, clock()) == 0
    assert forgotten(queue, NOON - timedelta(seconds=1)) == 0, "retention counts from its delivery"
    assert forgotten(queue, NOON) == 1
    assert queue.administration.list(ANY, 10) == []
    assert (queue.kept.kept_until(kept), queue.kept.kept_total(10)) == (None, NOTHING_KEPT)


def test_without_a_time_nothing_is_kept(queue: Store, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS]), clock=clock)
    deliver(queue, claim(queue, clock), None)
    assert queue.kept.kept_until(accepted.instance_id) is None
    assert queue.kept.kept_total(10) == NOTHING_KEPT
    assert forgotten(queue, clock()) == 1


def test_a_time_that_is_over_already_keeps_nothing(queue: Store, clock: Clock) -> None:
    keep_one(queue, clock, kept_for=timedelta())
    assert queue.kept.kept_total(10) == NOTHING_KEPT
    assert forgotten(queue, clock()) == 1


@pytest.mark.parametrize("first", ["pacs", "vna"])
def test_the_longest_time_counts_once_nothing_is_owed(queue: Store, clock: Clock, first: str) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    times = {"pacs": NOON + WEEK, "vna": NOON + timedelta(days=1)}
    for name in (first, *(times.keys() - {first})):
        assert queue.kept.kept_until(accepted.instance_id) is None, "it is owed"
        assert queue.kept.kept_total(10) == NOTHING_KEPT
        deliver(queue, claim(queue, clock, name), times[name])
    assert queue.kept.kept_until(accepted.instance_id) == NOON + WEEK


def test_one_destination_that_keeps_nothing_ends_nothing(queue: Store, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    deliver(queue, claim(queue, clock), NOON + WEEK)
    deliver(queue, claim(queue, clock, "vna"), None)
    assert queue.kept.kept_until(accepted.instance_id) == NOON + WEEK
    assert forgotten(queue, clock()) == 0


def test_a_discard_of_the_last_that_is_owed_leaves_the_copy(queue: Store, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    deliver(queue, claim(queue, clock), NOON + WEEK)
    with queue.transaction():
        assert queue.administration.discard(DeliveryFilter(destination="vna")) == 1
    assert queue.kept.kept_until(accepted.instance_id) == NOON + WEEK
    assert forgotten(queue, clock()) == 0


@pytest.mark.parametrize("state", [DeliveryState.DEAD, DeliveryState.HELD, DeliveryState.PENDING])
def test_what_is_owed_is_never_given_up(queue: Store, clock: Clock, state: DeliveryState) -> None:
    accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    deliver(queue, claim(queue, clock), NOON + timedelta(seconds=1))
    settle_all(queue, claim(queue, clock, "vna"), state)
    clock.advance(86400)
    with queue.transaction():
        assert queue.kept.end_oldest_kept(10) == (0, 0)
        assert queue.kept.end_kept(clock(), 10) == 0
    assert forgotten(queue, clock()) == 0


def test_the_oldest_go_first_when_room_is_short(queue: Store, clock: Clock) -> None:
    for number, days in ((1, 9), (2, 1), (3, 5)):
        keep_one(queue, clock, number, timedelta(days=days))
        clock.advance(1)
    assert queue.kept.kept_total(2) == KeptTotal(
        2, 2 * SIZE, False, NOON + timedelta(days=1, seconds=1), NOON + timedelta(days=9)
    )
    with queue.transaction():
        assert queue.kept.end_oldest_kept(2) == (2, 2 * SIZE)
    assert forgotten(queue, clock()) == 2
    assert uids(queue.administration.list(ANY, 10)) == ["1.2.3.4.5.3"]
    assert queue.kept.kept_total(10).number == 1


def test_what_is_kept_is_sent_again_and_kept_on(queue: Store, clock: Clock) -> None:
    kept = keep_one(queue, clock)
    clock.advance(6 * 86400)
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 1
    assert queue.kept.kept_until(kept) is None, "it is owed"
    with queue.transaction():
        assert queue.kept.end_oldest_kept(10) == (0, 0)
    clock.advance(2 * 86400)
    assert ended(queue, clock()) == 0, "its time was over, and it is owed"
    assert forgotten(queue, clock()) == 0
    deliver(queue, claim(queue, clock), clock() + WEEK)
    assert queue.kept.kept_until(kept) == clock() + WEEK


def test_the_time_of_a_copy_is_not_shortened_by_a_later_delivery(queue: Store, clock: Clock) -> None:
    kept = keep_one(queue, clock)
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 1
    deliver(queue, claim(queue, clock), clock() + timedelta(hours=1))
    assert queue.kept.kept_until(kept) == NOON + WEEK


def test_a_copy_that_is_given_up_and_not_forgotten_yet_is_sent_again(queue: Store, clock: Clock) -> None:
    keep_one(queue, clock)
    with queue.transaction():
        assert queue.kept.end_oldest_kept(10) == (1, SIZE)
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 1
    assert forgotten(queue, clock.advance(86400)) == 0
    assert len(claim(queue, clock)) == 1


def test_a_limit_ends_those_first_whose_time_ended_first(queue: Store, clock: Clock) -> None:
    keep_one(queue, clock, 1, timedelta(days=2))
    keep_one(queue, clock, 2, timedelta(days=1))
    clock.advance(3 * 86400)
    with queue.transaction():
        assert queue.kept.end_kept(clock(), 1) == 1
    assert forgotten(queue, clock()) == 1
    assert uids(queue.administration.list(ANY, 10)) == ["1.2.3.4.5.1"]


def test_an_exception_rolls_it_back(queue: Store, clock: Clock) -> None:
    kept = keep_one(queue, clock)

    def fail_midway() -> None:
        with queue.transaction():
            queue.kept.end_oldest_kept(10)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert queue.kept.kept_until(kept) == NOON + WEEK


def undone(queue: Store, ids: Sequence[int], change: Callable[[], object], *, adds: bool = False) -> int:
    """The number of deliveries that are put back after `change`."""
    with queue.transaction(), kept_changes(queue, 7, ids, adds=adds):
        change()
    with queue.transaction():
        return queue.undo.put_back(7, queue.undo.changes_of(7, 0, 10)).done


def test_a_discard_that_is_undone_leaves_no_copy_that_may_go(queue: Store, clock: Clock) -> None:
    (accepted,) = accept(queue, (instance(1), [TO_PACS, TO_VNA]), clock=clock)
    deliver(queue, claim(queue, clock), NOON + timedelta(days=1))
    (owed,) = queue.administration.list(DeliveryFilter(destination="vna"), 10)
    which = DeliveryFilter(ids=(owed.delivery_id,))
    assert undone(queue, [owed.delivery_id], lambda: queue.administration.discard(which, clock())) == 1
    assert queue.kept.kept_until(accepted.instance_id) is None
    clock.advance(2 * 86400)
    with queue.transaction():
        assert queue.kept.end_oldest_kept(10) == (0, 0)
        assert queue.kept.end_kept(clock(), 10) == 0
    assert forgotten(queue, clock()) == 0
    assert uids(claim(queue, clock, "vna")) == ["1.2.3.4.5.1"]


def test_what_was_sent_again_and_called_back_is_a_kept_copy_again(queue: Store, clock: Clock) -> None:
    kept = keep_one(queue, clock)
    (sent,) = queue.administration.list(ANY, 10)
    clock.advance(30)
    assert undone(queue, [sent.delivery_id], lambda: queue.administration.send_again(ANY, clock()), adds=True) == 1
    assert queue.kept.kept_until(kept) == NOON + WEEK
    assert forgotten(queue, clock()) == 0
