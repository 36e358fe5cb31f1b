"""What an operator may mean."""

from __future__ import annotations

from gateway.model.collection import CollectionState
from gateway.ports.collections import CollectionFilter
from gateway.ports.store import Store
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import Clock


def test_an_empty_filter_means_all_of_them() -> None:
    assert CollectionFilter() == CollectionFilter(ids=(), name="", state=None, study_instance_uid="")
    assert CollectionFilter(state=CollectionState.OPEN) != CollectionFilter()


def test_a_store_has_collections() -> None:
    store: Store = MemoryStore(Clock())
    assert (store.collections.next_deadline(), store.collections.list(CollectionFilter(), 1)) == (None, [])
