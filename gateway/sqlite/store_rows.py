"""Everything in the SQLite store as rows (`gateway.ports.store_rows`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.ports.store_rows import IDENTIFIED, TABLES, StoredRow
from gateway.relational.rows import fit
from gateway.relational.store_rows import RelationalStoreRows
from gateway.sqlite.statements import SQL
from gateway.sqlite.transactions import Transactions


class SQLiteStoreRows(RelationalStoreRows):
    """The `StoreRows` port on one connection."""

    sql = SQL
    placeholder = ":{}"

    def __init__(self, transactions: Transactions) -> None:
        super().__init__(transactions)
        self._transactions = transactions

    def add(self, table: str, rows: Sequence[StoredRow]) -> None:
        """Add rows with the identifiers that they have."""
        columns = TABLES[table]
        statement = SQL["add_stored_rows"].format(
            table=table, columns=", ".join(columns), places=", ".join("?" for _ in columns)
        )
        self._transactions.connection.executemany(statement, fit(rows))

    def identifiers_given(self) -> Mapping[str, int]:
        """Table → the last identifier that was given."""
        with self._transactions.errors():
            return {table: self._transactions.single("salvage_sequence", table=table) or 0 for table in IDENTIFIED}

    def give_identifiers_behind(self, last: Mapping[str, int]) -> None:
        """No identifier up to these is given from now on."""
        for table, identifier in last.items():
            self._transactions.do("give_identifiers_behind", table=table, last=identifier)
            self._transactions.do("move_identifiers_behind", table=table, last=identifier)
