"""Transactions of the store on SQLite."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, Clock, instance


def test_statements_are_compiled_once_whatever_the_number_of_instances(tmp_path: Path) -> None:
    clock = Clock()
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db", now=clock)) as store:
        numbers = iter(range(10_000))

        def accept(instances: int) -> int:
            """The number of statements that were compiled up to now."""
            with store.transaction():
                arrivals = [(instance(next(numbers)), [TO_PACS]) for _ in range(instances)]
                assert len(store.deliveries.accept(arrivals, clock())) == instances
            return store.connection.cache_stats()["misses"]

        accept(1)
        compiled = accept(2)
        assert [accept(size) for size in range(3, 70)] == [compiled] * 67
