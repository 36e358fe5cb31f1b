"""Deliveries that go over one association, in every `DeliveryQueue`: they are claimed together and in their order."""

from __future__ import annotations

from datetime import timedelta

from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.ports.store import Store
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, LEASE_S, accept, claim, settle_all, uids

PENDING, HELD, DELIVERED = DeliveryState.PENDING, DeliveryState.HELD, DeliveryState.DELIVERED


def of_bundle(place: int, bundle: str = "1.2", destination: str = "pacs", state: DeliveryState = PENDING) -> Dispatch:
    return Dispatch("all", destination, "", state, bundle=bundle, bundle_place=place)


def uid(*numbers: int) -> list[str]:
    return [f"1.2.3.4.5.{number}" for number in numbers]


def claim_bundle(
    queue: Store, clock: Clock, bundle: str = "1.2", limit: int = 10, destination: str = "pacs"
) -> list[Delivery]:
    with queue.transaction(is_durable=False):
        return queue.deliveries.claim_bundle(destination, bundle, limit, LEASE_S, clock())


def test_a_bundle_is_claimed_in_its_order_and_nothing_else_is(queue: Store, clock: Clock) -> None:
    smallest, largest = -(1 << 63), (1 << 63) - 1
    accept(
        queue,
        *((instance(1), [of_bundle(largest)]), (instance(2), [of_bundle(3), of_bundle(3, destination="vna")])),
        *((instance(3), [TO_PACS]), (instance(4), [of_bundle(-5)]), (instance(5), [of_bundle(1, "1.3")])),
        *(
            (instance(6), [of_bundle(smallest)]),
            (instance(7), [of_bundle(3)]),
            (instance(8), [of_bundle(0, state=HELD)]),
        ),
        clock=clock,
    )
    taken = claim_bundle(queue, clock)
    assert uids(taken) == uid(6, 4, 2, 7, 1)
    assert [(each.bundle, each.bundle_place) for each in taken] == [
        *(("1.2", smallest), ("1.2", -5), ("1.2", 3), ("1.2", 3), ("1.2", largest))
    ]
    assert claim_bundle(queue, clock) == []
    assert uids(claim(queue, clock)) == uid(3, 5)
    assert settle_all(queue, taken, DELIVERED) == 5
    assert uids(claim_bundle(queue, clock, destination="vna")) == uid(2)


def test_pages_follow_in_the_order(queue: Store, clock: Clock) -> None:
    accept(queue, *((instance(number), [of_bundle(-number)]) for number in range(1, 8)), clock=clock)
    pages = [uids(claim_bundle(queue, clock, limit=3)) for _ in range(4)]
    assert pages == [uid(7, 6, 5), uid(4, 3, 2), uid(1), []]


def test_what_is_not_due_stays_and_a_lease_fences(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [of_bundle(1)]), (instance(2), [of_bundle(2)]), clock=clock)
    first, second = claim_bundle(queue, clock)
    later = settlement(first, PENDING, due_at=NOON + timedelta(hours=1), reason="busy")
    with queue.transaction():
        assert queue.deliveries.settle([later]) == [True]
    clock.advance(LEASE_S + 1)
    (again,) = claim_bundle(queue, clock)
    assert (uids([again]), again.lease) == (uid(2), second.lease + 1)
    assert settle_all(queue, [second], DELIVERED) == 0
    clock.advance(3600.0)
    assert uids(claim_bundle(queue, clock, limit=1)) == uid(1)


def test_what_is_given_back_is_claimed_again_at_its_place(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [of_bundle(1)]), (instance(2), [of_bundle(2)]), clock=clock)
    (first,) = claim_bundle(queue, clock, limit=1)
    with queue.transaction():
        assert queue.deliveries.settle([settlement(first, PENDING, due_at=first.due_at, is_attempt=False)]) == [True]
    assert uids(claim_bundle(queue, clock)) == uid(1, 2)


def test_what_is_sent_again_is_of_the_same_bundle(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [of_bundle(4)]), (instance(2), [of_bundle(-4)]), clock=clock)
    settle_all(queue, claim_bundle(queue, clock), DELIVERED)
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 2
    taken = claim_bundle(queue, clock)
    assert [(*uids([each]), each.bundle_place) for each in taken] == [(*uid(2), -4), (*uid(1), 4)]


def test_an_equal_object_is_absorbed_whatever_its_place(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [of_bundle(1)]), clock=clock)
    (answer,) = accept(queue, (instance(1), [of_bundle(1)]), clock=clock)
    assert answer.deliveries == 0
