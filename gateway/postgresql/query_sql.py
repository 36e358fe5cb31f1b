"""A `Query` as SQL in the words of PostgreSQL. Texts of JSON are compared by their bytes (`COLLATE "C"`), as the
columns are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateway.postgresql.statements import SQL
from gateway.query.attributes import ACCESSION_NUMBER, PATIENT_ID
from gateway.relational.query_sql import COLUMNS, NAME_COLUMNS, QueryBuilder, any_of
from gateway.relational.rows import cleaned

HEAD_CHARACTERS = 200
"""The beginning of a text that an index keeps (`schema_1.sql`): a key of a B-tree has at most 2.7 kB."""
PATIENT_NAMES = tuple(f"patient.{column}" for column in NAME_COLUMNS)
BY_HEAD = frozenset({COLUMNS[PATIENT_ID], COLUMNS[ACCESSION_NUMBER], *PATIENT_NAMES})
"""Columns whose index keeps the beginnings."""

_DECIMAL = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$"
NORMAL: dict[str, Callable[[str], str]] = {
    "DA": lambda x: f"CASE WHEN replace({x}, '.', '') ~ '^[0-9]{{8}}$' THEN replace({x}, '.', '') END",
    "TM": lambda x: (
        f"CASE WHEN {x} ~ '[^0-9.:]' THEN NULL "
        f"WHEN strpos({x}, '.') = 0 AND length(replace({x}, ':', '')) IN (2, 4, 6) "
        f"THEN rpad(replace({x}, ':', ''), 6, '0') || '.000000' "
        f"WHEN strpos(replace({x}, ':', ''), '.') = 7 AND length(replace({x}, ':', '')) BETWEEN 8 AND 13 "
        f"THEN rpad(replace({x}, ':', ''), 13, '0') END"
    ),
    "IS": lambda x: f"CASE WHEN {x} ~ '^[+-]?[0-9]{{1,18}}$' THEN ({x})::bigint::text END",
    "DS": lambda x: f"CASE WHEN length({x}) <= 64 AND {x} ~ '{_DECIMAL}' THEN ({x})::double precision END",
}
"""A DS of more than 64 characters, or with an exponent of three digits, is no number here: the server could refuse the
query.
"""


class PostgreSQLQueryBuilder(QueryBuilder):
    """JSON as `jsonb`, patterns as LIKE, and several values as an array."""

    sql = SQL
    placeholder = "%({})s"
    normal = NORMAL

    def _bind(self, value: Any) -> str:
        return super()._bind(cleaned(value))

    def _limit(self, limit: int) -> int | None:
        return None if limit < 0 else limit

    def _path(self, name: str) -> str:
        return f"'{name}'"

    def _each(self, attributes: str, name: str, alias: str) -> str:
        return f"""jsonb_path_query({attributes}, '$."{name}"[*]') AS {alias} (value)"""

    def _value(self, vr: str) -> str:
        text = self._text("v.value #>> '{}'")
        return f"({NORMAL[vr](text)})" if vr in NORMAL else text

    def _text(self, expression: str) -> str:
        return f'(({expression}) COLLATE "C")'

    def _as_text(self, number: str) -> str:
        return f"({number})::text"

    def _equals(self, expression: str, vr: str, values: tuple[str, ...]) -> str:
        if vr == "DS":
            numbers = self._bind([float(value) for value in values])
            return f"{expression} = ANY({numbers}::double precision[])"
        bound = self._bind([*values])
        whole = f"{expression} = ANY({bound}::text[])"
        if expression not in BY_HEAD:
            return whole
        heads = self._bind([value[:HEAD_CHARACTERS] for value in values])
        return f"(left({expression}, {HEAD_CHARACTERS}) = ANY({heads}::text[]) AND {whole})"

    def _fits(self, expression: str, pattern: str) -> str:
        escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
        return f"{expression} LIKE {self._bind(escaped.replace('*', '%').replace('?', '_'))}"

    def _beginning(self, expression: str, start: str) -> tuple[str, str]:
        head = f"left({expression}, {HEAD_CHARACTERS})" if expression in BY_HEAD else expression
        return head, start[:HEAD_CHARACTERS]

    def _any_name(self, pattern: str) -> str:
        return any_of(f"({self._like(column, pattern)} AND {column} <> '')" for column in PATIENT_NAMES)
