"""The store on PostgreSQL: its parts share a connection, its transactions and the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from gateway.common.steady_clock import utc_now
from gateway.ports.gateway_clock import GatewayClock
from gateway.postgresql import delivery_filters
from gateway.postgresql.acceptance import PostgreSQLAcceptor
from gateway.postgresql.address import address
from gateway.postgresql.cluster_contents import PostgreSQLClusterContents
from gateway.postgresql.collections import PostgreSQLCollections
from gateway.postgresql.connection import Connection, send_at_once
from gateway.postgresql.delivery_administration import PostgreSQLDeliveryAdministration
from gateway.postgresql.delivery_queue import PostgreSQLDeliveryQueue
from gateway.postgresql.due_notices import Announcer, no_announcement
from gateway.postgresql.gateway_lock import AT_START_S, OF_SCHEMA, GatewayLock
from gateway.postgresql.hang_guard import HangGuard
from gateway.postgresql.query_sql import PostgreSQLQueryBuilder
from gateway.postgresql.server_clock import ServerClock, ServerQueueTime, forget_remembered_time
from gateway.postgresql.shared_index import SharedIndexTables
from gateway.postgresql.shared_payloads import PostgreSQLPayloadSealing, PostgreSQLSharedPayloads
from gateway.postgresql.spool_ledger import PostgreSQLSpoolLedger, RecordedPosition
from gateway.postgresql.step_connection import let_go_when_frozen
from gateway.postgresql.store_rows import PostgreSQLStoreRows
from gateway.postgresql.transactions import PostgreSQLTransaction, PostgreSQLTransactions
from gateway.postgresql.undo_log import PostgreSQLUndoLog
from gateway.relational.affinities import RelationalAffinities
from gateway.relational.collection_arrivals import Arrivals
from gateway.relational.index_store import RelationalIndexStore
from gateway.relational.index_tables import IndexTables
from gateway.relational.kept_copies import RelationalKeptCopies
from gateway.relational.operation_log import RelationalOperationLog
from gateway.relational.pauses import RelationalPauses
from gateway.relational.queue_clock import QueueClock
from gateway.relational.row_reader import RowReader
from gateway.relational.statements import QueueTime, Statements
from gateway.relational.trace_entries import RelationalTraceEntries

COMMITTING_LIMIT_S = 10.0
"""The longest statement of a gateway that commits: all senders wait for it."""
READING_LIMIT_S = 120.0
"""The same for others: queries, and commands beside the gateway."""


class PostgreSQLDialect:
    """The statements that are made for each query (`gateway.relational.statements.Dialect`)."""

    find = staticmethod(PostgreSQLQueryBuilder.select)
    find_instances = staticmethod(PostgreSQLQueryBuilder.select_instances)
    deliveries = staticmethod(delivery_filters.select)
    studies = staticmethod(delivery_filters.studies)
    paged = staticmethod(delivery_filters.paged)
    some = staticmethod(delivery_filters.some)


DIALECT = PostgreSQLDialect()


def is_locked(statements: Statements) -> bool:
    """True while a gateway holds the lock of this schema, or nodes do."""
    return statements.single("lock_holders", **OF_SCHEMA) is not None


CommonParts = tuple[
    RelationalOperationLog, RelationalPauses, RelationalAffinities, RelationalTraceEntries, RelationalIndexStore
]


def _common(statements: Statements, tables: IndexTables, reader: RowReader) -> CommonParts:
    """The parts that are as on every relational database."""
    return (
        RelationalOperationLog(statements),
        RelationalPauses(statements),
        RelationalAffinities(statements),
        RelationalTraceEntries(statements, reader),
        RelationalIndexStore(statements, tables, reader),
    )


def _payload_parts(
    transactions: PostgreSQLTransactions,
) -> tuple[PostgreSQLSharedPayloads, PostgreSQLPayloadSealing, PostgreSQLClusterContents, RelationalKeptCopies]:
    """The parts for payloads."""
    shared, sealing = PostgreSQLSharedPayloads(transactions), PostgreSQLPayloadSealing(transactions)
    return shared, sealing, PostgreSQLClusterContents(transactions), RelationalKeptCopies(transactions)


Prepare = Callable[[Connection], None]


def _time(
    node: str,
    now: Callable[[], datetime] | None,
    clock: GatewayClock | None,
    wall: Callable[[], datetime],
    *,
    is_committing: bool,
) -> tuple[Callable[[Statements], QueueTime], tuple[Prepare, ...]]:
    """The time of a store, and what is done for it with each new connection."""
    if not node:
        return (
            lambda statements: QueueClock(
                statements, is_running=lambda: is_locked(statements), now=now, clock=clock, wall=wall
            )
        ), ()
    servers = clock if isinstance(clock, ServerClock) else ServerClock()
    prepare = (servers.read, forget_remembered_time) if is_committing else (servers.read,)
    return lambda statements: ServerQueueTime(statements, servers, now), prepare


class PostgreSQLStore:
    """The `Store` port on the schema of a PostgreSQL database that its address leads to.

    One thread at a time uses one object. A schema is used by one gateway at a time, or by any number of nodes, each
    with a name of its own: the object that `is_committing` holds advisory locks for as long as it is connected. Every
    transaction is durable, for the server may crash without us.

    `node`: the name of the node that it belongs to; empty for a gateway that is alone. The time of a node is the
    server's.

    `tokens`: see `PostgreSQLDeliveryQueue`. `statement_limit_s`: the longest statement, where nobody waits.

    Raises (opening): ConfigurationError, SpoolFull.
    """

    def __init__(
        self,
        url: str,
        *,
        now: Callable[[], datetime] | None = None,
        clock: GatewayClock | None = None,
        must_exist: bool = False,
        wall: Callable[[], datetime] = utc_now,
        is_committing: bool = False,
        is_read_only: bool = False,
        is_quiet: bool = False,
        lock_patience_s: float = AT_START_S,
        tokens: Callable[[], Mapping[str, int]] | None = None,
        node: str = "",
        statement_limit_s: float | None = None,
    ) -> None:
        place, frozen = address(url), () if tokens is None else (let_go_when_frozen,)
        lock, position = GatewayLock(place, lock_patience_s, node), RecordedPosition(place.shown)
        time, read_time = _time(node, now, clock, wall, is_committing=is_committing)
        self._transactions = transactions = PostgreSQLTransactions(
            place,
            time,
            must_exist=must_exist,
            is_read_only=is_read_only,
            is_committing=is_committing,
            is_quiet=is_quiet,
            prepare=(*((lock.take, position.check, send_at_once) if is_committing else ()), *frozen, *read_time),
            guard=HangGuard(statement_limit_s or (COMMITTING_LIMIT_S if is_committing else READING_LIMIT_S)),
        )
        reader, tables = RowReader(transactions), (SharedIndexTables if node else IndexTables)(transactions, DIALECT)
        transactions.on_roll_back.append(tables.clear)
        announce = Announcer(transactions, node if is_committing else "") if node else no_announcement
        self._acceptor = PostgreSQLAcceptor(transactions, tables, announce)
        self.deliveries = PostgreSQLDeliveryQueue(transactions, tables, reader, self._acceptor, announce, tokens, node)
        self.collections = PostgreSQLCollections(transactions, announce, self.deliveries.bounds)
        self.administration = PostgreSQLDeliveryAdministration(transactions, DIALECT, reader, announce)
        self.operations, self.pauses, self.affinities, self.traces, self.index = _common(transactions, tables, reader)
        self.payloads, self.sealing, self.contents, self.kept = _payload_parts(transactions)
        self.spool, self.rows = PostgreSQLSpoolLedger(transactions, position), PostgreSQLStoreRows(transactions)
        self.undo = PostgreSQLUndoLog(transactions, self.rows, announce)

    def close(self) -> None:
        self._transactions.close()

    def transaction(self, *, is_durable: bool = True) -> AbstractContextManager[object]:
        """One transaction; leaving it commits, an exception rolls all of it back. All are durable."""
        return PostgreSQLTransaction(self._transactions)

    def expect(self, arrivals: Arrivals) -> None:
        """See `PostgreSQLAcceptor.expect`."""
        self._acceptor.expect(arrivals)

    def sync(self) -> None:
        """Write something: all before it is on disk, for each transaction is; this says whether the server takes it."""
        if self._transactions.is_open:
            self._transactions.do("touch_known")
            return
        with self.transaction():
            self._transactions.do("touch_known")

    def changed_elsewhere(self) -> bool:
        """True when another process wrote since this was asked last, or might have; False at first."""
        with self._transactions.errors():
            is_changed = self._transactions.changed_elsewhere()
        if is_changed:
            self.deliveries.bounds.forget()
        return is_changed

    def moved(self, *, is_quick: bool = False) -> str:
        """Always empty: an address leads to the database that is there. One that is another's is refused at each
        connection, and while it cannot be reached each transaction says so."""
        return ""

    def interrupt(self) -> None:
        """End the statement that runs with Temporary. Any thread."""
        self._transactions.interrupt()

    def consolidate(self) -> None:
        """The server does this by itself."""

    def surplus_blocks(self) -> int | None:
        """None that anybody could give back: the server keeps what is free for itself."""
        return 0

    def release_blocks(self, most_blocks: int) -> None:
        """There are none to give back: see `surplus_blocks`."""
