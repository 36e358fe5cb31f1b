"""Objects of a collection that come again because the stored copy is damaged, on PostgreSQL."""

from __future__ import annotations

import pytest

from gateway.delivery.collection_steps import advance
from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.ports.collections import CollectionFilter
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import Clock, instance, settlement

pytestmark = pytest.mark.postgresql


def test_the_same_bytes_are_taken_again_where_what_is_owed_cannot_be_read() -> None:
    clock = Clock()
    store = PostgreSQLStore(shared_server().new_schema(), now=clock, is_committing=True)
    member = Membership(CollectionTerms("chest"), "1.2.3", patient="p")
    arrival = [(instance(1), [Dispatch("r", "pacs", collection=member)])]
    with store.transaction():
        store.deliveries.accept(arrival, clock())
    clock.advance(60)
    with store.transaction():
        assert advance(store, 1, lambda _: False).is_completed
        assert [each.deliveries for each in store.deliveries.accept(arrival, clock())] == [0]
        assert [each.deliveries for each in store.deliveries.accept(arrival, clock(), lambda _: False)] == [1]
    with store.transaction():
        claimed = store.deliveries.claim("pacs", 10, 900.0, clock())
        store.deliveries.settle([settlement(each, DeliveryState.DELIVERED, due_at=clock()) for each in claimed])
        assert [each.deliveries for each in store.deliveries.accept(arrival, clock(), lambda _: False)] == [0]
    (found,) = store.collections.list(CollectionFilter(), 10)
    assert (len(claimed), found.instances, found.late, found.repeated) == (2, 1, 1, 2)
    store.close()
