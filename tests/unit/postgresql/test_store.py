"""The store as a whole."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from gateway.ports.errors import Temporary
from tests.support.parallel_writers import write_in_parallel
from tests.support.postgresql_server import shared_server
from tests.support.processes import GUARD_S, POLL_S
from tests.unit.postgresql.conftest import OpenStore

pytestmark = pytest.mark.postgresql

IS_ASLEEP = "SELECT 1 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND wait_event = 'PgSleep'"


def test_a_statement_that_runs_can_be_interrupted(url: str, open_store: OpenStore) -> None:
    store = open_store()

    def interrupt_when_it_runs() -> None:
        deadline_s = time.monotonic() + GUARD_S
        with psycopg.connect(url, autocommit=True) as look:
            while not look.execute(IS_ASLEEP).fetchall():
                assert time.monotonic() < deadline_s
                time.sleep(POLL_S)
        store.interrupt()

    with ThreadPoolExecutor(1) as thread:
        interrupting = thread.submit(interrupt_when_it_runs)
        with pytest.raises(Temporary, match="interrupted"), store._transactions.errors():
            store._transactions.made_rows(("SELECT pg_sleep(600)", {}))
        interrupting.result()
    store.sync()


def test_transactions_are_durable_whatever_the_session_was_given(url: str, open_store: OpenStore) -> None:
    role = "forgetful"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER".encode())
        connection.execute(f"ALTER ROLE {role} SET synchronous_commit TO off".encode())
    from gateway.postgresql.store import PostgreSQLStore

    store = PostgreSQLStore(url.replace("postgres@", f"{role}@"))
    assert [*store._transactions.made_rows(("SHOW synchronous_commit", {}))] == [("on",)]
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_there_are_no_blocks_to_give_back(open_store: OpenStore) -> None:
    store = open_store()
    assert store.surplus_blocks() == 0
    store.release_blocks(10)
    store.consolidate()
    assert store.moved() == ""


def test_two_nodes_that_do_anything_at_once_leave_nothing_undone() -> None:
    total = write_in_parallel(shared_server().new_schema(), writers=2, steps=60, seed=1)
    assert total["instances"] > 0
