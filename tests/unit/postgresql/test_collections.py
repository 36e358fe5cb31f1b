"""Collections on PostgreSQL: several nodes at one moment. All else: `tests/contract/test_collections.py`."""

from __future__ import annotations

import threading

import pytest

from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.ports.collections import CollectionFilter
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import Clock, instance

pytestmark = pytest.mark.postgresql

TERMS = CollectionTerms("chest")
MEMBER = Membership(TERMS, "1.2.3", patient="p")


def node(schema: str, name: str) -> PostgreSQLStore:
    return PostgreSQLStore(schema, now=Clock(), is_committing=True, node=name)


def put(store: PostgreSQLStore, number: int) -> None:
    with store.transaction():
        store.deliveries.accept([(instance(number), [Dispatch("r", "pacs", collection=MEMBER)])], Clock()())


def test_a_collection_that_another_node_holds_is_left_to_it() -> None:
    schema = shared_server().new_schema()
    one, two = node(schema, "one"), node(schema, "two")
    put(one, 1)
    (found,) = one.collections.list(CollectionFilter(), 10)
    with one.transaction():
        assert one.collections.take(found.collection_id) is not None
        with two.transaction():
            assert two.collections.take(found.collection_id) is None
    with two.transaction():
        assert two.collections.take(found.collection_id) is not None
    one.close()
    two.close()


def test_two_nodes_that_get_a_study_at_one_moment_begin_one_collection() -> None:
    schema = shared_server().new_schema()
    stores = [node(schema, "one"), node(schema, "two")]
    together = threading.Barrier(2, timeout=60)

    def accept(number: int) -> None:
        for index in range(20):
            together.wait()
            put(stores[number], 100 * number + index)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    (found,) = stores[0].collections.list(CollectionFilter(), 10)
    assert (found.generation, found.instances) == (1, 40)
    for store in stores:
        store.close()
