"""One gateway a schema: a session-level advisory lock, which ends with its connection however that ends."""

from __future__ import annotations

import structlog
from psycopg import errors

from gateway.ports.errors import ConfigurationError, SpoolFull
from gateway.postgresql.address import DatabaseAddress
from gateway.postgresql.connection import Connection
from gateway.postgresql.statements import SQL

log = structlog.get_logger()

AT_START_S = 15.0
"""The time that a start waits for the lock: a server notices within eleven seconds that the host of a session is gone
(`gateway.postgresql.connection.SESSION`), and a session of a process that was killed ends a moment after it."""
AGAIN_S = 2.0
"""The same for a gateway that runs: its committer waits."""


class GatewayLock:
    """The lock of one gateway, which each of its connections takes anew. A session of ours that the server does not
    know to be gone yet is ended."""

    def __init__(self, place: DatabaseAddress, at_start_s: float = AT_START_S) -> None:
        self._place = place
        self._at_start_s = at_start_s
        self._session: tuple[object, ...] = ()

    def take(self, connection: Connection) -> None:
        """Raises ConfigurationError at first, SpoolFull later: another gateway uses the schema."""
        if not _has_taken(connection):
            other = holder(connection)
            if self._session and other == self._session:
                connection.execute("SELECT pg_terminate_backend(%s, 2000)", (self._session[0],))
            self._wait(connection, other)
        self._session = holder(connection)

    def _wait(self, connection: Connection, other: tuple[object, ...]) -> None:
        """Take the lock when the session that holds it ends. Raises as `take`."""
        limit_s = AGAIN_S if self._session else self._at_start_s
        log.warning("database_lock_awaited", database=self._place.shown, holder=_host(other), at_most_s=limit_s)
        connection.execute(f"SET lock_timeout TO {round(limit_s * 1000)}".encode())
        try:
            connection.execute(SQL["await_lock"].encode())
        except errors.LockNotAvailable:
            raise self._in_use(connection) from None
        connection.execute("SET lock_timeout TO 0")

    def _in_use(self, connection: Connection) -> ConfigurationError | SpoolFull:
        what = f"database {self._place.shown}: another gateway uses it (from {_host(holder(connection))})"
        if self._session:
            return SpoolFull(what)
        return ConfigurationError(f"{what}; stop that one, or name another database or schema")


def _has_taken(connection: Connection) -> bool:
    row = connection.execute(SQL["try_lock"].encode()).fetchone()
    return row is not None and bool(row[0])


def _host(session: tuple[object, ...]) -> str:
    return str(session[1]) if session else "an unknown machine"


def holder(connection: Connection) -> tuple[object, ...]:
    """(process of the server, host, begin) of the session that holds the lock; empty when none does."""
    return connection.execute(SQL["lock_holder"].encode()).fetchone() or ()
