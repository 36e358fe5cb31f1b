"""Rows of any relational store, with two levels of a key; the stores' own are in their rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.ports.store_rows import MigratableStore, RowKey, StoredRow
from tests.support.samples import Clock
from tests.support.store_rig import EACH, IMPLEMENTATIONS


@pytest.mark.parametrize("name", [each for each in EACH if each.values != ("memory",)])
def test_pages_of_rows_go_on_behind_the_last_key(tmp_path: Path, name: str) -> None:
    store: MigratableStore = IMPLEMENTATIONS[name](tmp_path, Clock())  # type: ignore[assignment]
    rows = [(delivery, number, None, 1, "dead", None, "") for delivery in (1, 2, 3) for number in (1, 2)]
    with store.transaction():
        store.rows.add("attempt", rows)
    assert store.rows.last_key("attempt") == (3, 2)
    read: list[StoredRow] = []
    after: RowKey | None = None
    while page := store.rows.read("attempt", after, 4):
        read += page
        after = page[-1][:2]
    assert read == rows
    assert store.rows.tally()["attempts"] == 6
    assert [*store.rows.owed([1])] == []
    store.close()
