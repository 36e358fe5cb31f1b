"""Everything in a relational store as rows (`gateway.ports.store_rows`), as far as stores are alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from gateway.ports.store_rows import KEY_COLUMNS, TABLES, OwedRow, RowKey, StoredRow
from gateway.relational.rows import batch
from gateway.relational.statements import Statements


class RelationalStoreRows:
    """The part of the `StoreRows` port that reads, on one connection. A store's kind has its SQL, the form of a named
    value in it, and what is read otherwise than by its name.
    """

    sql: ClassVar[Mapping[str, str]]
    placeholder: ClassVar[str]
    """`{}` stands for the name."""
    read_from: ClassVar[Mapping[str, str]] = {}
    """Table → what its rows are read from, where that is more than the table."""
    read_as: ClassVar[Mapping[tuple[str, str], str]] = {}
    """Table and column → how it is read, where its name does not say so."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def read(self, table: str, after: RowKey | None, limit: int) -> Sequence[StoredRow]:
        """The next rows behind a key."""
        key = TABLES[table][: KEY_COLUMNS[table]]
        values: dict[str, int | str] = {"limit": limit}
        condition = "true"
        if after is not None:
            values |= {f"after_{column}": value for column, value in zip(key, after, strict=True)}
            places = ", ".join(self.placeholder.format(f"after_{column}") for column in key)
            condition = f"({', '.join(key)}) > ({places})"
        statement = self.sql["stored_rows"].format(
            columns=", ".join(self.read_as.get((table, column), column) for column in TABLES[table]),
            table=self.read_from.get(table, table),
            after=condition,
            key=", ".join(key),
        )
        with self._statements.errors():
            return list(self._statements.made_rows((statement, values)))

    def idle_deliveries(self, ids: Sequence[int]) -> Sequence[StoredRow]:
        """The rows of those of these deliveries that are there and under no lease."""
        statement = self.sql["idle_deliveries"].format(
            columns=", ".join(self.read_as.get(("delivery", column), column) for column in TABLES["delivery"]),
            table=self.read_from.get("delivery", "delivery"),
        )
        with self._statements.errors():
            return list(self._statements.made_rows((statement, {"ids": batch(ids)})))

    def last_key(self, table: str) -> RowKey | None:
        """The key of the last row."""
        key = TABLES[table][: KEY_COLUMNS[table]]
        statement = self.sql["last_stored_row"].format(
            table=table, key=", ".join(key), backwards=", ".join(f"{column} DESC" for column in key)
        )
        with self._statements.errors():
            return next(iter(self._statements.made_rows((statement, {}))), None)

    def owed(self, instance_ids: Sequence[int]) -> Iterable[OwedRow]:
        """The deliveries of these instances that were not delivered."""
        with self._statements.errors():
            return list(self._statements.rows("owed_of_instances", ids=batch(instance_ids)))

    def tally(self) -> Mapping[str, int]:
        """Kind of row → number."""
        with self._statements.errors():
            return dict(self._statements.rows("tally"))

    def clock(self) -> tuple[int, int] | None:
        """The queue's time as it was written last, and the wall clock's then."""
        with self._statements.errors():
            found = self._statements.single("read_clock")
        return None if found is None else (int(found[0]), int(found[1]))

    def set_clock(self, queue_time: int, wall_time: int) -> None:
        """Write them."""
        self._statements.do("keep_clock", queue_time=queue_time, wall_time=wall_time)
