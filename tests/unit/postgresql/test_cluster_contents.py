"""What a database says of payloads and objects, page by page; `tests/unit/repair` reads all of it."""

from __future__ import annotations

import pytest

from gateway.model.instance import PayloadRef
from gateway.ports.cluster_contents import HeldPayload, KnownObject
from gateway.postgresql.cluster_contents import PostgreSQLClusterContents
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import NOON, TO_PACS, instance

pytestmark = pytest.mark.postgresql


def test_pages_go_on_behind_the_last_payload_whatever_shares_its_place() -> None:
    store = PostgreSQLStore(shared_server().new_schema())
    contents: PostgreSQLClusterContents = store.contents
    places = [
        ("journal/1/1", 0, 4),
        ("journal/1/1", 4, 0),
        ("journal/1/1", 4, 0),
        ("journal/1/2", 0, 3),
        ("large/a", 0, 9),
    ]
    with store.transaction():
        store.payloads.add_objects([("large/a", 9)])
        arrivals = [
            (instance(number).stored(PayloadRef(*place, b"digest")), [TO_PACS])
            for number, place in enumerate(places, 1)
        ]
        store.deliveries.accept(arrivals, NOON, lambda payload: True)
    found: list[HeldPayload] = []
    last = None
    while page := contents.payloads_after(last, 1):
        found += page
        last = page[-1]
    assert [(each.payload.name, each.payload.offset_bytes, each.payload.length_bytes) for each in found] == places
    assert [(each.object_name, each.object_bytes) for each in found] == [*[(None, None)] * 4, ("large/a", 9)]
    assert contents.payload_of(found[4]) == found[4]
    assert contents.payloads_of_object("large/a", None, 5) == [found[4]]
    assert contents.payloads_of_object("large/a", found[4], 5) == []
    assert contents.objects_after("", 5) == [KnownObject("large/a", 9, is_named=True)]
    assert contents.objects_after("large/a", 5) == []
    assert contents.known_among(["large/a", "large/b"]) == {"large/a": KnownObject("large/a", 9, is_named=True)}
    assert [contents.group_bytes(name) for name in ("journal/1/1", "large/a")] == [None, None]
    store.close()
