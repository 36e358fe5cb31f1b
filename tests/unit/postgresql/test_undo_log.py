"""Undo on PostgreSQL beside a gateway: a claim at the same moment ends first, and its delivery stays."""

from __future__ import annotations

import pytest

from gateway.operations.kept_changes import kept_changes
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.undo_log import UndoCount
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import TO_PACS, Clock, instance
from tests.support.store_rig import accept, claim

pytestmark = pytest.mark.postgresql


def test_a_claim_after_the_look_and_before_the_lock_is_seen() -> None:
    url, clock = shared_server().new_schema(), Clock()
    gateway, operator = (PostgreSQLStore(url, now=clock) for _ in range(2))
    accept(gateway, (instance(1), [TO_PACS]), (instance(2), [TO_PACS]), clock=clock)
    with operator.transaction(), kept_changes(operator, 7, (1, 2)):
        operator.administration.retry(DeliveryFilter(ids=(1, 2)), clock())
    changes = operator.undo.changes_of(7, 0, 9)
    lock = operator.undo._lock
    claimed: list[int] = []

    def claim_then_lock(ids: list[int], instances: list[int]) -> None:
        claimed.extend(each.delivery_id for each in claim(gateway, clock, limit=1))
        lock(ids, instances)

    operator.undo._lock = claim_then_lock  # type: ignore[method-assign, assignment]
    with operator.transaction():
        assert operator.undo.put_back(7, changes) == UndoCount(1, 1, 0)
    (other,) = claim(gateway, clock)
    assert {other.delivery_id, *claimed} == {1, 2}
    gateway.close()
    operator.close()
