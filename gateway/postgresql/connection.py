"""A connection to a PostgreSQL database that holds a gateway's queue: opening, schema, errors in our words."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any

import psycopg
from psycopg import errors
from psycopg.types.string import TextLoader

from gateway.ports.errors import (
    ConfigurationError,
    GatewayError,
    QueueBroken,
    SpoolFull,
    Temporary,
    TransactionConflict,
)
from gateway.postgresql.address import DatabaseAddress
from gateway.postgresql.statements import SCHEMA_VERSION, SQL

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST_SERVER = 140000
"""PostgreSQL 14, as `server_version` has it."""

SESSION = {
    "client_encoding": "UTF8",
    "jit": "off",  # to compile one of these statements takes longer than to run it
    "random_page_cost": "1.1",  # for rotating disks it is 4: a batch would read whole tables of some ten thousand rows
    "default_transaction_isolation": "read committed",  # what is locked is then seen as the one before left it
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "5",  # the server ends the session, and its lock, of a host that is gone
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""Settings of each session."""

SENT_AT_ONCE_BYTES = 4 * 1024**2
"""The payloads of a group; the system reserves twice as much, for what it needs itself."""

NOT_FOR_LONG = (
    "starting up",
    "shutting down",
    "not yet accepting",
    "recovery mode",
    "too many",
    "remaining connection",
)
"""Parts of messages of a server that takes connections later. libpq gives no code for a connection that failed."""


