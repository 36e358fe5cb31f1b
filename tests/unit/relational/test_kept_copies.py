"""Kept copies beside a version that knows nothing of them, and under a clock that is set back."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, accept, claim

WEEK = timedelta(days=7)


def keep_one(queue: SQLiteStore, clock: Clock) -> int:
    """Its instance."""
    (accepted,) = accept(queue, (instance(1), [TO_PACS]), clock=clock)
    (delivery,) = claim(queue, clock)
    with queue.transaction():
        assert queue.deliveries.settle([dataclasses.replace(settlement(delivery), kept_until=clock() + WEEK)]) == [True]
    return accepted.instance_id


def test_one_that_a_former_version_sent_again_is_not_given_up(tmp_path: Path) -> None:
    """It wakes the instance and leaves the row of the copy as it is."""
    clock = Clock()
    queue = SQLiteStore(tmp_path / "queue.db", now=clock)
    kept = keep_one(queue, clock)
    queue.connection.execute(
        "INSERT INTO delivery (instance_id, destination, rule, actions_json, state, created_at, due_at)"
        " SELECT instance_id, 'vna', rule, actions_json, 'pending', created_at, due_at FROM delivery"
    )
    clock.advance(8 * 86400)
    with queue.transaction():
        assert queue.kept.end_kept(clock(), 10) == 1
    with queue.transaction():
        assert queue.deliveries.forget(clock.advance(86400), 10) == 0
    assert queue.kept.kept_until(kept) is None
    assert len(queue.administration.list(ANY, 10)) == 2
    queue.close()


def test_a_clock_that_is_set_back_by_years_keeps_a_copy_no_longer_than_its_time(tmp_path: Path) -> None:
    clock = Clock()
    clock.advance(5000 * 86400)
    queue = SQLiteStore(tmp_path / "queue.db", now=clock)
    kept = keep_one(queue, clock)
    clock.at = NOON
    claim(queue, clock)
    assert queue.kept.kept_until(kept) == NOON + WEEK
    queue.close()
