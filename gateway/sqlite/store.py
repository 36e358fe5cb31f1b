"""The store on one SQLite file: its parts share a connection, its transactions and the time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import apsw

from gateway.common.steady_clock import utc_now
from gateway.ports.errors import SpoolFull
from gateway.ports.gateway_clock import GatewayClock
from gateway.relational.affinities import RelationalAffinities
from gateway.relational.collections import RelationalCollections
from gateway.relational.delivery_administration import RelationalDeliveryAdministration
from gateway.relational.index_store import RelationalIndexStore
from gateway.relational.index_tables import IndexTables
from gateway.relational.kept_copies import RelationalKeptCopies
from gateway.relational.operation_log import RelationalOperationLog
from gateway.relational.pauses import RelationalPauses
from gateway.relational.queue_clock import QueueClock
from gateway.relational.row_reader import RowReader
from gateway.relational.spool_ledger import RelationalSpoolLedger
from gateway.relational.statements import Statements
from gateway.relational.trace_entries import RelationalTraceEntries
from gateway.relational.undo_log import RelationalUndoLog
from gateway.spool.lock import is_gateway_running
from gateway.sqlite import delivery_filters
from gateway.sqlite.acceptance import Acceptor
from gateway.sqlite.checkpointer import Checkpointer
from gateway.sqlite.connection import INCREMENTAL, OpenedFiles, connect, our_errors
from gateway.sqlite.delivery_queue import SQLiteDeliveryQueue
from gateway.sqlite.inspection import look_at
from gateway.sqlite.log_checkpoints import LogCheckpoints, Reserve
from gateway.sqlite.query_sql import SQLiteQueryBuilder
from gateway.sqlite.store_rows import SQLiteStoreRows
from gateway.sqlite.transactions import Transaction, Transactions

FREE_PAGES_KEPT = 2048
"""8 MB: what arrives and goes again needs them soon."""


class SQLiteDialect:
    """The statements that are made for each query (`gateway.relational.statements.Dialect`)."""

    find = staticmethod(SQLiteQueryBuilder.select)
    find_instances = staticmethod(SQLiteQueryBuilder.select_instances)
    deliveries = staticmethod(delivery_filters.select)
    studies = staticmethod(delivery_filters.studies)
    paged = staticmethod(delivery_filters.paged)
    some = staticmethod(delivery_filters.some)


def _held(statements: Statements) -> tuple[RelationalAffinities, RelationalKeptCopies]:
    """The parts about studies and instances that have tables of their own."""
    return RelationalAffinities(statements), RelationalKeptCopies(statements)


class SQLiteStore:
    """The `Store` port on one SQLite file in WAL mode, with `synchronous=FULL` for durable transactions alone.

    One thread at a time uses one object; any number of processes may have the file open. Several gateways on one
    file are excluded by the spool's lock, not here.

    With `is_read_only` nothing on the disk is made or changed (`gateway.sqlite.inspection.open_read_only`), neither by
    opening nor by closing.

    Raises (opening): ConfigurationError; QueueBroken and Temporary with `is_read_only`.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        now: Callable[[], datetime] | None = None,
        clock: GatewayClock | None = None,
        busy_timeout_s: float = 30.0,
        must_exist: bool = False,
        wall: Callable[[], datetime] = utc_now,
        is_running: Callable[[Path], bool] = is_gateway_running,
        checkpoints_aside: bool = False,
        is_read_only: bool = False,
    ) -> None:
        self.path = Path(path)
        self._reserve = Reserve(self.path)
        self._connection = look_at(self.path) if is_read_only else self._connect(busy_timeout_s, must_exist=must_exist)
        aside = Checkpointer(self._connect(busy_timeout_s, must_exist=True), str(path)) if checkpoints_aside else None
        self._files = OpenedFiles(self.path)
        self._wal = LogCheckpoints(self._connection, self.path, self._reserve, aside)
        self._transactions = Transactions(
            self._connection,
            self.path,
            self._wal,
            lambda statements: QueueClock(
                statements, is_running=lambda: is_running(self.path), now=now, clock=clock, wall=wall
            ),
        )
        self._other_writes: int | None = None
        reader, tables = RowReader(self._transactions), IndexTables(self._transactions, SQLiteDialect())
        self._transactions.on_roll_back.append(tables.clear)
        self._transactions.on_foreign_write.append(tables.clear)
        self.deliveries = SQLiteDeliveryQueue(self._transactions, tables, reader, Acceptor(self._transactions, tables))
        self.collections = RelationalCollections(self._transactions)
        self.administration = RelationalDeliveryAdministration(self._transactions, SQLiteDialect(), reader)
        self.operations, self.pauses = RelationalOperationLog(self._transactions), RelationalPauses(self._transactions)
        self.affinities, self.kept = _held(self._transactions)
        self.traces = RelationalTraceEntries(self._transactions, reader)
        self.index = RelationalIndexStore(self._transactions, tables, reader)
        self.spool, self.rows = RelationalSpoolLedger(self._transactions), SQLiteStoreRows(self._transactions)
        self.undo = RelationalUndoLog(self._transactions, self.rows)

    def _connect(self, busy_timeout_s: float, *, must_exist: bool) -> apsw.Connection:
        """The connection; on a full disk it is opened with the room of the reserve."""
        try:
            return connect(self.path, busy_timeout_s=busy_timeout_s, must_exist=must_exist)
        except SpoolFull as error:
            if not self._reserve.has_made_room(error.__cause__):
                raise
        return connect(self.path, busy_timeout_s=busy_timeout_s, must_exist=must_exist)

    def close(self) -> None:
        self._wal.close()
        self._connection.close()

    @property
    def connection(self) -> apsw.Connection:
        """The connection, for code that copies rows as they are (`gateway.sqlite.salvage`)."""
        return self._connection

    def transaction(self, *, is_durable: bool = True) -> AbstractContextManager[object]:
        """One transaction; leaving it commits, an exception rolls all of it back."""
        return Transaction(self._transactions, is_durable)

    def sync(self) -> None:
        """Write something: when the durable transaction around it has ended, all before it is on disk as well."""
        if self._connection.in_transaction:
            self._transactions.do("touch_known")
            return
        with self.transaction():
            self._transactions.do("touch_known")

    def changed_elsewhere(self) -> bool:
        """True when another connection wrote since this was asked last; False at first."""
        before, self._other_writes = self._other_writes, int(self._connection.pragma("data_version"))
        return before is not None and before != self._other_writes

    def moved(self, *, is_quick: bool = False) -> str:
        """The reason why its path does not name the opened file any more; empty when it does. Any thread."""
        return self._files.moved(is_quick=is_quick)

    def interrupt(self) -> None:
        """End the statement that runs with Temporary. Any thread."""
        self._connection.interrupt()

    def consolidate(self) -> None:
        """A checkpoint of the write-ahead log, outside a transaction. An error is logged."""
        self._wal.checkpoint()

    def surplus_blocks(self) -> int | None:
        """Free pages that the file can do without: 0 until there are many, so that those that come and go stay. None
        for a file that cannot give them back, made by a former version. A block is a page of the database."""
        with our_errors(self.path):
            if self._connection.pragma("auto_vacuum") != INCREMENTAL:
                return None
            free = int(self._connection.pragma("freelist_count"))
        return free - FREE_PAGES_KEPT if free >= 2 * FREE_PAGES_KEPT else 0

    def release_blocks(self, most_blocks: int) -> None:
        """Give up to so many surplus pages back to the file system. They leave the file with the next checkpoint."""
        number = min(most_blocks, self.surplus_blocks() or 0)
        if number:
            self._connection.execute(f"PRAGMA incremental_vacuum({number})").fetchall()