def connect(
    place: DatabaseAddress,
    *,
    must_exist: bool,
    is_read_only: bool,
    prepare: Callable[[Connection], None] = lambda connection: None,
    opened: Callable[[Connection], None] = lambda connection: None,
) -> Connection:
    """Open the database; its tables are made and brought up to date when needed, unless they `must_exist`.

    `opened` is called with the connection before anything is asked over it, `prepare` when all else is done.

    Raises:
        ConfigurationError: the server refuses it, or the database is something else or of a newer version.
        SpoolFull: the server cannot be reached now.
    """
    connection = open_connection(place)
    try:
        opened(connection)
        _begin_session(connection, place, is_read_only=is_read_only)
        check_version(connection, place)
        _bring_up_to_date(connection, place, must_exist=must_exist or is_read_only)
        prepare(connection)
    except psycopg.Error as error:
        connection.close()
        raise at_opening(place, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def send_at_once(connection: Connection) -> None:
    """Let a group of a node go to a server on the same machine by one call, as far as the system permits it
    (`net.core.wmem_max`): libpq moves all that is left each time the system takes a part.

    Over TCP the system finds the length by itself, and ends to do so when one is set.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as link:
        if link.family == socket.AF_UNIX:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AT_ONCE_BYTES)


def open_connection(place: DatabaseAddress) -> Connection:
    """A connection as it comes. Raises as `connect`."""
    try:
        return psycopg.connect(place.conninfo, autocommit=True)
    except psycopg.Error as error:
        raise at_opening(place, error) from error


def at_opening(place: DatabaseAddress, error: psycopg.Error) -> GatewayError:
    """The error of a connection that could not be opened."""
    text = " ".join(str(error).split())
    is_refusal = "FATAL" in text and not any(part in text for part in NOT_FOR_LONG)
    if isinstance(error, errors.InsufficientPrivilege):
        remedy = "have its owner grant the gateway's role CREATE and USAGE on the schema"
        return ConfigurationError(f"database {place.shown}: the role lacks a right: {text}; {remedy}")
    if isinstance(error, errors.DuplicateTable | errors.DuplicateObject | errors.DuplicateFunction):
        return ConfigurationError(
            f"database {place.shown}: its schema holds something else ({text}); name an empty database or schema"
        )
    if is_refusal or (isinstance(error, psycopg.ProgrammingError) and error.sqlstate is not None):
        remedy = "correct `gateway.store.postgresql`, or what the server permits"
        return ConfigurationError(f"database {place.shown}: the server refuses it: {text}; {remedy}")
    return SpoolFull(f"database {place.shown}: it cannot be reached now: {text}")


def _begin_session(connection: Connection, place: DatabaseAddress, *, is_read_only: bool) -> None:
    info = connection.info
    if info.server_version < OLDEST_SERVER:
        raise ConfigurationError(
            f"database {place.shown}: PostgreSQL {info.parameter_status('server_version')} is too old; "
            f"it takes {OLDEST_SERVER // 10000} or newer"
        )
    if info.parameter_status("server_encoding") != "UTF8":
        encoding = info.parameter_status("server_encoding")
        raise ConfigurationError(f"database {place.shown}: its encoding is {encoding}; make one with ENCODING 'UTF8'")
    connection.adapters.register_loader("json", TextLoader)  # parsed where it is read, at once
    for name, value in SESSION.items():
        connection.execute(f"SET {name} TO '{value}'".encode())
    if is_read_only:
        connection.execute("SET default_transaction_read_only TO on")
    else:  # as the server has it now, and never less while this session lasts
        found = _one(connection, "SHOW synchronous_commit")
        connection.execute(f"SET synchronous_commit TO {'on' if found == 'off' else found}".encode())


def _one(connection: Connection, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]


def version_of(connection: Connection) -> int:
    """The schema version of the tables; 0 when there are none of ours. Raises psycopg.Error."""
    return int(_one(connection, SQL["schema_version"])) if _one(connection, SQL["has_tables"]) else 0


def check_version(connection: Connection, place: DatabaseAddress) -> None:
    """Raises ConfigurationError when a newer version made the tables, and left out this one."""
    version = version_of(connection)
    if version > SCHEMA_VERSION and int(_one(connection, SQL["oldest_version"])) > SCHEMA_VERSION:
        raise ConfigurationError(
            f"database {place.shown}: made by a newer gateway (schema {version}, this one knows {SCHEMA_VERSION}); "
            "run that version, or name another database"
        )


def _bring_up_to_date(connection: Connection, place: DatabaseAddress, *, must_exist: bool) -> None:
    version = version_of(connection)
    if version >= SCHEMA_VERSION:
        return
    if must_exist:
        what = f"it has schema {version}, this version needs {SCHEMA_VERSION}" if version else "it holds no queue"
        raise ConfigurationError(f"database {place.shown}: {what}; start the gateway once, or name its database")
    _migrate(connection)


def _migrate(connection: Connection) -> None:
    """All steps in one transaction; a second process that comes meanwhile waits, and finds all done."""
    with connection.transaction():
        connection.execute(SQL["take_migration_lock"].encode())
        for version in range(version_of(connection) + 1, SCHEMA_VERSION + 1):
            connection.execute(SQL[f"schema_{version}"].encode())
            connection.execute(SQL["set_schema_version"].encode(), {"version": version})


class database_errors:
    """PostgreSQL's errors as the gateway's, sorted by who must act.

    Raises:
        SpoolFull: the server has no room, takes nothing, or is gone.
        Temporary: another session holds what is needed, or the statement was interrupted.
        TransactionConflict: the transaction met another one in a ring of locks, or the server ended it since it stood
            still; all of it may be done again.
        QueueBroken: data are damaged, or tables are gone.
    """

    __slots__ = ("_shown",)

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, psycopg.Error) and (translated := _gateway_error(self._shown, error)) is not None:
            raise translated from error


def _gateway_error(shown: str, error: psycopg.Error) -> GatewayError | None:
    """None for an error that is a fault of ours."""
    text = " ".join(str(error).split())
    match error:
        case errors.DiskFull():
            return SpoolFull(f"database {shown}: the server takes no more: {text}")
        case errors.DataCorrupted() | errors.IndexCorrupted() | errors.UndefinedTable() | errors.InvalidSchemaName():
            return QueueBroken(f"database {shown}: it is damaged, or not ours any more: {text}; restore it")
        case errors.QueryCanceled():
            return Temporary(f"database {shown}: the statement was interrupted")
        case errors.ReadOnlySqlTransaction() | errors.InsufficientPrivilege():
            return SpoolFull(f"database {shown}: it takes nothing from us now: {text}")
        case errors.DeadlockDetected() | errors.SerializationFailure() | errors.IdleInTransactionSessionTimeout():
            return TransactionConflict(f"database {shown}: {text}")
        case errors.LockNotAvailable():
            return Temporary(f"database {shown}: {text}")
        case psycopg.OperationalError() | errors.InternalError_():
            return SpoolFull(f"database {shown}: {text}")
    return None
