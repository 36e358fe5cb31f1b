"""Everything in the SQLite store as rows (`gateway.ports.store_rows`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.ports.store_rows import IDENTIFIED, KEY_COLUMNS, TABLES, OwedRow, RowKey, StoredRow
from gateway.relational.rows import batch, fit
from gateway.sqlite.statements import SQL
from gateway.sqlite.transactions import Transactions


class SQLiteStoreRows:
    """The `StoreRows` port on one connection."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def read(self, table: str, after: RowKey | None, limit: int) -> Sequence[StoredRow]:
        """The next rows behind a key."""
        key = TABLES[table][: KEY_COLUMNS[table]]
        values: dict[str, int] = {"limit": limit}
        condition = "true"
        if after is not None:
            values |= {f"after_{column}": value for column, value in zip(key, after, strict=True)}
            condition = f"({', '.join(key)}) > ({', '.join(f':after_{column}' for column in key)})"
        statement = SQL["stored_rows"].format(
            columns=", ".join(TABLES[table]), table=table, after=condition, key=", ".join(key)
        )
        with self._transactions.errors():
            return list(self._transactions.made_rows((statement, values)))

    def last_key(self, table: str) -> RowKey | None:
        """The key of the last row."""
        key = TABLES[table][: KEY_COLUMNS[table]]
        statement = SQL["last_stored_row"].format(
            table=table, key=", ".join(key), backwards=", ".join(f"{column} DESC" for column in key)
        )
        with self._transactions.errors():
            return next(iter(self._transactions.made_rows((statement, {}))), None)

    def add(self, table: str, rows: Sequence[StoredRow]) -> None:
        """Add rows with the identifiers that they have."""
        columns = TABLES[table]
        statement = SQL["add_stored_rows"].format(
            table=table, columns=", ".join(columns), places=", ".join("?" for _ in columns)
        )
        self._transactions.connection.executemany(statement, fit(rows))

    def owed(self, instance_ids: Sequence[int]) -> Iterable[OwedRow]:
        """The deliveries of these instances that were not delivered."""
        with self._transactions.errors():
            return list(self._transactions.rows("owed_of_instances", ids=batch(instance_ids)))

    def tally(self) -> Mapping[str, int]:
        """Kind of row → number."""
        with self._transactions.errors():
            return dict(self._transactions.rows("tally"))

    def identifiers_given(self) -> Mapping[str, int]:
        """Table → the last identifier that was given."""
        with self._transactions.errors():
            return {table: self._transactions.single("salvage_sequence", table=table) or 0 for table in IDENTIFIED}

    def give_identifiers_behind(self, last: Mapping[str, int]) -> None:
        """No identifier up to these is given from now on."""
        for table, identifier in last.items():
            self._transactions.do("give_identifiers_behind", table=table, last=identifier)
            self._transactions.do("move_identifiers_behind", table=table, last=identifier)

    def clock(self) -> tuple[int, int] | None:
        """The queue's time as it was written last, and the wall clock's then."""
        with self._transactions.errors():
            found = self._transactions.single("read_clock")
        return None if found is None else (int(found[0]), int(found[1]))

    def set_clock(self, queue_time: int, wall_time: int) -> None:
        """Write them."""
        self._transactions.do("keep_clock", queue_time=queue_time, wall_time=wall_time)
