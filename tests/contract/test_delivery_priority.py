"""What every store does by priority: the order of claims, and what an operator changes; run against each one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.likeness import ExcludedLikenesses, alone, likeness_of
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.delivery_queue import IN_ORDER, ONLY_PASSING, ONLY_URGENT, URGENT_LOOKED_AT, ClaimOrder
from gateway.ports.store import Store
from tests.support.samples import Clock, instance
from tests.support.store_rig import LEASE_S, accept, settle_all, uids

URGENT, NORMAL, LOW = Priority
ALL = DeliveryFilter()


def put(queue: Store, clock: Clock, *priorities: Priority, first: int = 1, passes: bool = False) -> None:
    """One delivery each, in this order, a second apart; the first one has the number `first`."""
    for number, priority in enumerate(priorities, start=first):
        dispatch = Dispatch("all", "pacs", priority=priority, passes_window=passes)
        accept(queue, (instance(number), [dispatch]), clock=clock)
        clock.advance(1)


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    return [int(uid.rpartition(".")[2]) for uid in uids([*deliveries])]


def claim(
    queue: Store,
    clock: Clock,
    limit: int = 10,
    order: ClaimOrder = IN_ORDER,
    apart: ExcludedLikenesses | None = None,
) -> list[Delivery]:
    with queue.transaction():
        return queue.deliveries.claim("pacs", limit, LEASE_S, clock(), apart, order)


def test_what_is_accepted_comes_back_with_its_priority(queue: Store, clock: Clock) -> None:
    put(queue, clock, URGENT, passes=True)
    put(queue, clock, NORMAL, LOW, first=2)
    found = [(each.priority, each.passes_window) for each in claim(queue, clock)]
    assert found == [(URGENT, True), (NORMAL, False), (LOW, False)]
    assert all(type(priority) is Priority for priority, _ in found)


@pytest.mark.parametrize(
    ("limit", "order", "expected"),
    [
        (10, IN_ORDER, [3, 6, 2, 5, 1, 4]),
        (3, IN_ORDER, [3, 6, 2]),
        (3, ClaimOrder(lower=1), [3, 6, 1]),
        (3, ClaimOrder(lower=2), [3, 1, 2]),
        (1, ClaimOrder(lower=1), [1]),
        (10, ClaimOrder(lower=4), [3, 6, 2, 5, 1, 4]),
        (10, ONLY_URGENT, [3, 6]),
        (1, ONLY_URGENT, [3]),
        (10, ONLY_PASSING, []),
    ],
)
def test_a_claim_takes_by_priority_then_in_the_order_of_arrival(
    queue: Store, clock: Clock, limit: int, order: ClaimOrder, expected: list[int]
) -> None:
    put(queue, clock, LOW, NORMAL, URGENT, LOW, NORMAL, URGENT)
    assert numbers(claim(queue, clock, limit, order)) == expected


def test_an_urgent_one_is_found_behind_any_number_of_others(queue: Store, clock: Clock) -> None:
    put(queue, clock, *[LOW, NORMAL] * 40)
    assert len(claim(queue, clock, 5)) == 5
    put(queue, clock, URGENT, first=100)
    assert numbers(claim(queue, clock, 1)) == [100]


def test_a_lower_one_is_found_behind_any_number_of_others_and_before_them(queue: Store, clock: Clock) -> None:
    put(queue, clock, *[LOW] * 30, NORMAL)
    assert numbers(claim(queue, clock, 1)) == [31]
    put(queue, clock, NORMAL, first=32)
    assert numbers(claim(queue, clock, 2)) == [32, 1]
    put(queue, clock, NORMAL, first=33)
    assert numbers(claim(queue, clock, 1, ClaimOrder(lower=1))) == [2]


def test_what_is_under_a_lease_is_taken_by_nobody_and_comes_back_in_its_place(queue: Store, clock: Clock) -> None:
    put(queue, clock, NORMAL, URGENT, URGENT)
    first = claim(queue, clock, 2)
    assert numbers(first) == [2, 3]
    assert numbers(claim(queue, clock)) == [1]
    settle_all(queue, first, DeliveryState.PENDING)
    assert numbers(claim(queue, clock)) == [2, 3]


def test_a_delivery_that_waits_for_a_later_try_holds_up_no_other(queue: Store, clock: Clock) -> None:
    put(queue, clock, URGENT, NORMAL)
    (urgent,) = claim(queue, clock, 1)
    settle_all(queue, [urgent], DeliveryState.PENDING, "later")
    with queue.transaction():
        queue.administration.set_priority(ALL, URGENT)
    assert numbers(claim(queue, clock)) == [1, 2]


def test_only_what_passes_a_window_is_taken_while_it_is_urgent(queue: Store, clock: Clock) -> None:
    put(queue, clock, URGENT)
    put(queue, clock, LOW, URGENT, NORMAL, URGENT, first=2, passes=True)
    assert numbers(claim(queue, clock, 10, ONLY_PASSING)) == [3, 5]
    with queue.transaction():
        queue.administration.set_priority(ALL, URGENT)
    assert numbers(claim(queue, clock, 10, ONLY_PASSING)) == [2, 4]
    assert numbers(claim(queue, clock, 10)) == [1]


def test_urgent_ones_are_taken_apart_from_what_is_refused(queue: Store, clock: Clock) -> None:
    put(queue, clock, URGENT, URGENT, NORMAL)
    like = dataclasses.replace(instance(9), study_instance_uid="1.9")
    accept(queue, (like, [Dispatch("all", "pacs", priority=URGENT)]), clock=clock)
    refused = ExcludedLikenesses((alone(likeness_of(instance(1))),))
    assert numbers(claim(queue, clock, 10, ONLY_URGENT, refused)) == [9]


def test_a_look_for_urgent_ones_is_bounded(queue: Store, clock: Clock) -> None:
    assert URGENT_LOOKED_AT >= 512
    dispatch = Dispatch("all", "pacs", priority=URGENT)
    accept(queue, *((instance(number), [dispatch]) for number in range(1, 30)), clock=clock)
    assert numbers(claim(queue, clock, 7, ONLY_URGENT)) == [1, 2, 3, 4, 5, 6, 7]


Verb = Callable[[Store, Clock], int]
VERBS: dict[str, Verb] = {
    "retry": lambda queue, clock: queue.administration.retry(ALL, clock()),
    "hold and release": lambda queue, clock: (
        queue.administration.hold(ALL) and queue.administration.release(ALL, clock())
    ),
    "retarget": lambda queue, clock: queue.administration.retarget(ALL, clock(), "pacs"),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.DEAD])
def test_verbs_leave_the_priority(queue: Store, clock: Clock, verb: Verb, state: DeliveryState) -> None:
    put(queue, clock, NORMAL)
    put(queue, clock, URGENT, LOW, first=2, passes=True)
    if state is DeliveryState.DEAD:
        settle_all(queue, claim(queue, clock), state)
    with queue.transaction():
        assert verb(queue, clock) == 3
    found = claim(queue, clock)
    expected = [(URGENT, True), (NORMAL, False), (LOW, True)]
    assert [(each.priority, each.passes_window) for each in found] == expected
    assert numbers(found) == [2, 1, 3]


def test_what_is_sent_again_has_the_priority_of_the_first_time(queue: Store, clock: Clock) -> None:
    put(queue, clock, NORMAL)
    put(queue, clock, URGENT, first=2, passes=True)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.administration.send_again(ALL, clock()) == 2
    assert numbers(claim(queue, clock, 10, ONLY_PASSING)) == [2]


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD])
def test_an_operator_changes_the_priority_of_what_waits(queue: Store, clock: Clock, state: DeliveryState) -> None:
    put(queue, clock, NORMAL, NORMAL)
    if state is DeliveryState.DEAD:
        settle_all(queue, claim(queue, clock), state)
    with queue.transaction():
        if state is DeliveryState.HELD:
            queue.administration.hold(ALL)
        second = queue.administration.list(ALL, 10)[1]
        assert queue.administration.set_priority(DeliveryFilter(ids=(second.delivery_id,)), URGENT) == 1
    assert [each.priority for each in queue.administration.list(ALL, 10)] == [NORMAL, URGENT]
    assert numbers(queue.administration.list(DeliveryFilter(priority=URGENT), 10)) == [2]
    assert queue.administration.count(DeliveryFilter(priority=NORMAL), (state,)) == 1
    with queue.transaction():
        queue.administration.retry(ALL, clock())
        queue.administration.release(ALL, clock())
    assert numbers(claim(queue, clock)) == [2, 1]


def test_what_is_being_sent_and_what_is_delivered_keeps_its_priority(queue: Store, clock: Clock) -> None:
    put(queue, clock, NORMAL, NORMAL, NORMAL)
    first, second = claim(queue, clock, 2)
    settle_all(queue, [first], DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.administration.set_priority(ALL, LOW) == 1
    assert [each.priority for each in queue.administration.list(ALL, 10)] == [NORMAL, NORMAL, LOW]
    clock.advance(LEASE_S)
    with queue.transaction():
        assert queue.administration.set_priority(DeliveryFilter(ids=(second.delivery_id,)), URGENT) == 1
    assert numbers(claim(queue, clock)) == [2, 3]


def test_a_duplicate_of_what_is_owed_changes_no_priority(queue: Store, clock: Clock) -> None:
    put(queue, clock, NORMAL)
    (answer,) = accept(queue, (instance(1), [Dispatch("other", "pacs", priority=URGENT)]), clock=clock)
    assert answer.deliveries == 0
    assert [each.priority for each in claim(queue, clock)] == [NORMAL]
