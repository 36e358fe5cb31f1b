"""Collections on a relational database. All else: `tests/contract/test_collections.py`."""

from __future__ import annotations

from pathlib import Path

from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.sqlite.statements import SQL
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import Clock, instance


def test_the_next_deadline_is_found_by_an_index(tmp_path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(tmp_path / "queue.db", now=clock)
    with store.transaction():
        for number in range(3):
            member = Membership(CollectionTerms("chest"), f"1.{number}", patient="p")
            store.deliveries.accept([(instance(number), [Dispatch("r", "pacs", collection=member)])], clock())
    for statement in ("next_collection_deadline", "due_collections"):
        values = {"now": 0, "limit": 1}
        plan = store.connection.execute("EXPLAIN QUERY PLAN " + SQL[statement].partition("\n")[2], values).fetchall()
        assert ["collection_by_deadline" in str(row) for row in plan] == [True], plan
    store.close()
