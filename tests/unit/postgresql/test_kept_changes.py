"""Rows that are kept for an undo, beside gateways and operators that change them at the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from gateway.model.delivery import DeliveryState
from gateway.operations.kept_changes import kept_changes
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.undo_log import UndoCount
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, accept, claim, settle_all

pytestmark = pytest.mark.postgresql
BOTH = DeliveryFilter(ids=(1, 2))
OPERATION = 7


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stores(clock: Clock) -> Iterator[Sequence[PostgreSQLStore]]:
    """The gateway's and an operator's; 1 and 2 are pending at pacs."""
    url = shared_server().new_schema()
    gateway, operator = (PostgreSQLStore(url, now=clock) for _ in range(2))
    accept(gateway, (instance(1), [TO_PACS]), (instance(2), [TO_PACS]), clock=clock)
    yield gateway, operator
    gateway.close()
    operator.close()


def undo(operator: PostgreSQLStore) -> UndoCount:
    with operator.transaction():
        return operator.undo.put_back(OPERATION, operator.undo.changes_of(OPERATION, 0, 9))


def states(store: PostgreSQLStore) -> dict[int, DeliveryState]:
    return {each.delivery_id: each.state for each in store.administration.list(ANY, 9)}


def test_what_was_delivered_at_the_same_moment_stays_delivered(stores: Sequence[PostgreSQLStore], clock: Clock) -> None:
    gateway, operator = stores
    (one,) = claim(gateway, clock, limit=1)
    with operator.transaction(), kept_changes(operator, OPERATION, (1, 2)):
        settle_all(gateway, [one], DeliveryState.DELIVERED)
        operator.administration.hold(BOTH)
    assert undo(operator) == UndoCount(1, 0, 0)
    assert states(operator)[one.delivery_id] is DeliveryState.DELIVERED


def test_nobody_claims_between_the_look_and_the_verb(stores: Sequence[PostgreSQLStore], clock: Clock) -> None:
    gateway, operator = stores
    with operator.transaction(), kept_changes(operator, OPERATION, (1, 2)):
        assert claim(gateway, clock) == []
        assert operator.administration.hold(BOTH) == 2
    assert undo(operator) == UndoCount(2, 0, 0)
    assert len(claim(gateway, clock)) == 2


def test_what_its_destination_may_have_by_now_stays_doubtful(stores: Sequence[PostgreSQLStore], clock: Clock) -> None:
    """It was under a lease at the look, and back when the verb took it: it is held, and not put back."""
    gateway, operator = stores
    (one,) = claim(gateway, clock, limit=1)
    with operator.transaction(), kept_changes(operator, OPERATION, (1, 2)):
        with gateway.transaction():
            gateway.deliveries.settle([settlement(one, DeliveryState.PENDING, reason="gone", is_doubtful=True)])
        assert operator.administration.hold(BOTH) == 2
    assert undo(operator) == UndoCount(1, 0, 0)
    assert [each.is_doubtful for each in operator.administration.list(ANY, 9) if each.delivery_id == one.delivery_id]
    assert states(operator)[one.delivery_id] is DeliveryState.HELD


def test_what_another_operator_sent_again_stays_after_an_undo(stores: Sequence[PostgreSQLStore], clock: Clock) -> None:
    gateway, operator = stores
    settle_all(gateway, claim(gateway, clock), DeliveryState.DELIVERED)

    def send_to_another() -> int:
        with gateway.transaction():
            return gateway.administration.send_again(BOTH, clock(), "vna")

    with ThreadPoolExecutor(1) as thread:
        with operator.transaction(), kept_changes(operator, OPERATION, (1, 2), adds=True):
            other = thread.submit(send_to_another)
            wait([other], timeout=0.5)
            operator.administration.send_again(BOTH, clock())
        assert other.result() == 2
    assert undo(operator) == UndoCount(2, 0, 0)
    assert len(claim(gateway, clock, "vna")) == 2
    assert claim(gateway, clock) == []
