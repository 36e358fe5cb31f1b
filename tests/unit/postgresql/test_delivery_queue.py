"""Two processes on one queue, and what a settlement changes."""

from __future__ import annotations

import psycopg
import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.likeness import ExcludedLikenesses
from gateway.postgresql.store import PostgreSQLStore
from tests.support.samples import TO_PACS, Clock, instance, settlement
from tests.support.store_rig import ANY, LEASE_S, claim, settle_all
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


def filled(store: PostgreSQLStore, clock: Clock, number: int) -> None:
    with store.transaction():
        store.deliveries.accept([(instance(each), [TO_PACS]) for each in range(number)], clock())


@pytest.mark.parametrize("apart", [None, ExcludedLikenesses()], ids=["oldest first", "by likeness"])
def test_claims_at_one_moment_take_different_deliveries(
    open_store: OpenStore, clock: Clock, apart: ExcludedLikenesses | None
) -> None:
    one, other = open_store(), open_store()
    filled(one, clock, 6)
    with one.transaction(), other.transaction():
        first = one.deliveries.claim("pacs", 4, LEASE_S, clock(), apart)
        second = other.deliveries.claim("pacs", 4, LEASE_S, clock(), apart)
    assert (len(first), len(second)) == (4, 2), "nobody waits for a row that somebody else takes"
    assert not {each.delivery_id for each in first} & {each.delivery_id for each in second}


def test_a_token_of_before_settles_nothing_over_any_connection(open_store: OpenStore, clock: Clock) -> None:
    one, other = open_store(), open_store()
    filled(one, clock, 1)
    (late,) = claim(one, clock)
    clock.advance(LEASE_S + 1)
    (now,) = claim(other, clock)
    assert now.lease > late.lease
    assert settle_all(one, [late], DeliveryState.DEAD) == 0
    assert settle_all(other, [now], DeliveryState.DELIVERED) == 1
    assert [each.state for each in one.administration.list(ANY, 10)] == [DeliveryState.DELIVERED]


def test_a_token_stays_worthless_whatever_an_operator_does(open_store: OpenStore, clock: Clock) -> None:
    store = open_store()
    filled(store, clock, 1)
    tokens = []
    for _ in range(3):
        (claimed,) = claim(store, clock)
        tokens.append(claimed)
        settle_all(store, [claimed], DeliveryState.DEAD)
        with store.transaction():
            assert store.administration.hold(ANY) == 1
            assert store.administration.release(ANY, clock()) == 1
            assert store.administration.retry(ANY, clock()) == 1
    assert [each.lease for each in tokens] == sorted({each.lease for each in tokens})
    (newest,) = claim(store, clock)
    assert [settle_all(store, [each], DeliveryState.DELIVERED) for each in (*tokens, newest)] == [0, 0, 0, 1]


def test_what_is_settled_leaves_what_is_due(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store()
    filled(store, clock, 4)
    delivered, dead, held, back = claim(store, clock)
    states = (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.HELD)
    with store.transaction():
        store.deliveries.settle(
            [settlement(each, state) for each, state in zip((delivered, dead, held), states, strict=True)]
        )
        store.deliveries.settle([settlement(back, DeliveryState.PENDING, due_at=clock(), is_attempt=False)])
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT delivery_id, lease, leased_until FROM due").fetchall() == [
            (back.delivery_id, back.lease, None)
        ]
    assert [each.state for each in store.administration.list(ANY, 10)] == [*states, DeliveryState.PENDING]
