"""Rows of a PostgreSQL store for a migration; `tests/contract/test_migration.py` carries them there and back."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest

from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.queue_history import ENTRIES
from tests.support.samples import NOON, TO_PACS, instance

pytestmark = pytest.mark.postgresql


def test_rows_are_read_behind_a_key_and_identifiers_are_not_given_twice() -> None:
    store = PostgreSQLStore(shared_server().new_schema())
    with store.transaction():
        store.rows.add(
            "attempt", [(1, 1, None, 5, "dead", None, "a\0b"), (1, 2, 7, 5, "dead", 3, ""), (2, 1, 7, 5, "dead", 3, "")]
        )
        store.rows.add("association", [(3, "{}"), (9, "{}")])
        store.rows.give_identifiers_behind({"association": 20, "instance": 30})
        store.rows.give_identifiers_behind({"association": 10, "instance": 40})
        store.rows.set_clock(4, 5)
    assert store.rows.read("attempt", None, 1) == [(1, 1, None, 5, "dead", None, "a\ufffdb")]
    assert [row[:2] for row in store.rows.read("attempt", (1, 1), 10)] == [(1, 2), (2, 1)]
    assert store.rows.last_key("attempt") == (2, 1)
    assert store.rows.last_key("delivery") is None
    given = store.rows.identifiers_given()
    assert (given["association"], given["instance"], given["delivery"]) == (20, 40, 0)
    assert store.rows.clock() == (4, 5)
    assert store.rows.tally()["attempts"] == 3
    store.close()


def test_a_level_that_was_added_is_the_one_that_the_next_acceptance_finds() -> None:
    first, second = PostgreSQLStore(shared_server().new_schema()), PostgreSQLStore(shared_server().new_schema())
    arrivals = [(dataclasses.replace(instance(number), index=entry), [TO_PACS]) for number, entry in enumerate(ENTRIES)]
    with first.transaction():
        first.deliveries.accept(arrivals, NOON, lambda _: True)
    with second.transaction():
        for table in ("patient", "study", "series"):
            second.rows.add(table, first.rows.read(table, None, 100))
        second.rows.give_identifiers_behind(first.rows.identifiers_given())
    with second.transaction():
        second.deliveries.accept(arrivals, NOON, lambda _: True)
    for table in ("patient", "study", "series"):
        assert second.rows.read(table, None, 100) == first.rows.read(table, None, 100)
    first.close()
    second.close()


def test_what_claims_change_comes_with_pending_deliveries_alone() -> None:
    url = shared_server().new_schema()
    store = PostgreSQLStore(url)
    rows = [
        (number, 1, "pacs", "rule", "[]", state, 7, 0, 100, renewed_at, 300, 4, "", "", 0, 9, 1, 0, "1.2", 8, None)
        for number, (state, renewed_at) in enumerate([("pending", None), ("dead", None), ("pending", 200)], 1)
    ]
    with store.transaction():
        store.rows.add("delivery", rows)
    assert store.rows.read("delivery", None, 10) == rows
    with psycopg.connect(url) as connection:
        due = connection.execute(
            "SELECT delivery_id, due_at, entered_at, lease, likeness FROM due ORDER BY 1"
        ).fetchall()
    assert due == [(1, 300, 100, 4, 7), (3, 300, 200, 4, 7)]
    store.close()
