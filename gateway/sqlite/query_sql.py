"""A `Query` as SQL in the words of SQLite."""

# ruff: noqa: S608 - text from a request is bound, never put into a statement

from __future__ import annotations

import json
from collections.abc import Callable

from gateway.relational.query_sql import NAME_COLUMNS, QueryBuilder
from gateway.sqlite.statements import SQL

_DAY = "[0-9]" * 8

NORMAL: dict[str, Callable[[str], str]] = {
    "DA": lambda x: f"CASE WHEN replace({x}, '.', '') GLOB '{_DAY}' THEN replace({x}, '.', '') END",
    "TM": lambda x: (
        f"CASE WHEN {x} GLOB '*[^0-9.:]*' THEN NULL "
        f"WHEN instr({x}, '.') = 0 AND length(replace({x}, ':', '')) IN (2, 4, 6) "
        f"THEN substr(replace({x}, ':', '') || '000000', 1, 6) || '.000000' "
        f"WHEN instr(replace({x}, ':', ''), '.') = 7 AND length(replace({x}, ':', '')) BETWEEN 8 AND 13 "
        f"THEN substr(replace({x}, ':', '') || '000000', 1, 13) END"
    ),
    "IS": lambda x: (
        f"CASE WHEN {x} GLOB '*[0-9]' AND ltrim({x}, '+-') NOT GLOB '*[^0-9]*' "
        f"THEN CAST(CAST({x} AS INTEGER) AS TEXT) END"
    ),
    "DS": lambda x: f"CASE WHEN {x} GLOB '*[0-9]*' AND {x} NOT GLOB '*[^-0-9.+Ee]*' THEN CAST({x} AS REAL) END",
}


class SQLiteQueryBuilder(QueryBuilder):
    """JSON as text, patterns as GLOB, and several values as one list in JSON."""

    sql = SQL
    placeholder = ":{}"
    normal = NORMAL

    def _limit(self, limit: int) -> int:
        return limit

    def _path(self, name: str) -> str:
        return f"""'$."{name}"'"""

    def _each(self, attributes: str, name: str, alias: str) -> str:
        return f"json_each({attributes}, {self._path(name)}) AS {alias}"

    def _value(self, vr: str) -> str:
        return NORMAL[vr]("v.value") if vr in NORMAL else "v.value"

    def _text(self, expression: str) -> str:
        return f"({expression})"

    def _as_text(self, number: str) -> str:
        return f"CAST({number} AS TEXT)"

    def _equals(self, expression: str, vr: str, values: tuple[str, ...]) -> str:
        if vr == "DS":
            numbers = self._bind(json.dumps([float(value) for value in values]))
            return f"{expression} IN (SELECT value FROM json_each({numbers}))"
        if len(values) == 1:
            return f"{expression} = {self._bind(values[0])}"
        return f"{expression} IN (SELECT value FROM json_each({self._bind(json.dumps(values))}))"

    def _fits(self, expression: str, pattern: str) -> str:
        return f"{expression} GLOB {self._bind(pattern.replace('[', '[[]'))}"

    def _any_name(self, pattern: str) -> str:
        """A search for each group, so that each has its index."""
        found = " UNION ALL ".join(
            f"SELECT patient_key FROM patient AS named WHERE {self._like(f'named.{column}', pattern)} "
            f"AND named.{column} <> ''"
            for column in NAME_COLUMNS
        )
        return f"patient.patient_key IN ({found})"
