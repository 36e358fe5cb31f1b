"""Two processes on one queue, and what a settlement changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest

from gateway.model.delivery import DeliveryState
from gateway.model.likeness import ExcludedLikenesses
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import GatewayError
from gateway.postgresql import delivery_queue
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


# --- what is kept, as the sum of changes ----------------------------------------------------------------------

Look = psycopg.Connection[Any]


def fold(store: PostgreSQLStore, limit: int = 100) -> int:
    """The number of changes that are replaced."""
    return int(store._transactions.single("fold_changes", few=0, limit=limit))


def changes(look: Look) -> list[tuple[str, int]]:
    return look.execute("SELECT state, number FROM queue_change").fetchall()


def kept(store: PostgreSQLStore) -> dict[str, int]:
    return {each.state.value: each.count for each in store.deliveries.depths()}


def test_a_claim_changes_no_count(open_store: OpenStore, look: Look, clock: Clock) -> None:
    store = open_store()
    filled(store, clock, 2)
    one, other = claim(store, clock)
    settle_all(store, [one], DeliveryState.PENDING)
    assert changes(look) == [("pending", 2)]
    settle_all(store, [other], DeliveryState.DELIVERED)
    assert changes(look) == [("pending", 2), ("pending", -1)]


def test_changes_are_replaced_by_their_sum_once_a_minute(
    open_store: OpenStore, look: Look, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_queue, "FOLDED_ABOVE", 1)
    store = open_store()

    def round_of_the_house() -> None:
        with store.transaction():
            store.deliveries.forget(clock(), 10)

    filled(store, clock, 2)
    round_of_the_house()
    assert changes(look) == [("pending", 2)], "one that lies alone is its sum"
    for state in (DeliveryState.DELIVERED, DeliveryState.DEAD):
        clock.advance(1.0)
        settle_all(store, claim(store, clock)[:1], state)
        clock.advance(LEASE_S)
    round_of_the_house()
    assert changes(look) == [("dead", 1)], "nothing is left of what went"
    assert kept(store) == {"dead": 1}


def test_a_fold_beside_a_writer_counts_each_change_once(open_store: OpenStore, look: Look, clock: Clock) -> None:
    store, writer, other = open_store(), open_store(), open_store()
    filled(store, clock, 3)
    with writer.transaction():
        writer.deliveries.accept([(instance(9), [TO_PACS])], clock())
        assert fold(store) == 1
        with store.transaction(), other.transaction():
            assert (fold(store), fold(other)) == (1, 0), "what another one replaces is passed over"
            assert kept(other) == {"pending": 3}
    assert kept(store) == {"pending": 4}
    assert fold(store) == 2
    assert changes(look) == [("pending", 4)]


def test_a_fold_that_is_killed_changes_nothing(open_store: OpenStore, look: Look, clock: Clock) -> None:
    store, killed = open_store(), open_store()
    filled(store, clock, 3)
    settle_all(store, claim(store, clock)[:1], DeliveryState.DEAD)
    backend = killed._transactions._connection.info.backend_pid

    def fold_and_die() -> None:
        with killed.transaction():
            killed.deliveries.accept([(instance(9), [TO_PACS])], clock())
            fold(killed)
            look.execute("SELECT pg_terminate_backend(%s, 60000)", [backend])

    with pytest.raises(GatewayError):
        fold_and_die()
    assert kept(store) == {"dead": 1, "pending": 2}
    assert fold(store) == 3
    assert kept(store) == {"dead": 1, "pending": 2}


def test_one_that_comes_back_is_the_oldest_again(open_store: OpenStore, look: Look, clock: Clock) -> None:
    """The search for the oldest begins where a sum says; a delivery that was held meanwhile lies before it."""
    store = open_store()
    came_at = clock()
    filled(store, clock, 1)
    clock.advance(10.0)
    filled(store, clock, 3)

    def pending_since() -> datetime | None:
        (at,) = (each.oldest_at for each in store.deliveries.depths() if each.state is DeliveryState.PENDING)
        return at

    first = store.administration.list(ANY, 1)[0].delivery_id
    with store.transaction():
        assert store.administration.hold(DeliveryFilter(ids=(first,))) == 1
    assert pending_since() == clock()
    fold(store)
    assert pending_since() == clock()
    with store.transaction():
        assert store.administration.release(ANY, clock()) == 1
    assert pending_since() == came_at
    fold(store)
    assert pending_since() == came_at


def test_two_that_change_places_in_one_statement_are_seen(open_store: OpenStore, look: Look, clock: Clock) -> None:
    """The numbers stay; the oldest and the bytes do not. `look` compares them with the rows at its end."""
    store = open_store()
    for number, body in ((1, b"short"), (2, b"a longer one")):
        with store.transaction():
            store.deliveries.accept([(instance(number, body=body), [TO_PACS])], clock())
        clock.advance(1.0)
    first, second = (each.delivery_id for each in store.administration.list(ANY, 2))
    with store.transaction():
        assert store.administration.hold(DeliveryFilter(ids=(first,))) == 1
    assert fold(store) == 4
    before = store.deliveries.depths()
    with look.transaction():
        look.execute("UPDATE due SET delivery_id = %s", [first])
        look.execute("UPDATE delivery SET state = CASE state WHEN 'held' THEN 'pending' ELSE 'held' END")
    after = store.deliveries.depths()
    assert [(each.state, each.count) for each in after] == [(each.state, each.count) for each in before]
    assert [(each.size_bytes, each.oldest_at) for each in after] == [
        (each.size_bytes, each.oldest_at) for each in reversed(before)
    ]
    assert second in {
        each.delivery_id for each in store.administration.list(DeliveryFilter(state=DeliveryState.HELD), 9)
    }
