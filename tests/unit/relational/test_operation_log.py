"""The record of operations does not grow without end."""

from __future__ import annotations

from pathlib import Path

from gateway.relational.operation_log import RelationalOperationLog
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import an_operation


def test_the_oldest_go(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db")
    record = RelationalOperationLog(store._transactions, most=3)
    for number in range(5):
        with store.transaction():
            record.begin_operation(an_operation(why=str(number)))
    assert [each.why for each in record.last_operations(10)] == ["4", "3", "2"]
    assert record.last_operations(10)[0].operation_id == 5, "identifiers are not given again"
    store.close()
