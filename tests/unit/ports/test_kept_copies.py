"""The total of a store that keeps no copy."""

from __future__ import annotations

from pathlib import Path

from gateway.ports.kept_copies import NOTHING_KEPT, EndedCopies
from gateway.sqlite.store import SQLiteStore


def test_an_empty_store_keeps_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db")
    assert store.kept.kept_total(10) == NOTHING_KEPT
    with store.transaction():
        assert store.kept.end_oldest_kept(10) == EndedCopies(0, 0)
    store.close()
