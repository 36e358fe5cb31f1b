"""Rows of a SQLite store for a migration; `tests/contract/test_migration.py` carries them to another store and back."""

from __future__ import annotations

from pathlib import Path

from gateway.sqlite.store import SQLiteStore


def test_rows_are_read_behind_a_key_and_identifiers_are_not_given_twice(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db")
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
