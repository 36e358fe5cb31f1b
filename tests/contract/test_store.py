"""What every `Store` must do over its parts; run against each implementation."""

from __future__ import annotations

import pytest

from gateway.ports.store import Store
from tests.support.samples import NOON, TO_PACS, Clock, instance
from tests.support.store_rig import ANY, accept


def test_one_transaction_holds_all_parts(queue: Store, clock: Clock) -> None:
    def fail_midway() -> None:
        with queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
            queue.spool.bind_spool("first")
            queue.administration.hold(ANY)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert queue.administration.list(ANY, 10) == []
    assert queue.spool.spool_id() == ""


def test_sync_works_inside_a_transaction_and_outside(queue: Store, clock: Clock) -> None:
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    queue.sync()
    with queue.transaction():
        queue.sync()
    assert len(queue.administration.list(ANY, 10)) == 1


def test_own_transactions_are_no_change_elsewhere(queue: Store, clock: Clock) -> None:
    assert not queue.changed_elsewhere()
    accept(queue, (instance(1), [TO_PACS]), clock=clock)
    assert not queue.changed_elsewhere()


def test_what_was_just_opened_is_in_its_place(queue: Store) -> None:
    assert queue.moved() == ""
    assert queue.moved(is_quick=True) == ""
