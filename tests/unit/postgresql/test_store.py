"""The store as a whole."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import psycopg
import pytest

from gateway.ports.errors import Temporary
from gateway.postgresql.connection import SENT_AT_ONCE_BYTES, Connection, send_at_once
from gateway.postgresql.store import PostgreSQLStore
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
    store = PostgreSQLStore(url.replace("postgres@", f"{role}@"))
    assert [*store._transactions.made_rows(("SHOW synchronous_commit", {}))] == [("on",)]
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


@pytest.mark.parametrize("is_committing", [True, False])
def test_a_group_goes_to_a_server_on_the_same_machine_by_one_call(url: str, *, is_committing: bool) -> None:
    store = PostgreSQLStore(url, is_committing=is_committing, node="north")
    with socket.socket(fileno=os.dup(store._transactions._connection.fileno())) as link:
        assert link.family == socket.AF_UNIX
        length_bytes = link.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    store.close()
    core = Path("/proc/sys/net/core")
    most_bytes, default_bytes = (int((core / name).read_text()) for name in ("wmem_max", "wmem_default"))
    expected_bytes = 2 * min(SENT_AT_ONCE_BYTES, most_bytes) if is_committing else default_bytes
    assert length_bytes == expected_bytes


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_over_tcp_the_system_finds_the_length_by_itself(family: socket.AddressFamily) -> None:
    with socket.socket(family) as link:
        before = link.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        send_at_once(cast("Connection", link))
        assert (link.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before) == (family == socket.AF_INET)


def test_there_are_no_blocks_to_give_back(open_store: OpenStore) -> None:
    store = open_store()
    assert store.surplus_blocks() == 0
    store.release_blocks(10)
    store.consolidate()
    assert store.moved() == ""


def test_two_nodes_that_do_anything_at_once_leave_nothing_undone() -> None:
    total = write_in_parallel(shared_server().new_schema(), writers=2, steps=60, seed=1)
    assert total["instances"] > 0
