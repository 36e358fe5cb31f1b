"""Collections on SQLite. All else: `tests/contract/test_collections.py`."""

from __future__ import annotations

from pathlib import Path

from gateway.delivery.collection_steps import advance
from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.ports.collections import CollectionFilter
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import Clock, instance


def test_a_clock_that_is_set_back_ends_no_collection_and_holds_none_up(tmp_path: Path) -> None:
    clock = Clock()
    store = SQLiteStore(tmp_path / "queue.db", now=clock)
    member = Membership(CollectionTerms("chest"), "1.2.3", patient="p")
    with store.transaction():
        store.deliveries.accept([(instance(1), [Dispatch("r", "pacs", collection=member)])], clock.advance(400 * 86400))
    clock.advance(-400 * 86400)
    with store.transaction():
        store.deliveries.accept([(instance(2), [Dispatch("r", "vna")])], clock())
        assert store.deliveries.claim("pacs", 10, 900.0, clock()) == []
    (found,) = store.collections.list(CollectionFilter(), 10)
    assert (found.opened_at, found.last_arrival_at, found.deadline_at) == (clock(), clock(), clock())
    assert found.at_most_at == clock() + found.terms.at_most
    clock.advance(60)
    with store.transaction():
        assert advance(store, found.collection_id, lambda _: False).is_completed
        assert len(store.deliveries.claim("pacs", 10, 900.0, clock())) == 1
    with store.transaction():
        store.deliveries.accept([(instance(3), [Dispatch("r", "vna")])], clock.advance(400 * 86400))
    clock.advance(-401 * 86400)
    with store.transaction():
        store.deliveries.accept([(instance(4), [Dispatch("r", "vna")])], clock())
    (found,) = store.collections.list(CollectionFilter(), 10)
    assert (found.completed_at, found.deadline_at) == (clock(), clock() + found.terms.late_for)
    store.close()
