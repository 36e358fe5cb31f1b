"""Objects that join collections on a relational database. All else: `tests/contract/test_collections.py`."""

from __future__ import annotations

from pathlib import Path

from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.ports.collections import CollectionFilter
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, Clock, instance

ODD = "1.2\udce9\0"
"""As a sender may write it."""


def test_odd_identifiers_are_collected_all_the_same(tmp_path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(tmp_path / "queue.db", now=clock)
    member = Membership(CollectionTerms("chest"), ODD, patient="p")
    for number in (1, 2):
        with store.transaction():
            store.deliveries.accept([(instance(number), [Dispatch("r", "pacs", collection=member)])], clock())
    (found,) = store.collections.list(CollectionFilter(), 10)
    assert (found.instances, found.generation) == (2, 1)
    store.close()


def test_an_object_of_no_collection_costs_no_statement(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "queue.db", now=Clock())
    with store.transaction():
        store.deliveries.accept([(instance(), [TO_PACS])], Clock()())
    said: list[str] = []
    store.connection.trace_v2(1, lambda event: said.append(str(event)))
    with store.transaction():
        store.deliveries.accept([(instance(2), [TO_PACS])], Clock()())
    assert said
    assert not any("collection" in each and "INSERT INTO delivery" not in each for each in said if "FROM coll" in each)
    store.close()
