"""A connection for single steps beside the store's: what one thread asks over it waits for no other transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.ports.errors import GatewayError, SpoolFull
from gateway.postgresql.address import address
from gateway.postgresql.connection import Connection, connect, database_errors
from gateway.postgresql.hang_guard import HangGuard
from gateway.postgresql.statements import SQL

STATEMENT_LIMIT_S = 3.0
"""The longest statement: a lease has to be renewed within seconds."""


class StepConnection:
    """One thread at a time uses it. The connection is made with the first step, and anew when it was lost."""

    def __init__(self, url: str, statement_limit_s: float = STATEMENT_LIMIT_S) -> None:
        self._place = address(url)
        self._guard = HangGuard(statement_limit_s)
        self._connection: Connection | None = None
        self._is_closed = False

    def close(self) -> None:
        """Any thread; a step that runs fails."""
        self._is_closed = True
        self._guard.cut()
        self._guard.close()
        if self._connection is not None:
            self._connection.close()

    def _live(self) -> Connection:
        """The connection. Raises SpoolFull: there is none now, whatever the reason."""
        if self._is_closed:
            raise SpoolFull(f"database {self._place.shown}: the connection was closed")
        if self._connection is None or self._connection.closed:
            try:
                self._connection = connect(
                    self._place, must_exist=True, is_read_only=False, prepare=let_go_when_frozen, opened=self._watch
                )
            except GatewayError as error:
                raise SpoolFull(str(error)) from error
            finally:
                self._guard.end()
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with database_errors(self._place.shown):
            connection = self._live()
            self._watch(connection)
            try:
                with connection.transaction():
                    yield
                    self._watch(connection)
            finally:
                self._guard.end()

    def _watch(self, connection: Connection) -> None:
        self._guard.begin(connection.fileno())

    def _run(self, name: str, **values: Any) -> Any:
        """The one value that the statement gives; None when it gives no rows."""
        with database_errors(self._place.shown):
            connection = self._live()
            self._watch(connection)
            try:
                cursor = connection.execute(SQL[name].encode(), values)
                row = cursor.fetchone() if cursor.description else None
            finally:
                self._guard.end()
        return None if row is None else row[0]

    def _rows(self, name: str, **values: Any) -> list[Any]:
        """The rows that the statement gives as JSON."""
        found: list[Any] = json.loads(self._run(name, **values))
        return found


def let_go_when_frozen(connection: Connection) -> None:
    """The server ends a transaction of a process that is frozen: its locks would keep leases from other nodes."""
    connection.execute("SET idle_in_transaction_session_timeout TO '3s'")
