"""The search for groups that are to be sealed: none is passed over, and none is read again and again."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
import pytest

from gateway.ports.shared_payloads import JournalGroup
from gateway.postgresql import unsealed_groups
from gateway.postgresql.store import PostgreSQLStore
from gateway.postgresql.transactions import PostgreSQLTransactions
from tests.support.samples import NOON, Clock, instance
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


@contextmanager
def adding(store: PostgreSQLStore, number: int) -> Iterator[str]:
    """A group with an instance, in a transaction that ends with the context."""
    store.payloads.prepare()
    with store.transaction():
        name = store.payloads.add_group([b"data"])
        store.deliveries.accept([(instance(number, payload_name=name), [])], NOON)
        yield name


def added(store: PostgreSQLStore, number: int) -> str:
    with adding(store, number) as name:
        return name


def seal(store: PostgreSQLStore, groups: Sequence[JournalGroup]) -> None:
    with store.transaction():
        store.sealing.seal(f"segments/{groups[0].name}", groups)


def names(store: PostgreSQLStore, limit: int = 100) -> list[str]:
    return [group.name for group in store.sealing.unsealed(limit)]


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows that each statement on the table of an hour gave."""
    counts: list[int] = []
    reads = PostgreSQLTransactions.made_rows

    def counted(transactions: PostgreSQLTransactions, statement: Any) -> Any:
        rows = list(reads(transactions, statement))
        counts.append(len(rows))
        return rows

    monkeypatch.setattr(PostgreSQLTransactions, "made_rows", counted)
    return counts


def test_sealed_groups_are_not_read_again(open_store: OpenStore, rows_read: list[int]) -> None:
    store, keeper = open_store(), open_store()
    for number in range(30):
        added(store, number)
    seal(keeper, keeper.sealing.unsealed(100))
    assert names(keeper) == []
    rows_read.clear()
    assert names(keeper) == []
    new = added(store, 31)
    assert names(keeper) == [new]
    assert names(keeper) == [new]
    assert rows_read == [0, 1, 0], "what waits is remembered, what is sealed is passed"


def test_a_group_that_is_committed_behind_a_later_one_is_found(open_store: OpenStore) -> None:
    slow, quick, keeper = open_store(), open_store(), open_store()
    slow.payloads.prepare()
    with adding(slow, 1) as first:
        second = added(quick, 2)
        for _ in range(3):
            assert names(keeper) == [second]
        seal(keeper, keeper.sealing.unsealed(100))
        third = added(quick, 3)
        for _ in range(3):
            assert names(keeper) == [third], "the one before is not there yet"
    assert names(keeper) == [first, third]


def test_one_that_is_open_makes_the_search_read_again_only_what_is_behind_it(
    open_store: OpenStore, rows_read: list[int]
) -> None:
    slow, quick, keeper = open_store(), open_store(), open_store()
    for number in range(10):
        added(quick, number)
    names(keeper)
    with adding(slow, 11):
        added(quick, 12)
        names(keeper)
        rows_read.clear()
        names(keeper)
        assert rows_read == [1]
    names(keeper)
    names(keeper)
    rows_read.clear()
    names(keeper)
    assert rows_read == [0]


def test_a_transaction_that_only_reads_holds_nothing_up(
    open_store: OpenStore, look: psycopg.Connection[Any], url: str, rows_read: list[int]
) -> None:
    store, keeper = open_store(), open_store()
    added(store, 1)
    with psycopg.connect(url) as held:
        held.execute("SELECT count(*) FROM instance")
        added(store, 2)
        names(keeper)
        rows_read.clear()
        names(keeper)
        assert rows_read == [0]


def test_more_groups_than_are_asked_for_wait_in_the_database(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsealed_groups, "GROUPS_READ", 3)
    store, keeper = open_store(), open_store()
    all_names = [added(store, number) for number in range(20)]
    found: list[str] = []
    while groups := keeper.sealing.unsealed(5):
        assert len(groups) <= 5
        found += [group.name for group in groups]
        assert len(keeper.sealing._unsealed._waiting) <= 5 + 3
        seal(keeper, groups)
    assert found == all_names


