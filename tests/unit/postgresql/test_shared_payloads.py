"""Payloads in PostgreSQL: bytes as they were given, whatever part is asked for, stored as they are."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from gateway.ports.errors import Temporary
from gateway.ports.shared_payloads import JournalGroup, UnsealedPayloads
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import shared_server
from tests.support.samples import NOON, Clock, instance

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url() -> str:
    return shared_server().new_schema()


@pytest.fixture
def store(url: str) -> Iterator[PostgreSQLStore]:
    made = PostgreSQLStore(url, now=Clock())
    yield made
    made.close()


def added(store: PostgreSQLStore, *pieces: bytes) -> str:
    store.payloads.prepare()
    with store.transaction():
        return store.payloads.add_group(pieces)


@pytest.mark.parametrize("length_bytes", [0, 1, 1999, 2000, 2001, 8191, 100_000, 3_000_000])
def test_any_part_comes_back(store: PostgreSQLStore, length_bytes: int) -> None:
    data = random.Random(length_bytes).randbytes(length_bytes)
    name = added(store, data[:10], b"", data[10:])
    assert store.sealing.read_groups([name]) == {name: data}
    parts = {
        (0, length_bytes),
        (length_bytes, 0),
        (length_bytes // 3, length_bytes // 2),
        (max(length_bytes - 1, 0), 0),
    }
    for start, length in parts:
        assert store.payloads.read(name, start, length) == data[start : start + length]
    assert store.payloads.read(name, 0, length_bytes + 1) is None, "there is less of it"
    assert store.payloads.has_group(name)


def test_groups_of_several_hours_are_read_together(url: str) -> None:
    clock = Clock()
    store = PostgreSQLStore(url, now=clock)
    datas = {}
    for number in range(6):
        data = os.urandom(number)
        datas[added(store, data)] = data
        clock.advance(1800)
    assert store.sealing.read_groups([*reversed(datas)]) == datas
    first, second, *_ = datas
    gone = "/".join([*first.split("/")[:2], "999"])
    assert store.sealing.read_groups([gone, second]) == {second: datas[second]}
    assert store.sealing.read_groups([]) == {}
    store.close()


def test_nothing_is_compressed(store: PostgreSQLStore) -> None:
    name = added(store, bytes(1_000_000))
    hour = name.split("/")[1]
    size = store._transactions.made((f"SELECT pg_column_size(payloads) FROM journal_{hour}", {}))
    assert size == 1_000_000


def test_what_is_not_there(store: PostgreSQLStore) -> None:
    name = added(store, b"data")
    other_group = name.rsplit("/", 1)[0] + "/99"
    assert [store.payloads.read(each, 0, 4) for each in (other_group, "journal/1/1")] == [None, None]
    assert [store.payloads.has_group(each) for each in (other_group, "journal/1/1")] == [False, False]
    assert store.payloads.place(name) is None
    with store.transaction():
        assert not store.payloads.has_group("journal/1/1"), "a transaction goes on behind the question"
        store.sync()
    with pytest.raises(ValueError, match="no group of the journal"):
        store.payloads.read("journal/1/1; DROP TABLE instance", 0, 4)


def test_a_group_that_was_rolled_back_is_not_there(store: PostgreSQLStore) -> None:
    store.payloads.prepare()
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        name = store.payloads.add_group([b"data"])
        raise ZeroDivisionError
    assert store.payloads.read(name, 0, 4) is None
    assert added(store, b"next") != name


def test_only_what_an_instance_names_waits_to_be_sealed(store: PostgreSQLStore) -> None:
    unnamed, named = added(store, b"unnamed"), added(store, b"named")
    with store.transaction():
        store.deliveries.accept([(instance(1, payload_name=named), [])], NOON)
    now = store._transactions.clock.now_us()
    (group,) = store.sealing.unsealed(10)
    assert group == JournalGroup(named, 5, now)
    assert unnamed != named
    with store.transaction():
        store.sealing.seal("segments/a", [JournalGroup("journal/1/1", 7, now), group])
    assert store.payloads.place(named) == ("segments/a", 7)
    assert store.sealing.unsealed(10) == []
    assert store.sealing.known_objects(["segments/a", "segments/b"]) == {"segments/a"}
    assert store.sealing.unnamed_objects("", 10) == ([], "")
    assert store.sealing.unnamed_objects("", 1) == ([], "segments/a")
    assert store.sealing.unnamed_objects("segments/a", 1) == ([], "")
    with store.transaction():
        store.sealing.forget_objects(["segments/a"])
    assert store.payloads.place(named) is None
    assert store.sealing.known_objects(["segments/a"]) == set()


def test_groups_that_another_node_sealed_are_not_sealed_again(store: PostgreSQLStore, url: str) -> None:
    """A node whose connection was lost while it wrote the object has the turn no more, and does not know."""
    name = added(store, b"payload")
    with store.transaction():
        store.deliveries.accept([(instance(1, payload_name=name), [])], NOON)
    chosen = store.sealing.unsealed(10)
    assert [group.name for group in chosen] == [name]
    with closing(PostgreSQLStore(url, now=Clock())) as other, other.transaction():
        other.sealing.seal("segments/a", other.sealing.unsealed(10))
    with pytest.raises(Temporary, match="another node sealed these groups"), store.transaction():
        store.sealing.seal("segments/b", chosen)
    assert store.payloads.place(name) == ("segments/a", 0)
    assert store.sealing.unsealed(10) == []


def test_what_is_not_sealed_is_told_to_all_nodes(store: PostgreSQLStore, url: str) -> None:
    assert store.payloads.unsealed() == UnsealedPayloads()
    name = added(store, b"named")
    with store.transaction():
        store.deliveries.accept([(instance(1, payload_name=name), [])], NOON)
    groups = store.sealing.unsealed(10)
    store.sealing.note_unsealed("it is away\0")
    other = PostgreSQLStore(url, now=Clock())
    at = store._transactions.clock.now()
    assert other.payloads.unsealed() == UnsealedPayloads(1, 5, at, "it is away\ufffd", at)
    with store.transaction():
        store.sealing.seal("segments/a", groups)
    store.sealing.note_unsealed("")
    assert other.payloads.unsealed() == UnsealedPayloads(0, 0, None, "", at)
    other.close()


def test_what_came_since_a_moment_is_counted_in_the_tables_of_all_hours(url: str) -> None:
    clock = Clock()
    store = PostgreSQLStore(url, now=clock)
    added(store, b"x" * 5000)
    moment = store._transactions.clock.now()
    assert store.payloads.added_since(moment) == (0, 0)
    for length_bytes in (10, 100_000):
        clock.advance(1800.0)
        added(store, b"y" * length_bytes)
    assert store.payloads.added_since(moment) == (2, 100_010)
    assert store.payloads.added_since(moment - timedelta(seconds=1)) == (3, 105_010)
    assert store.payloads.added_since(moment + timedelta(hours=2)) == (0, 0)
    store.close()


def test_the_oldest_ones_are_sealed_first(store: PostgreSQLStore) -> None:
    clock = store._transactions.clock.now
    assert isinstance(clock, Clock)
    names = []
    for number in range(6):
        names.append(added(store, os.urandom(10)))
        with store.transaction():
            store.deliveries.accept([(instance(number, payload_name=names[-1]), [])], NOON)
        clock.advance(1800)
    assert [each.name for each in store.sealing.unsealed(5)] == names[:5]
    assert [each.name for each in store.sealing.unsealed(10)] == names


def test_tables_are_made_once_by_whoever_is_first(store: PostgreSQLStore, url: str) -> None:
    other = PostgreSQLStore(url, now=Clock())
    for each in (store, other, store):
        each.payloads._prepared = -1
        each.payloads.prepare()
    assert len([*store._transactions.rows("journal_hours")]) == 1
    other.close()
