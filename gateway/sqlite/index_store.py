"""The index on SQLite, asked by keys."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.instance import Instance
from gateway.model.query import Attributes, Query
from gateway.sqlite.connection import our_errors
from gateway.sqlite.index_tables import IndexTables
from gateway.sqlite.row_reader import RowReader
from gateway.sqlite.transactions import Transactions


class SQLiteIndexStore:
    """The `IndexStore` port on one connection."""

    def __init__(self, transactions: Transactions, tables: IndexTables, reader: RowReader) -> None:
        self._transactions = transactions
        self._tables = tables
        self._reader = reader

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        """Keys of what fits `query`, in a stable order, for `matches`."""
        with our_errors(self._transactions.path):
            return self._tables.find(query, limit)

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        """The matches of `query` among these; forgotten ones are left out."""
        with self._transactions.one_state():
            return self._tables.matches(query, keys)

    def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the current instances below what fits `query`, in a stable order."""
        with our_errors(self._transactions.path):
            return self._tables.find_instances(query)

    def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """The instances of these identifiers, in order; those forgotten meanwhile are left out."""
        with self._transactions.one_state():
            return self._reader.instances(instance_ids)