def test_what_no_instance_names_any_more_is_let_go(open_store: OpenStore, look: psycopg.Connection[Any]) -> None:
    store, keeper = open_store(), open_store()
    first, second, third = (added(store, number) for number in range(3))
    assert names(keeper, 2) == [first, second]
    look.execute("DELETE FROM instance WHERE payload_name = %s", (first,))
    assert names(keeper, 2) == [second, third]


def test_another_connection_begins_anew(open_store: OpenStore, look: psycopg.Connection[Any]) -> None:
    """A standby that was promoted may know less."""
    store, keeper = open_store(), open_store()
    group = added(store, 1)
    seal(keeper, keeper.sealing.unsealed(100))
    assert names(keeper) == []
    look.execute("DELETE FROM sealed_group")
    assert names(keeper) == [], "it was passed"
    keeper._transactions._connection.close()
    assert names(keeper) == [group]


def test_a_seal_that_is_rolled_back_has_not_happened(open_store: OpenStore) -> None:
    store, keeper = open_store(), open_store()
    group = added(store, 1)
    with contextlib.suppress(ZeroDivisionError), keeper.transaction():
        keeper.sealing.seal("segments/a", keeper.sealing.unsealed(100))
        raise ZeroDivisionError
    assert names(keeper) == [group]


def test_tables_of_hours_come_and_go(open_store: OpenStore, clock: Clock) -> None:
    store, keeper = open_store(), open_store()
    found = []
    for number in range(3):
        found.append(added(store, number))
        clock.advance(3600)
        store.payloads._prepared = -1
    assert names(keeper) == found
    clock.advance(7200)
    assert keeper.sealing.drop_sealed() == 0
    seal(keeper, keeper.sealing.unsealed(1))
    assert names(keeper) == found[1:]
    assert keeper.sealing.drop_sealed() == 1
    assert names(keeper) == found[1:]


def test_groups_that_are_not_read_yet_are_counted_once(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsealed_groups, "GROUPS_READ", 2)
    store, slow, keeper = open_store(), open_store(), open_store()
    search = keeper.sealing._unsealed

    def counted() -> int:
        """After the second look all that was committed before is complete."""
        for _ in range(2):
            keeper.sealing.unsealed(2)
            groups, length_bytes, _ = search.count()
            assert length_bytes == 4 * groups
        return groups

    for number in range(9):
        added(store, number)
    assert counted() == 9
    with adding(slow, 10):
        added(store, 11)
        assert counted() == 9, "one before may come yet"
    assert counted() == 11
    for left in (9, 7, 5, 3, 1):
        seal(keeper, keeper.sealing.unsealed(2))
        assert counted() == left


@pytest.mark.parametrize("seed", range(10))
def test_in_whatever_order_transactions_end_each_group_is_sealed_once(url: str, seed: int) -> None:
    random_numbers = random.Random(seed)
    with ExitStack() as stack:
        clock = Clock()
        keeper, *writers = (stack.enter_context(closing(PostgreSQLStore(url, now=clock))) for _ in range(5))
        open_ones: dict[PostgreSQLStore, ExitStack] = {}
        committed: set[str] = set()
        pending: dict[PostgreSQLStore, str] = {}
        found: list[str] = []
        for number in range(80):
            writer = random_numbers.choice(writers)
            if writer in open_ones:
                open_ones.pop(writer).close()
                committed.add(pending.pop(writer))
            else:
                open_ones[writer] = ExitStack()
                pending[writer] = open_ones[writer].enter_context(adding(writer, number))
            if random_numbers.random() < 0.6:
                groups = keeper.sealing.unsealed(random_numbers.randint(1, 4))
                found += [group.name for group in groups]
                if groups:
                    seal(keeper, groups)
        for writer, transaction in open_ones.items():
            transaction.close()
            committed.add(pending[writer])
        while groups := keeper.sealing.unsealed(3):
            found += [group.name for group in groups]
            seal(keeper, groups)
        assert sorted(found) == sorted(committed)
