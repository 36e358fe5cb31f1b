"""Opening a database, and PostgreSQL's errors in the gateway's words."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import pytest
from psycopg import errors

from gateway.ports.errors import ConfigurationError, QueueBroken, SpoolFull, Temporary, TransactionConflict
from gateway.postgresql.address import address
from gateway.postgresql.connection import connect, database_errors, version_of
from gateway.postgresql.statements import SCHEMA_VERSION
from tests.support.postgresql_server import shared_server

pytestmark = pytest.mark.postgresql


@contextmanager
def superuser(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_tables_are_made_once(url: str) -> None:
    for _ in range(2):
        with closing(connect(address(url), must_exist=False, is_read_only=False)) as connection:
            assert version_of(connection) == SCHEMA_VERSION


def test_processes_that_make_them_at_once_wait_for_each_other(url: str) -> None:
    def make(_: int) -> int:
        with closing(connect(address(url), must_exist=False, is_read_only=False)) as connection:
            return version_of(connection)

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(make, range(4))] == [SCHEMA_VERSION] * 4


@pytest.mark.parametrize("is_read_only", [True, False], ids=["looking", "must exist"])
def test_nothing_is_made_by_looking(url: str, *, is_read_only: bool) -> None:
    with pytest.raises(ConfigurationError, match="it holds no queue; start the gateway once"):
        connect(address(url), must_exist=not is_read_only, is_read_only=is_read_only)
    with superuser(url) as connection:
        assert version_of(connection) == 0


def test_who_looks_cannot_write(url: str) -> None:
    connect(address(url), must_exist=False, is_read_only=False).close()
    looking = connect(address(url), must_exist=True, is_read_only=True)
    with closing(looking), pytest.raises(errors.ReadOnlySqlTransaction):
        looking.execute("DELETE FROM known")


def test_tables_of_a_newer_version_are_refused(url: str) -> None:
    connect(address(url), must_exist=False, is_read_only=False).close()
    with superuser(url) as connection:
        connection.execute("UPDATE gateway_schema SET version = 99, oldest = 99")
    with pytest.raises(ConfigurationError, match="made by a newer gateway"):
        connect(address(url), must_exist=False, is_read_only=False)


def test_tables_of_something_else_are_left_alone(url: str) -> None:
    with superuser(url) as connection:
        connection.execute("CREATE TABLE instance (mine text)")
        with pytest.raises(ConfigurationError, match="holds something else"):
            connect(address(url), must_exist=False, is_read_only=False)
        assert version_of(connection) == 0, "the whole step is undone"


def test_a_database_in_another_encoding_is_refused() -> None:
    server = shared_server()
    server.execute(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with pytest.raises(ConfigurationError, match="its encoding is LATIN1"):
        connect(address(server.address("latin")), must_exist=False, is_read_only=False)
    server.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_role_without_rights_is_refused(url: str) -> None:
    server = shared_server()
    server.execute("CREATE ROLE poor LOGIN")
    with superuser(url) as connection:
        connection.execute("SELECT 1")
    schema = url.rpartition("%3D")[2]
    server.execute(f"GRANT USAGE ON SCHEMA {schema} TO poor")
    with pytest.raises(ConfigurationError, match="lacks a right"):
        connect(address(url.replace("postgres@", "poor@")), must_exist=False, is_read_only=False)
    server.execute(f"REVOKE USAGE ON SCHEMA {schema} FROM poor; DROP ROLE poor")


REFUSED = {
    "no such database": ("nowhere", "postgres", ConfigurationError, "the server refuses it"),
    "no such role": ("postgres", "nobody-here", ConfigurationError, "the server refuses it"),
}


@pytest.mark.parametrize(("database", "user", "kind", "text"), REFUSED.values(), ids=REFUSED)
def test_what_the_server_refuses_is_for_an_operator(database: str, user: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        connect(address(shared_server().address(database, user)), must_exist=False, is_read_only=False)


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(SpoolFull, match="cannot be reached now"):
        connect(address("postgresql:///x?host=/nonexistent"), must_exist=False, is_read_only=False)


TRANSLATED: dict[str, tuple[psycopg.Error, type[Exception]]] = {
    "no room": (errors.DiskFull("53100"), SpoolFull),
    "connection lost": (psycopg.OperationalError("server closed the connection"), SpoolFull),
    "shut down": (errors.AdminShutdown("57P01"), SpoolFull),
    "a standby": (errors.ReadOnlySqlTransaction("25006"), SpoolFull),
    "rights were taken": (errors.InsufficientPrivilege("42501"), SpoolFull),
    "interrupted": (errors.QueryCanceled("57014"), Temporary),
    "deadlock": (errors.DeadlockDetected("40P01"), TransactionConflict),
    "two that do not go together": (errors.SerializationFailure("40001"), TransactionConflict),
    "a transaction that stood still": (errors.IdleInTransactionSessionTimeout("25P03"), TransactionConflict),
    "a lock that another one has": (errors.LockNotAvailable("55P03"), Temporary),
    "damaged": (errors.DataCorrupted("XX001"), QueueBroken),
    "tables are gone": (errors.UndefinedTable("42P01"), QueueBroken),
    "a fault of ours": (errors.InvalidTextRepresentation("22P02"), errors.InvalidTextRepresentation),
}


@pytest.mark.parametrize(("error", "expected"), TRANSLATED.values(), ids=TRANSLATED)
def test_errors_are_sorted_by_who_must_act(error: psycopg.Error, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, database_errors("postgresql db/pacs"):
        raise error
    assert type(caught.value) is expected
