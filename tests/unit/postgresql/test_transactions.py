"""Transactions on a connection that may be lost."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from gateway.ports.errors import SpoolFull
from gateway.postgresql.address import address
from gateway.postgresql.hang_guard import HangGuard
from gateway.postgresql.transactions import PostgreSQLTransaction, PostgreSQLTransactions
from gateway.relational.queue_clock import QueueClock
from gateway.relational.statements import Statements
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.samples import TO_PACS, Clock, SecondsClock, instance
from tests.support.store_rig import claim
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql


def queue_clock(statements: Statements) -> QueueClock:
    return QueueClock(statements, is_running=lambda: False, now=Clock())


def end_sessions(url: str) -> None:
    """Every other session of this database ends, as when the server is restarted."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'dicom-gateway'"
        )


def test_a_lost_connection_is_made_anew(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)
    end_sessions(url)
    with pytest.raises(SpoolFull):
        store.sync()
    with store.transaction():
        store.deliveries.accept([(instance(1), [TO_PACS])], clock())
    assert store.changed_elsewhere(), "nobody knows what others did meanwhile"


def test_what_is_remembered_of_rows_ends_with_the_connection(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)
    with store.transaction():
        store.deliveries.accept([(instance(1), [TO_PACS])], clock())
    end_sessions(url)
    with psycopg.connect(url) as connection:
        for table in ("association", "instance", "delivery", "due"):
            connection.execute(f"DELETE FROM {table}".encode())
    with pytest.raises(SpoolFull):
        store.spool.spool_id()  # a statement that no transaction rolls back
    with store.transaction():
        store.deliveries.accept([(instance(2), [TO_PACS])], clock())
    (claimed,) = claim(store, clock)
    assert claimed.instance.association == instance(2).association


def test_a_transaction_does_not_go_on_over_another_connection(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)

    def lose_it_midway() -> None:
        with store.transaction():
            store.deliveries.accept([(instance(1), [TO_PACS])], clock())
            end_sessions(url)
            for _ in range(3):
                with pytest.raises(Exception, match="connection"):
                    store.spool.bind_spool("half")
            store.deliveries.accept([(instance(2), [TO_PACS])], clock())

    with pytest.raises(SpoolFull, match="connection was lost"):
        lose_it_midway()
    assert store.spool.payload_names() == {}
    assert store.spool.spool_id() == ""


def test_the_commit_of_a_transaction_that_failed_is_none(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)

    def fail_unheard() -> None:
        with store.transaction():
            store.deliveries.accept([(instance(1), [TO_PACS])], clock())
            with pytest.raises(psycopg.errors.DivisionByZero):
                store._transactions.made(("SELECT 1/0", {}))

    with pytest.raises(SpoolFull, match="rolled the transaction back"):
        fail_unheard()
    assert store.spool.payload_names() == {}
    with store.transaction():
        store.deliveries.accept([(instance(2), [TO_PACS])], clock())
    assert len(claim(store, clock)) == 1


def test_an_answer_that_nobody_can_use_undoes_all(url: str, open_store: OpenStore, clock: Clock) -> None:
    store = open_store(is_committing=True)

    def no_use(rows: object) -> None:
        raise KeyError("no use")

    def refuse() -> None:
        with store.transaction():
            store.deliveries.accept([(instance(1), [TO_PACS])], clock())
            store._transactions.post("announce", no_use, node="here", destinations=None)
            raise SpoolFull("never mind")

    with pytest.raises(SpoolFull, match="never mind"):
        refuse()
    with store.transaction():
        store.deliveries.accept([(instance(2), [TO_PACS])], clock())
    assert len(claim(store, clock)) == 1


def test_a_server_that_is_away_is_not_asked_by_everybody() -> None:
    server, monotonic = PostgreSQLServer(), SecondsClock()
    server.start()
    try:
        place = address(server.new_database())
        with closing(
            PostgreSQLTransactions(place, queue_clock, guard=HangGuard(60.0), monotonic=monotonic)
        ) as transactions:
            server.kill()
            for _ in range(2):
                with pytest.raises(SpoolFull), PostgreSQLTransaction(transactions):
                    transactions.do("touch_known")
            server.start()
            with pytest.raises(SpoolFull, match="cannot be reached now"), PostgreSQLTransaction(transactions):
                transactions.do("touch_known")
            monotonic.now_s += 1.0
            with PostgreSQLTransaction(transactions):
                assert transactions.do("touch_known") == 1
    finally:
        server.stop()


def test_changes_of_others_are_noticed_and_own_ones_are_not(open_store: OpenStore, clock: Clock) -> None:
    gateway, operator = open_store(is_committing=True), open_store(must_exist=True)
    with gateway.transaction():
        gateway.deliveries.accept([(instance(1), [TO_PACS])], clock())
    assert not gateway.changed_elsewhere()
    with operator.transaction():
        operator.sync()
    with gateway.transaction():
        gateway.sync()
    assert gateway.changed_elsewhere()
    assert not gateway.changed_elsewhere()


def test_prepared_statements_outlive_a_table(open_store: OpenStore) -> None:
    """The driver deallocates all of them after a DROP, once it has prepared one of its own."""
    store = open_store()
    transactions = store._transactions
    for _ in range(6):
        assert transactions.made(("SELECT %(number)s::bigint", {"number": 1})) == 1
    store.sync()
    transactions.change(("CREATE TABLE gone (number bigint)", {}))
    transactions.change(("DROP TABLE gone", {}))
    store.sync()


def test_what_is_read_together_is_of_one_moment(open_store: OpenStore, clock: Clock) -> None:
    gateway, reader = open_store(is_committing=True), open_store(is_read_only=True)
    with reader._transactions.one_state():
        before = reader._transactions.json("payload_names")
        with gateway.transaction():
            gateway.deliveries.accept([(instance(1), [TO_PACS])], clock())
        assert reader._transactions.json("payload_names") == before == []
    assert reader.spool.payload_names()
