"""Changes of operators that can be undone: what every `UndoLog` must do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.model.delivery import RULE_PAUSED, Delivery, DeliveryState, Dispatch
from gateway.model.priority import Priority
from gateway.operations.kept_changes import kept_changes
from gateway.ports.delivery_administration import CorrectedDelivery, DeliveryFilter
from gateway.ports.store import Store
from gateway.ports.undo_log import DeliveryChange, UndoCount
from tests.support.samples import TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, LEASE_S, accept, claim, settle_all

HELD_AT_PACS = Dispatch("rule", "pacs", "", DeliveryState.HELD, reason="routes.yaml:7")
OPERATION = 7
Verb = Callable[[Store, DeliveryFilter, Clock], object]


def retry(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.retry(which, clock())


def hold(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.hold(which)


def release(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.release(which, clock(), "vna")


def retarget(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.retarget(which, clock(), "vna")


def discard(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.discard(which, clock() + timedelta(minutes=2))


def priority(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.set_priority(which, Priority.URGENT)


def correct(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    edits = '[{"set":{"PatientID":"1"}}]'
    return [queue.administration.correct(CorrectedDelivery(key, "", edits, 9), clock()) for key in which.ids]


VERBS: dict[str, Verb] = {each.__name__: each for each in (retry, hold, release, retarget, discard, priority, correct)}


@pytest.fixture
def site(queue: Store, clock: Clock) -> Store:
    """1 dead at pacs after an attempt · 2 pending at pacs · 3 held for pacs."""
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DEAD, "0xC000")
    accept(queue, (instance(2), [TO_PACS]), (instance(3), [HELD_AT_PACS]), clock=clock)
    clock.advance(30)
    return queue


def rows(queue: Store) -> dict[int, Delivery]:
    return {each.delivery_id: each for each in queue.administration.list(ANY, 100)}


def without_token(found: dict[int, Delivery]) -> dict[int, dict[str, Any]]:
    names = [name for name in Delivery.__slots__ if name != "lease"]
    return {key: {name: getattr(each, name) for name in names} for key, each in found.items()}


def do(queue: Store, verb: Verb, clock: Clock, ids: tuple[int, ...] = (1, 2, 3), *, adds: bool = False) -> None:
    with queue.transaction(), kept_changes(queue, OPERATION, ids, adds=adds):
        verb(queue, DeliveryFilter(ids=ids), clock)


def put_back(queue: Store) -> UndoCount:
    changes = queue.undo.changes_of(OPERATION, 0, 100)
    looked_at = queue.undo.undoable(changes)
    with queue.transaction():
        counted = queue.undo.put_back(OPERATION, changes)
    assert counted == looked_at
    assert queue.undo.changes_of(OPERATION, 0, 100) == [], "nothing is undone twice"
    return counted


@pytest.mark.parametrize("name", VERBS)
def test_all_that_a_verb_changed_is_as_before(site: Store, clock: Clock, name: str) -> None:
    before = rows(site)
    do(site, VERBS[name], clock)
    changed = sum(rows(site).get(key) != row for key, row in before.items())
    assert changed
    clock.advance(5)
    assert put_back(site) == UndoCount(changed, 0, 0)
    after = rows(site)
    assert without_token(after) == without_token(before)
    assert [after[key].lease > before[key].lease for key in before].count(True) == changed
    (claimed,) = claim(site, clock)
    assert claimed.delivery_id == 2
    assert settle_all(site, [claimed], DeliveryState.DELIVERED) == 1
    assert claim(site, clock, "vna") == []


@pytest.mark.parametrize("name", ["retry", "release", "retarget"])
def test_what_was_claimed_since_stays_as_it_is(site: Store, clock: Clock, name: str) -> None:
    do(site, VERBS[name], clock)
    (first, *_) = [*claim(site, clock, "vna", 1), *claim(site, clock, "pacs", 1)]
    total = len(site.undo.changes_of(OPERATION, 0, 100))
    assert put_back(site) == UndoCount(total - 1, 1, 0)
    assert settle_all(site, [first], DeliveryState.DELIVERED) == 1, "its courier goes on"


def test_what_was_claimed_and_given_back_stays_too(site: Store, clock: Clock) -> None:
    do(site, retry, clock, (2,))
    claimed = claim(site, clock, "pacs", 1)
    settle_all(site, claimed, DeliveryState.PENDING)
    assert put_back(site) == UndoCount(0, 1, 0)


def test_what_another_operator_changed_since_stays(site: Store, clock: Clock) -> None:
    do(site, hold, clock)
    with site.transaction():
        site.administration.release(DeliveryFilter(ids=(2,)), clock())
    between = rows(site)[2]
    assert put_back(site) == UndoCount(1, 1, 0)
    assert rows(site)[2] == between


def test_an_object_whose_deliveries_were_discarded_stays_for_a_while(site: Store, clock: Clock) -> None:
    do(site, discard, clock)
    assert rows(site) == {}
    clock.advance(60)
    with site.transaction():
        assert site.deliveries.forget(clock(), 100) == 0
    assert put_back(site) == UndoCount(3, 0, 0)
    clock.advance(3600)
    with site.transaction():
        assert site.deliveries.forget(clock(), 100) == 0, "they owe again"


def test_what_is_forgotten_does_not_come_back(site: Store, clock: Clock) -> None:
    do(site, discard, clock)
    clock.advance(3600)
    with site.transaction():
        assert site.deliveries.forget(clock(), 1) == 1
    assert put_back(site) == UndoCount(2, 0, 1)


def send_again(queue: Store, which: DeliveryFilter, clock: Clock) -> object:
    return queue.administration.send_again(which, clock())


def test_what_is_sent_again_is_called_back_until_it_is_claimed(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), (instance(2), [TO_PACS]), clock=clock)
    settle_all(queue, claim(queue, clock), DeliveryState.DELIVERED)
    clock.advance(30)
    before = rows(queue)
    do(queue, send_again, clock, (1, 2), adds=True)
    (claimed,) = claim(queue, clock, "pacs", 1)
    assert put_back(queue) == UndoCount(1, 1, 0)
    assert {*rows(queue)} == {*before, claimed.delivery_id}
    clock.advance(3600)
    with queue.transaction():
        assert queue.deliveries.forget(clock(), 100) == 1, "the one that owes nothing"
    assert settle_all(queue, [claimed], DeliveryState.DELIVERED) == 1


def test_changes_are_kept_by_operation_and_dropped_in_steps(queue: Store) -> None:
    with queue.transaction():
        for operation in (1, 2, 3):
            queue.undo.keep_changes(operation, [DeliveryChange(key, '["ü\u2028"]', "x") for key in (3, 1, 2)])
    assert [each.delivery_id for each in queue.undo.changes_of(2, 1, 1)] == [2]
    assert queue.undo.changes_of(2, 0, 1) == [DeliveryChange(1, '["ü\u2028"]', "x")]
    with queue.transaction():
        assert [queue.undo.drop_changes(2, 4) for _ in range(3)] == [4, 2, 0]
    assert [len(queue.undo.changes_of(operation, 0, 9)) for operation in (1, 2, 3)] == [0, 0, 3]


def test_a_transaction_that_fails_puts_nothing_back(site: Store, clock: Clock) -> None:
    do(site, discard, clock)
    changes = site.undo.changes_of(OPERATION, 0, 100)

    def fail() -> None:
        with site.transaction():
            site.undo.put_back(OPERATION, changes)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert rows(site) == {}
    assert site.undo.changes_of(OPERATION, 0, 100) == changes


@pytest.mark.parametrize("name", ["release", "retarget", "discard", "priority"])
def test_what_a_paused_rule_held_waits_for_its_turn_when_it_is_put_back(queue: Store, clock: Clock, name: str) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    with queue.transaction():
        (one,) = queue.deliveries.claim("pacs", 1, LEASE_S, clock())
        held = settlement(one, DeliveryState.HELD, due_at=clock(), reason=RULE_PAUSED, is_attempt=False)
        assert queue.deliveries.settle([held]) == [True]
    clock.advance(1)
    do(queue, VERBS[name], clock, ids=(one.delivery_id,))
    assert put_back(queue) == UndoCount(1, 0, 0)
    (claimed,) = claim(queue, clock)
    assert (claimed.delivery_id, claimed.reason) == (one.delivery_id, "")
    assert settle_all(queue, [claimed], DeliveryState.DELIVERED) == 1
    assert claim(queue, clock, "vna") == []
