"""A delivery that an operator corrects: what every `DeliveryAdministration` must do with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model.delivery import Delivery, DeliveryState, Dispatch
from gateway.model.priority import Priority
from gateway.ports.delivery_administration import CorrectedDelivery, DeliveryFilter
from gateway.ports.store import Store
from tests.support.samples import HELD, TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, accept, claim, settle_all

OLD, NEW = '[{"remove":["PatientName"]}]', '[{"set":{"PatientID":"ü 4711"}},{"remove":["PatientName"]}]'
HELD_AT_PACS = Dispatch("rule", "pacs", OLD, DeliveryState.HELD, reason="routes.yaml:7", priority=Priority.URGENT)


def correction(delivery_id: int = 1, **values: object) -> CorrectedDelivery:
    return replace(CorrectedDelivery(delivery_id, OLD, NEW, 7), **values)  # type: ignore[arg-type]


def only(queue: Store) -> Delivery:
    (found,) = queue.administration.list(ANY, 10)
    return found


@pytest.mark.parametrize("state", [DeliveryState.HELD, DeliveryState.DEAD])
def test_a_held_or_dead_one_goes_on_with_other_actions(queue: Store, clock: Clock, state: DeliveryState) -> None:
    accept(queue, (instance(1), [HELD_AT_PACS]), clock=clock)
    if state is DeliveryState.DEAD:
        with queue.transaction():
            queue.administration.release(ANY, clock())
        settle_all(queue, claim(queue, clock), DeliveryState.DEAD, "0xA900")
    clock.advance(5)
    before = only(queue)
    with queue.transaction():
        assert queue.administration.correct(correction(), clock())
    after = only(queue)
    assert (after.state, after.actions_json, after.corrected_by) == (DeliveryState.PENDING, NEW, 7)
    assert (after.due_at, after.renewed_at, after.created_at) == (clock(), clock(), before.created_at)
    assert after.reason == ("0xA900" if state is DeliveryState.DEAD else ""), "of the last attempt, not of being held"
    assert after.instance == before.instance, "the object stays as it arrived"
    (claimed,) = claim(queue, clock)
    assert (claimed.actions_json, claimed.corrected_by, claimed.priority) == (NEW, 7, Priority.URGENT)
    assert claimed.lease > before.lease
    with queue.transaction():
        assert queue.deliveries.settle([settlement(claimed)]) == [True]


def test_a_corrected_one_keeps_its_place_by_priority(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [HELD_AT_PACS]), *((instance(each), [TO_PACS]) for each in (2, 3)), clock=clock)
    clock.advance(5)
    with queue.transaction():
        assert queue.administration.correct(correction(), clock())
    assert [each.delivery_id for each in claim(queue, clock, limit=1)] == [1]


def test_what_changed_meanwhile_stays(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [HELD_AT_PACS]), clock=clock)
    before = only(queue)
    with queue.transaction():
        assert not queue.administration.correct(correction(former_json=""), clock()), "other actions"
        assert not queue.administration.correct(correction(99), clock()), "not there"
    assert only(queue) == before
    with queue.transaction():
        queue.administration.release(ANY, clock())
        assert not queue.administration.correct(correction(), clock()), "pending"
    assert (only(queue).actions_json, only(queue).corrected_by) == (OLD, 0)


def test_one_without_a_destination_stays(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [replace(HELD, actions_json=OLD)]), clock=clock)
    with queue.transaction():
        assert not queue.administration.correct(correction(), clock())
    assert only(queue).state is DeliveryState.HELD


@pytest.mark.parametrize("even_if_doubtful", [False, True])
def test_a_doubtful_one_is_corrected_on_demand_alone(queue: Store, clock: Clock, *, even_if_doubtful: bool) -> None:
    accept(queue, (instance(1), [replace(TO_PACS, actions_json=OLD)]), clock=clock)
    (claimed,) = claim(queue, clock)
    with queue.transaction():
        queue.deliveries.settle([settlement(claimed, DeliveryState.DEAD, is_doubtful=True)])
        done = queue.administration.correct(correction(), clock(), even_if_doubtful=even_if_doubtful)
    assert done is even_if_doubtful
    found = only(queue)
    assert (found.state is DeliveryState.PENDING, found.is_doubtful) == (even_if_doubtful, True)


def test_a_transaction_that_fails_corrects_nothing(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [HELD_AT_PACS]), clock=clock)
    before = only(queue)

    def fail() -> None:
        with queue.transaction():
            queue.administration.correct(correction(), clock())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert only(queue) == before
    assert claim(queue, clock) == []


def test_what_is_sent_again_is_known_as_corrected(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [HELD_AT_PACS]), clock=clock)
    with queue.transaction():
        queue.administration.correct(correction(), clock())
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.administration.send_again(ANY, clock()) == 1
    (again,) = queue.administration.list(DeliveryFilter(state=DeliveryState.PENDING), 10)
    assert (again.actions_json, again.corrected_by) == (NEW, 7)
