"""A commit of which the server warns is none: its synchronous standby is away, and the commit is cancelled."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from gateway.ports.errors import SpoolFull
from gateway.postgresql.address import address
from gateway.postgresql.connection import connect
from gateway.postgresql.store import PostgreSQLStore
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.processes import GUARD_S, POLL_S
from tests.support.samples import TO_PACS, Clock, instance

pytestmark = pytest.mark.postgresql

CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    made = PostgreSQLServer()
    made.start()
    yield made
    made.stop()


def take(store: PostgreSQLStore, number: int, clock: Clock) -> None:
    with store.transaction():
        store.deliveries.accept([(instance(number), [TO_PACS])], clock())


def test_a_commit_that_did_not_wait_for_the_standby_is_none(server: PostgreSQLServer) -> None:
    clock = Clock()
    url = server.new_database()
    with closing(PostgreSQLStore(url, now=clock, is_committing=True)) as store, ThreadPoolExecutor(1) as thread:
        take(store, 1, clock)
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        server.execute("SELECT pg_reload_conf()")
        numbers = itertools.count(2)
        taking = thread.submit(take, store, next(numbers), clock)
        with psycopg.connect(url, autocommit=True) as operator:
            deadline = time.monotonic() + GUARD_S
            while not operator.execute(CANCEL.encode()).fetchall():
                if taking.done():  # the server had not read its settings
                    taking.result()
                    taking = thread.submit(take, store, next(numbers), clock)
                assert time.monotonic() < deadline
                time.sleep(POLL_S)
        with pytest.raises(SpoolFull, match=r"warns of a commit: .* might not have been replicated"):
            taking.result(GUARD_S)
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
        take(store, next(numbers), clock)


WARN = """
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'vacuum'; RETURN NULL; END $$;
CREATE TRIGGER warn AFTER INSERT ON instance EXECUTE FUNCTION warn();
"""


def test_other_warnings_stop_no_commit(server: PostgreSQLServer) -> None:
    clock, url = Clock(), server.new_database()
    with closing(PostgreSQLStore(url, now=clock, is_committing=True)) as store:
        with psycopg.connect(url, autocommit=True) as operator:
            operator.execute(WARN.encode())
        take(store, 1, clock)


def test_a_session_stays_as_durable_as_it_began(server: PostgreSQLServer) -> None:
    url = server.new_database()
    with (
        connect(address(url), must_exist=False, is_read_only=False) as connection,
        psycopg.connect(url, autocommit=True) as other,
    ):
        server.execute("ALTER SYSTEM SET synchronous_commit = off")
        server.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + GUARD_S
        while other.execute("SHOW synchronous_commit").fetchone() != ("off",):
            assert time.monotonic() < deadline
            time.sleep(POLL_S)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
