"""A lease that has passed to somebody else gives its old holder no say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.model.delivery import Delivery, DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement

LEASE_S = 30.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[SQLiteStore]:
    opened = SQLiteStore(tmp_path / "queue.db", now=clock)
    with opened.transaction():
        opened.deliveries.accept([(instance(), [TO_PACS])], NOON)
    yield opened
    opened.close()


def claim(queue: SQLiteStore, clock: Clock) -> list[Delivery]:
    with queue.transaction():
        return queue.deliveries.claim("pacs", 10, LEASE_S, clock())


def settle(queue: SQLiteStore, delivery: Delivery, state: DeliveryState) -> int:
    with queue.transaction():
        return sum(
            queue.deliveries.settle([settlement(delivery, state, reason=f"by the holder of lease {delivery.lease}")])
        )


def the_delivery(queue: SQLiteStore) -> Delivery:
    (delivery,) = queue.administration.list(DeliveryFilter(), 2)
    return delivery


def test_a_lease_ends_by_itself_to_the_microsecond(queue: SQLiteStore, clock: Clock) -> None:
    claim(queue, clock)
    clock.at = NOON + timedelta(seconds=LEASE_S) - timedelta(microseconds=1)
    assert claim(queue, clock) == []
    clock.at = NOON + timedelta(seconds=LEASE_S)
    assert len(claim(queue, clock)) == 1


@pytest.mark.parametrize("late_state", DeliveryState)
def test_the_former_holder_changes_nothing(queue: SQLiteStore, clock: Clock, late_state: DeliveryState) -> None:
    (former,) = claim(queue, clock)
    clock.advance(LEASE_S)
    (present,) = claim(queue, clock)
    assert present.lease > former.lease

    before = the_delivery(queue)
    assert settle(queue, former, late_state) == 0
    assert the_delivery(queue) == before
    assert queue.administration.attempts(former.delivery_id) == []

    assert settle(queue, present, DeliveryState.DELIVERED) == 1
    assert settle(queue, former, late_state) == 0
    assert the_delivery(queue).state is DeliveryState.DELIVERED


def test_a_late_settlement_counts_while_nobody_took_over(queue: SQLiteStore, clock: Clock) -> None:
    (holder,) = claim(queue, clock)
    clock.advance(LEASE_S * 10)
    assert settle(queue, holder, DeliveryState.DELIVERED) == 1


def test_a_lease_settles_once(queue: SQLiteStore, clock: Clock) -> None:
    (holder,) = claim(queue, clock)
    assert settle(queue, holder, DeliveryState.PENDING) == 1
    assert settle(queue, holder, DeliveryState.DELIVERED) == 0
    assert the_delivery(queue).attempts == 1


def test_tokens_survive_a_restart(queue: SQLiteStore, clock: Clock, tmp_path: Path) -> None:
    (before_the_crash,) = claim(queue, clock)
    queue.close()
    restarted = SQLiteStore(tmp_path / "queue.db", now=clock)
    with restarted.transaction():
        assert restarted.deliveries.expire_leases() == 1
    (after,) = claim(restarted, clock)
    assert after.due_at == before_the_crash.due_at, "its place in the order is as it was"
    assert settle(restarted, before_the_crash, DeliveryState.DEAD) == 0
    assert settle(restarted, after, DeliveryState.DELIVERED) == 1
    restarted.close()


def test_a_token_of_a_forgotten_delivery_fits_no_later_one(queue: SQLiteStore, clock: Clock, tmp_path: Path) -> None:
    (old,) = claim(queue, clock)
    settle(queue, old, DeliveryState.DELIVERED)
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(1), 10) == 1
    queue.close()
    restarted = SQLiteStore(tmp_path / "queue.db", now=clock)
    with restarted.transaction():
        restarted.deliveries.accept([(instance(2), [TO_PACS])], clock())
    (new,) = claim(restarted, clock)
    assert (new.lease, new.delivery_id) == (old.lease, old.delivery_id + 1)
    assert settle(restarted, old, DeliveryState.DEAD) == 0
    restarted.close()
