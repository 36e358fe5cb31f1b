"""Transactions and named statements on one connection, and who must learn that what it knew is void."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from gateway.relational.queue_clock import QueueClock
from gateway.relational.rows import fit
from gateway.relational.statements import MadeStatement, Statements
from gateway.sqlite.connection import our_errors, single
from gateway.sqlite.log_checkpoints import LogCheckpoints
from gateway.sqlite.statements import SQL


class Transactions:
    """Transactions on one connection, used by one thread at a time.

    `on_foreign_write` is called at the beginning of a transaction when another connection wrote since the last one, or
    when the last one was rolled back; `on_roll_back` right after a transaction was rolled back.
    """

    def __init__(
        self, connection: apsw.Connection, path: Path, wal: LogCheckpoints, clock: Callable[[Statements], QueueClock]
    ) -> None:
        self.path = path
        self.connection = connection
        self._wal = wal
        self._is_synchronous_full = True
        self._data_version = -1
        """The data version of the file as the last transaction left it; -1 when the knowledge of that is void."""
        self.on_foreign_write: list[Callable[[], None]] = []
        self.on_roll_back: list[Callable[[], None]] = []
        self.clock = clock(self)

    def begin(self, is_durable: bool) -> None:
        """Raises apsw.Error."""
        self._wal.before_transaction()
        if is_durable != self._is_synchronous_full:
            self.connection.pragma("synchronous", "FULL" if is_durable else "NORMAL")
            self._is_synchronous_full = is_durable
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self._refresh()
        except BaseException:
            self._roll_back()
            raise

    def commit(self) -> None:
        """Raises apsw.Error; then all of it was rolled back."""
        try:
            self.clock.keep()
            self.connection.execute("COMMIT")
            self._data_version = self.connection.data_version()  # our own change is known
        except BaseException as error:
            self.give_up(error)
            raise
        self._wal.after_commit()

    def give_up(self, error: BaseException) -> None:
        """Roll back after `error`."""
        self._wal.doubt(error)
        self._roll_back()
        self._wal.after_failure(error)

    def _roll_back(self) -> None:
        self._data_version = -1  # what this transaction wrote never was
        for forget in self.on_roll_back:
            forget()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _refresh(self) -> None:
        """Let the parts learn anew, unless nobody else wrote since."""
        data_version = self.connection.data_version()
        if self._data_version == data_version:
            return
        for learn in self.on_foreign_write:
            learn()
        self._data_version = data_version

    def errors(self) -> our_errors:
        """SQLite's errors inside become the gateway's."""
        return our_errors(self.path)

    @contextmanager
    def one_state(self) -> Generator[None]:
        """Several statements that read see one state of the file, whatever other connections commit meanwhile."""
        with our_errors(self.path):
            if self.connection.in_transaction:
                yield
                return
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                self._end_reading()

    def _end_reading(self) -> None:
        while self.connection.in_transaction:
            with suppress(apsw.InterruptError):  # meant for the statement before
                self.connection.execute("ROLLBACK")

    # --- statements ---------------------------------------------------------------------------------------------

    def do(self, name: str, **values: Any) -> int:
        """Run a named statement; the number of rows it changed."""
        self.connection.execute(SQL[name], values)
        return self.connection.changes()

    def post(self, name: str, then: Callable[[list[tuple[Any, ...]]], object] | None = None, **values: Any) -> None:
        """Run a named statement at once; `then` gets its rows."""
        found = self.connection.execute(SQL[name], values)
        if then is not None:
            then(found.fetchall())

    def insert(self, name: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a named statement that inserts one row, for many. One statement of SQL for all rows takes longer: its
        text depends on their number, so that SQLite often has to compile it."""
        self.connection.executemany(SQL[name], fit(rows))

    def rows(self, name: str, **values: Any) -> Iterable[tuple[Any, ...]]:
        """The rows that a named statement gives."""
        return self.connection.execute(SQL[name], values)

    def json(self, name: str, **values: Any) -> Any:
        """The one value of a named statement, which is JSON."""
        text = single(self.connection, name, values)
        return [] if text == "[]" else json.loads(text)

    def single(self, name: str, **values: Any) -> Any:
        """The one value, or the tuple of the one row, that a named statement gives; None without a row."""
        return single(self.connection, name, values)

    def made(self, statement: MadeStatement) -> Any:
        """The one value that a statement gives which was made for it; None without a row."""
        return self.connection.execute(*statement).get

    def made_rows(self, statement: MadeStatement) -> Iterable[tuple[Any, ...]]:
        """The rows of such a statement."""
        return self.connection.execute(*statement)


class Transaction:
    """One of them as a context; a generator takes longer than some of the statements inside."""

    __slots__ = ("_is_durable", "_transactions")

    def __init__(self, transactions: Transactions, is_durable: bool) -> None:
        self._transactions = transactions
        self._is_durable = is_durable

    def __enter__(self) -> None:
        with our_errors(self._transactions.path):
            self._transactions.begin(self._is_durable)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with our_errors(self._transactions.path):
            if error is None:
                self._transactions.commit()
                return
            self._transactions.give_up(error)
            if isinstance(error, apsw.Error):
                raise error
