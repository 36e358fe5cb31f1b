"""From where claims look, and what makes one look further back: as numbers, and on a database."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from gateway.model.delivery import DeliveryState
from gateway.postgresql.due_bounds import ALL_EACH_US, LATE_EACH_US, LATE_US, PROMPT_US, ByPriority, DueBounds
from gateway.postgresql.statements import SQL
from gateway.postgresql.store import PostgreSQLStore
from gateway.relational.rows import microseconds
from tests.support.samples import NOON, TO_PACS, Clock, instance, settlement
from tests.support.store_rig import LEASE_S, claim, settle_all, uids
from tests.unit.postgresql.conftest import OpenStore

NOW = 1_000_000_000_000
NONE = (None, None, None)


def same(at_us: int) -> ByPriority:
    """For each priority."""
    return at_us, at_us, at_us


def known(first_us: int | None = NOW - ALL_EACH_US, token: int | None = 7) -> DueBounds:
    """One claim has looked at all."""
    bounds = DueBounds()
    bounds.looked(bounds.look("pacs", token, NOW), (first_us, first_us, first_us))
    return bounds


def test_a_claim_begins_where_the_first_one_was_that_the_last_claim_saw() -> None:
    assert DueBounds().look("pacs", 7, NOW).from_us == same(0)
    assert known().look("pacs", 7, NOW + 1).from_us == same(NOW - ALL_EACH_US)
    assert known(first_us=0).look("pacs", 7, NOW + 1).from_us == same(0)
    assert known().look("vna", 7, NOW + 1).from_us == same(0)


@pytest.mark.parametrize("first_us", [None, NOW - 1, NOW + 3600])
def test_what_others_began_to_add_a_moment_ago_is_looked_for(first_us: int | None) -> None:
    assert known(first_us).look("pacs", 7, NOW + 1).from_us == same(NOW + 1 - PROMPT_US)


def test_each_few_seconds_a_claim_looks_for_what_came_late() -> None:
    bounds = known(None)
    late = bounds.look("pacs", 7, NOW + LATE_EACH_US)
    assert late.from_us == same(NOW + LATE_EACH_US - LATE_US)
    bounds.looked(late, NONE)
    assert bounds.look("pacs", 7, NOW + LATE_EACH_US + 1).from_us == same(NOW + LATE_EACH_US + 1 - PROMPT_US)


def test_a_prompt_look_puts_no_late_one_off() -> None:
    bounds = known(None)
    bounds.looked(bounds.look("pacs", 7, NOW + LATE_EACH_US - 1), NONE)
    assert bounds.look("pacs", 7, NOW + LATE_EACH_US).late_us == LATE_US


def test_each_minute_a_claim_looks_at_all() -> None:
    bounds = known(None)
    bounds.looked(bounds.look("pacs", 7, NOW + LATE_EACH_US), NONE)
    assert bounds.look("pacs", 7, NOW + ALL_EACH_US - 1).from_us > same(0)
    everything = bounds.look("pacs", 7, NOW + ALL_EACH_US)
    assert everything.from_us == same(0)
    bounds.looked(everything, NONE)
    assert bounds.look("pacs", 7, NOW + ALL_EACH_US + 1).from_us > same(0)


@pytest.mark.parametrize(
    ("token", "now_us"), [(8, NOW + 1), (None, NOW + 1), (7, NOW - 1)], ids=["newer", "none", "clock set back"]
)
def test_another_token_and_an_earlier_time_know_nothing(token: int | None, now_us: int) -> None:
    assert known().look("pacs", token, now_us).from_us == same(0)


def test_what_is_due_again_lowers_the_bound_and_never_raises_it() -> None:
    bounds = known()
    bounds.lower("vna", 5)
    bounds.lower("pacs", NOW)
    assert bounds.look("pacs", 7, NOW + 1).from_us == same(NOW - ALL_EACH_US)
    bounds.lower("pacs", 6)
    assert bounds.look("pacs", 7, NOW + 1).from_us == same(6)
    bounds.lower_all(5)
    assert bounds.look("pacs", 7, NOW + 1).from_us == same(5)
    bounds.forget()
    assert bounds.look("pacs", 7, NOW + 1).from_us == same(0)


# --- on a database --------------------------------------------------------------------------------------------------

Row = tuple[Any, ...]
FIRST, SECOND, THIRD = "1.2.3.4.5.1", "1.2.3.4.5.2", "1.2.3.4.5.3"
OLD_S = 3600.0
"""A backlog of this age: what comes late is not near the present."""


@pytest.fixture
def store(open_store: OpenStore, clock: Clock) -> PostgreSQLStore:
    """Three deliveries that wait for long, one second apart. A claim looked at all of them."""
    store = open_store(is_committing=True)
    for number in (1, 2, 3):
        add(store, clock, number)
        clock.advance(1)
    clock.advance(OLD_S)
    with store.transaction():
        assert store.deliveries.claim("pacs", 0, LEASE_S, clock()) == []
    return store


def add(store: PostgreSQLStore, clock: Clock, number: int) -> None:
    with store.transaction():
        store.deliveries.accept([(instance(number), [TO_PACS])], clock())


def next_one(store: PostgreSQLStore, clock: Clock) -> list[str]:
    return uids(claim(store, clock, limit=1))


@pytest.mark.postgresql
def test_what_is_locked_is_passed_over_and_not_forgotten(store: PostgreSQLStore, clock: Clock, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM due ORDER BY due_at LIMIT 1 FOR UPDATE")
        assert next_one(store, clock) == [SECOND]
        other.rollback()
    assert next_one(store, clock) == [FIRST]
    assert next_one(store, clock) == [THIRD]


@pytest.mark.postgresql
def test_what_another_one_took_and_has_not_committed_is_not_forgotten(
    store: PostgreSQLStore, clock: Clock, url: str
) -> None:
    with psycopg.connect(url) as other:
        other.execute("DELETE FROM due WHERE due_at = (SELECT min(due_at) FROM due)")
        assert next_one(store, clock) == [SECOND]
        other.rollback()
    assert next_one(store, clock) == [FIRST]


@pytest.mark.postgresql
def test_what_is_given_back_is_the_first_again(store: PostgreSQLStore, clock: Clock) -> None:
    first, second = claim(store, clock, limit=2)
    assert next_one(store, clock) == [THIRD]
    assert next_one(store, clock) == []
    with store.transaction():
        back = [settlement(each, DeliveryState.PENDING, is_attempt=False) for each in (first, second)]
        assert store.deliveries.settle(back) == [True, True]
        assert uids(store.deliveries.claim("pacs", 1, LEASE_S, clock())) == [FIRST], "in the same transaction too"
    assert next_one(store, clock) == [SECOND]


@pytest.mark.postgresql
def test_a_claim_that_is_rolled_back_is_made_again(store: PostgreSQLStore, clock: Clock) -> None:
    with suppress(ZeroDivisionError), store.transaction():
        assert uids(store.deliveries.claim("pacs", 1, LEASE_S, clock())) == [FIRST]
        assert uids(store.deliveries.claim("pacs", 1, LEASE_S, clock())) == [SECOND]
        raise ZeroDivisionError
    assert next_one(store, clock) == [FIRST]


@pytest.mark.postgresql
def test_what_arrives_with_an_earlier_time_is_taken_in_its_place(store: PostgreSQLStore, clock: Clock) -> None:
    assert next_one(store, clock) == [FIRST]
    assert next_one(store, clock) == [SECOND]
    with store.transaction():
        store.deliveries.accept([(instance(4), [TO_PACS])], NOON)
    assert uids(claim(store, clock)) == [THIRD, "1.2.3.4.5.4"]


@pytest.mark.postgresql
def test_what_waited_for_the_database_is_taken_though_it_is_due_for_long(store: PostgreSQLStore, clock: Clock) -> None:
    assert len(claim(store, clock)) == 3
    assert claim(store, clock) == []
    with store.transaction():
        store.deliveries.accept([(instance(4), [TO_PACS])], NOON + timedelta(seconds=OLD_S / 2))
    assert next_one(store, clock) == ["1.2.3.4.5.4"]


@pytest.mark.postgresql
def test_leases_that_end_are_found_in_their_time(store: PostgreSQLStore, clock: Clock) -> None:
    assert next_one(store, clock) == [FIRST]
    assert len(claim(store, clock)) == 2
    assert next_one(store, clock) == []
    clock.advance(LEASE_S)
    assert next_one(store, clock) == [FIRST]


def put(look: psycopg.Connection[Any], number: int, due_at_us: int) -> None:
    """What another process committed later than it was due."""
    rows = f'[[{number}, 1, "pacs", "all", "[]", "pending", 0, "", "", 1, 0, "", 0, null, {due_at_us}, false]]'
    look.execute(SQL["insert_deliveries"].encode(), {"deliveries": rows})


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("late_us", "after_us"),
    [(PROMPT_US, 0), (LATE_US, LATE_EACH_US), (24 * 3600 * 1_000_000, ALL_EACH_US)],
    ids=["promptly", "late", "from the beginning"],
)
def test_what_others_committed_late_is_found_all_the_same(
    store: PostgreSQLStore, clock: Clock, url: str, late_us: int, after_us: int
) -> None:
    assert len(claim(store, clock)) == 3
    assert claim(store, clock) == []
    with psycopg.connect(url, autocommit=True) as look:
        put(look, 99, microseconds(clock()) + after_us - late_us)
    if after_us:
        assert claim(store, clock) == []
        clock.advance(after_us / 1_000_000)
    assert 99 in [each.delivery_id for each in claim(store, clock)]


@pytest.mark.postgresql
def test_a_process_beside_says_that_it_changed_the_queue(
    store: PostgreSQLStore, open_store: OpenStore, clock: Clock, url: str
) -> None:
    assert len(claim(store, clock)) == 3
    with psycopg.connect(url, autocommit=True) as look:
        put(look, 99, 1)
    assert claim(store, clock) == []
    add(open_store(), clock, 5)
    while not store.changed_elsewhere():
        claim(store, clock, "nowhere")
    assert 99 in [each.delivery_id for each in claim(store, clock)]


@pytest.mark.postgresql
def test_a_claim_walks_over_no_entries_that_a_held_transaction_keeps(
    open_store: OpenStore, clock: Clock, url: str
) -> None:
    """Counted in pages that one reads: what a search from the beginning reads grows with all that was settled."""
    store = open_store(is_committing=True)
    for number in range(40):
        with store.transaction():
            arrivals = [(instance(number * 50 + each), [TO_PACS]) for each in range(50)]
            store.deliveries.accept(arrivals, clock.advance(1))
    with psycopg.connect(url) as held:
        held.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        held.execute("SELECT count(*) FROM due")
        clock.advance(OLD_S)
        for _ in range(36):
            assert settle_all(store, claim(store, clock, limit=50), DeliveryState.DELIVERED) == 50
        look = store.deliveries.bounds.look("pacs", None, microseconds(clock()))
        assert pages(url, look.from_us, clock) * 2 < pages(url, same(0), clock)
        assert len(claim(store, clock, limit=1000)) == 200


def pages(url: str, from_us: ByPriority, clock: Clock) -> int:
    """Pages in which a claim looks for the first delivery; it takes none."""
    now_us = microseconds(clock())
    values: dict[str, Any] = {
        "destination": "pacs",
        "now": now_us,
        "horizon": now_us,
        "until": now_us,
        "limit": 0,
        "token": None,
    }
    values |= dict(zip(("from_urgent", "from", "from_low"), from_us, strict=True)) | {"late": 0}
    with psycopg.connect(url) as connection:
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SQL['claim']}"
        row = connection.execute(explain.encode(), values).fetchone()
        connection.rollback()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
