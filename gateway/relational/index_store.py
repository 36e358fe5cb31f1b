"""The index in a relational database, asked by keys."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.instance import Instance
from gateway.model.query import Attributes, Query
from gateway.relational.index_tables import IndexTables
from gateway.relational.row_reader import RowReader
from gateway.relational.statements import Statements


class RelationalIndexStore:
    """The `IndexStore` port on one connection."""

    def __init__(self, statements: Statements, tables: IndexTables, reader: RowReader) -> None:
        self._statements = statements
        self._tables = tables
        self._reader = reader

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        """Keys of what fits `query`, in a stable order, for `matches`."""
        with self._statements.errors():
            return self._tables.find(query, limit)

    def matches(self, query: Query, keys: Sequence[int]) -> list[Attributes]:
        """The matches of `query` among these; forgotten ones are left out."""
        with self._statements.one_state():
            return self._tables.matches(query, keys)

    def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the current instances below what fits `query`, in a stable order."""
        with self._statements.errors():
            return self._tables.find_instances(query)

    def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """The instances of these identifiers, in order; those forgotten meanwhile are left out."""
        with self._statements.one_state():
            return self._reader.instances(instance_ids)
