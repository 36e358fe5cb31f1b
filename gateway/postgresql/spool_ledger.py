"""The spool's ledger on PostgreSQL, and the check that a database that comes back has what it had."""

from __future__ import annotations

from gateway.ports.errors import QueueBroken
from gateway.postgresql.connection import Connection
from gateway.postgresql.statements import SQL
from gateway.postgresql.transactions import PostgreSQLTransactions
from gateway.relational.spool_ledger import RelationalSpoolLedger


class RecordedPosition:
    """The position in the segments that this process knows to be in the database.

    A standby that was promoted may lack the last transactions. Were the position moved on then, no start would ever
    replay them.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._written: tuple[str, int] | None = None
        self._committed: tuple[str, int] | None = None

    def write(self, name: str, end_bytes: int) -> None:
        """The transaction that is open writes this position."""
        self._written = (name, end_bytes)

    def commit(self) -> None:
        """It was committed."""
        self._committed = self._written

    def check(self, connection: Connection) -> None:
        """Raises QueueBroken when the database lacks what was committed. The position that was on its way when the
        connection was lost may be there or not."""
        if self._committed is None:
            return
        found = connection.execute(SQL["read_known"].encode()).fetchone()
        if found not in (self._committed, self._written):
            raise QueueBroken(
                f"database {self._shown}: it lacks what it had ({found} in place of {self._committed}), as a standby "
                "does that was behind; restart the gateway: the start replays it from the spool"
            )


class PostgreSQLSpoolLedger(RelationalSpoolLedger):
    """The `SpoolLedger` port; the position is remembered as well."""

    def __init__(self, transactions: PostgreSQLTransactions, position: RecordedPosition) -> None:
        super().__init__(transactions)
        self._position = position
        transactions.on_commit.append(position.commit)

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        """Set the position in the transaction that accepts everything before it."""
        super().set_replayed_position(name, end_bytes)
        self._position.write(name, end_bytes)
