"""Affinities on a connection. What all stores do alike: `tests/contract/test_affinities.py`."""

from __future__ import annotations

from pathlib import Path

from gateway.ports.affinities import AffinityWish
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON


def test_wishes_are_answered_in_their_order_and_locked_in_that_of_their_keys(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db")
    wishes = [AffinityWish(group, digest, f"{group}{digest}", (), 1.0) for group, digest in ("b1", "a2", "b0", "a1")]
    with store.transaction():
        assert store.affinities.keep_affinities(wishes, NOON) == ["b1", "a2", "b0", "a1"]
    rows = [row[:4] for row in store.rows.read("group_affinity", None, 10)]
    assert rows == [(1, "a", "1", "a1"), (2, "a", "2", "a2"), (3, "b", "0", "b0"), (4, "b", "1", "b1")]
    store.close()
