"""Transactions and named statements on one connection, which is made anew when it was lost."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import psycopg

from gateway.ports.errors import GatewayError, SpoolFull
from gateway.postgresql.address import DatabaseAddress
from gateway.postgresql.commit_warnings import CommitWarnings
from gateway.postgresql.connection import Connection, connect, database_errors
from gateway.postgresql.hang_guard import HangGuard
from gateway.postgresql.pipeline import Fault, Pipeline, Reply
from gateway.postgresql.statements import SQL
from gateway.relational.statements import MadeStatement, QueueTime, Statements

CHANGED = "gateway_changed"
"""Channel on which a process beside the gateway says that it changed the queue; the payload is the schema."""
TRIED_AGAIN_S = 0.5
"""The time between two tries to connect: each may take as long as `CONNECT_LIMIT_S`, and somebody waits for it."""


class PostgreSQLTransactions:
    """Transactions on one connection, used by one thread at a time.

    Every transaction is as durable as the server makes one (`synchronous_commit`): a server that crashes must lose
    nothing that this process knows of, for the process goes on. Each of `prepare` is called with each new connection,
    which `guard` watches; others are told of each commit, unless it `is_quiet`. `on_roll_back` is called right after a
    transaction was rolled back, or a connection was made anew; `on_commit` after each commit.

    Inside a transaction a statement may wait for the next one whose answer is needed, at the latest for the commit
    (`post`, `send`): they are sent together, and one that fails fails the next call.

    Raises (opening): as `gateway.postgresql.connection.connect`.
    """

    def __init__(
        self,
        place: DatabaseAddress,
        clock: Callable[[Statements], QueueTime],
        *,
        must_exist: bool = False,
        is_read_only: bool = False,
        is_committing: bool = False,
        is_quiet: bool = False,
        guard: HangGuard,
        prepare: Sequence[Callable[[Connection], None]] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self._must_exist = must_exist
        self._is_read_only = is_read_only
        self._is_committing = is_committing
        self._is_quiet = is_quiet or is_committing or is_read_only
        self._prepare = prepare
        self._guard = guard
        self._warnings = CommitWarnings(place.shown)
        self.on_roll_back: list[Callable[[], None]] = []
        self.on_commit: list[Callable[[], None]] = []
        self._monotonic = monotonic
        self._problem = ""
        self._not_before_s = 0.0
        self._is_begun = False
        self._is_changed_elsewhere = False
        self._is_started = False
        with ExitStack() as undo:
            undo.callback(guard.close)
            self._connection = self._connect()
            undo.callback(self._connection.close)
            self.clock = clock(self)
            undo.pop_all()
        self._is_started = True

    # --- the connection -----------------------------------------------------------------------------------------

    def _connect(self) -> Connection:
        try:
            connection = connect(
                self.place,
                must_exist=self._must_exist,
                is_read_only=self._is_read_only,
                prepare=self._set_up,
                opened=self._watch,
            )
        finally:
            self._guard.end()
        self._problem = ""
        self._pipeline = Pipeline(connection)
        return connection

    def _watch(self, connection: Connection) -> None:
        """A connection that is made anew is watched from the beginning. The first one may take its time: it waits for
        the lock, and makes tables."""
        if self._is_started:
            self._guard.begin(connection.fileno())

    def _set_up(self, connection: Connection) -> None:
        self._warnings.watch(connection)
        for prepare in self._prepare:
            prepare(connection)
        self._schema = connection.execute("SELECT current_schema()").fetchone()
        if self._is_committing:
            connection.add_notify_handler(self._notified)
            connection.execute(f"LISTEN {CHANGED}".encode())

    def _notified(self, notification: psycopg.Notify) -> None:
        if (notification.payload,) == self._schema:
            self._is_changed_elsewhere = True

    def changed_elsewhere(self) -> bool:
        """True when another process changed the queue since this was asked last, or might have."""
        self._live()
        was, self._is_changed_elsewhere = self._is_changed_elsewhere, False
        return was

    def _live(self) -> Connection:
        """The connection; a new one when the last one was lost, but for the rest of a transaction. Raises SpoolFull."""
        connection = self._connection
        if not connection.closed:
            return connection
        if self._is_begun or self._monotonic() < self._not_before_s:
            raise SpoolFull(self._problem or f"database {self.place.shown}: the connection was lost")
        try:
            self._connection = connection = self._connect()
        except GatewayError as error:
            self._problem = str(error)
            self._not_before_s = self._monotonic() + TRIED_AGAIN_S
            raise SpoolFull(str(error)) from error
        self._is_changed_elsewhere = True
        for forget in self.on_roll_back:  # rows that are remembered may be gone
            forget()
        return connection

    def interrupt(self) -> None:
        """End the statement that runs. Any thread."""
        with contextlib.suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=2.0)

    def close(self) -> None:
        self._guard.close()
        self._connection.close()

    # --- transactions -------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """True inside a transaction."""
        return self._is_begun

    def begin(self, how: str = "BEGIN") -> None:
        """Raises psycopg.Error, Temporary."""
        self._live()
        self._is_begun = True
        self._warnings.forget()
        try:
            self._pipeline.send(how, {})
        except BaseException:
            self.roll_back()
            raise

    def commit(self) -> None:
        """Raises psycopg.Error; when the connection is lost meanwhile, nobody knows whether it was committed."""
        try:
            self.clock.keep()
            if not self._is_quiet:
                self._submit(f"SELECT pg_notify('{CHANGED}', current_schema())", {})
            committed = self._submit("COMMIT", {})
            self._collect()
            if committed.tag != b"COMMIT":  # of a transaction that had failed
                raise SpoolFull(f"database {self.place.shown}: the server rolled the transaction back")
            self._warnings.check()
        except BaseException:
            self.roll_back()
            raise
        self._is_begun = False
        for learn in self.on_commit:
            learn()

    def roll_back(self) -> None:
        """Undo all of it; a connection that does not even take that is given up."""
        for forget in self.on_roll_back:
            forget()
        self._pipeline.drop_callbacks()
        try:
            if not self._connection.closed:
                with contextlib.suppress(psycopg.Error, GatewayError):  # of what was sent and not asked for yet
                    self._collect()
            if not self._connection.closed:
                self._pipeline.send("ROLLBACK", {})
                self._collect()
        except BaseException as error:
            self._connection.close()
            if not isinstance(error, psycopg.Error):
                raise
        finally:
            self._is_begun = False

    def errors(self) -> database_errors:
        """PostgreSQL's errors inside become the gateway's."""
        return database_errors(self.place.shown)

    @contextmanager
    def one_state(self) -> Generator[None]:
        """Several statements that read see one state of the database."""
        with self.errors():
            if self.is_open:
                yield
                return
            self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield
            finally:
                self.roll_back()

    # --- statements ---------------------------------------------------------------------------------------------

    def _submit(self, statement: str, values: dict[str, Any], **how: Any) -> Reply:
        self._live()
        return self._pipeline.send(statement, values, **how)

    def _collect(self) -> None:
        """Wait for the answers to all that was sent."""
        if self._pipeline.is_empty:
            return
        self._guard.begin(self._connection.fileno())
        try:
            self._pipeline.collect()
        finally:
            self._guard.end()

    def _answered(self, name: str, values: dict[str, Any]) -> Reply:
        reply = self._submit(SQL[name], values, name=name)
        self._collect()
        return reply

    def _execute(self, statement: MadeStatement, *, is_binary: bool = False) -> psycopg.Cursor[tuple[Any, ...]]:
        """By the driver, which writes values of any type, and prepares what comes often."""
        connection = self._live()
        self._collect()
        self._guard.begin(connection.fileno())
        try:
            return connection.execute(statement[0].encode(), statement[1], binary=is_binary)
        finally:
            self._guard.end()

    def post(self, name: str, then: Callable[[list[tuple[Any, ...]]], object] | None = None, **values: Any) -> None:
        """Run a named statement whose answer nobody waits for: it is sent with the next one, and `then` gets its rows
        by the end of the transaction."""
        self._submit(SQL[name], values, name=name, then=None if then is None else lambda reply: then(reply.rows()))
        if not self.is_open:
            self._collect()

    def made_together(self, statement: MadeStatement, fault: Fault) -> Any:
        """The one value of a statement that was made for it, whose values are numbers and bytes; it is sent with those
        that wait. `fault` makes another error of what it fails with."""
        reply = self._submit(*statement, fault=fault)
        self._collect()
        return _alone(reply.rows())

    def send(self, name: str, **values: Any) -> Callable[[], Any]:
        """Run a named statement with the next ones. The function waits for its one value, which is JSON."""
        reply = self._submit(SQL[name], values, name=name)

        def answer() -> Any:
            if reply.result is None:
                self._collect()
            return _parsed(_alone(reply.rows()))

        return answer

    def do(self, name: str, **values: Any) -> int:
        """Run a named statement; the number of rows it changed."""
        return self._answered(name, values).changed

    def rows(self, name: str, **values: Any) -> Iterable[tuple[Any, ...]]:
        """The rows that a named statement gives."""
        return self._answered(name, values).rows()

    def json(self, name: str, **values: Any) -> Any:
        """The one value of a named statement, which is JSON."""
        return _parsed(self.single(name, **values))

    def single(self, name: str, **values: Any) -> Any:
        """The one value, or the tuple of the one row, that a named statement gives; None without a row."""
        return _alone(self._answered(name, values).rows())

    def made(self, statement: MadeStatement, *, is_binary: bool = False) -> Any:
        """The one value that a statement gives which was made for it; None without a row. `is_binary` is for long
        values that are bytes."""
        return _alone(self._execute(statement, is_binary=is_binary).fetchall())

    def made_rows(self, statement: MadeStatement, *, is_binary: bool = False) -> Iterable[tuple[Any, ...]]:
        """The rows of such a statement."""
        return self._execute(statement, is_binary=is_binary).fetchall()

    def change(self, statement: MadeStatement) -> int:
        """Run a statement that gives nothing, and has numbers and texts for values; the number of rows it changed. The
        driver would forget all prepared statements after a DROP."""
        reply = self._submit(*statement)
        self._collect()
        return reply.changed


def _parsed(text: str) -> Any:
    return [] if text == "[]" else json.loads(text)


def _alone(rows: Sequence[tuple[Any, ...]]) -> Any:
    """The one value, or the one row."""
    if not rows:
        return None
    return rows[0][0] if len(rows[0]) == 1 else rows[0]


class PostgreSQLTransaction:
    """One of them as a context."""

    __slots__ = ("_transactions",)

    def __init__(self, transactions: PostgreSQLTransactions) -> None:
        self._transactions = transactions

    def __enter__(self) -> None:
        with self._transactions.errors():
            self._transactions.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._transactions.errors():
            if error is None:
                self._transactions.commit()
                return
            self._transactions.roll_back()
            if isinstance(error, psycopg.Error):
                raise error
