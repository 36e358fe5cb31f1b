"""A `Query` as SQL for PostgreSQL: the same matching as `gateway.query.matching`, on the tables of the index.

Conditions are made from a few templates; every value is bound. Texts of JSON are compared by their bytes
(`COLLATE "C"`), as the columns are.
"""

# ruff: noqa: S608 - text from a request is bound, never put into a statement

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from gateway.dataset.dictionary import SEQUENCE
from gateway.model.query import (
    AnyValue,
    DateTimeRange,
    EmptyValue,
    KeyCondition,
    Query,
    QueryKey,
    QueryLevel,
    SequenceItem,
    ValueRange,
    WildCard,
)
from gateway.postgresql.statements import SQL
from gateway.query.attributes import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    LEVEL_OF,
    LEVELS,
    MODALITIES_IN_STUDY,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_CLASSES_IN_STUDY,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    hexadecimal,
)
from gateway.query.entry import IN_UTC, NAMES
from gateway.relational.rows import cleaned
from gateway.relational.statements import MadeStatement

TABLES = {
    QueryLevel.PATIENT: "patient",
    QueryLevel.STUDY: "study",
    QueryLevel.SERIES: "series",
    QueryLevel.IMAGE: "instance",
}
STATEMENTS = {
    QueryLevel.PATIENT: "match_patients",
    QueryLevel.STUDY: "match_studies",
    QueryLevel.SERIES: "match_series",
    QueryLevel.IMAGE: "match_images",
}
COLUMNS = {
    PATIENT_ID: "patient.patient_id",
    ISSUER_OF_PATIENT_ID: "patient.issuer_of_patient_id",
    STUDY_INSTANCE_UID: "study.study_instance_uid",
    ACCESSION_NUMBER: "study.accession_number",
    STUDY_DATE: "study.study_date",
    SERIES_INSTANCE_UID: "series.series_instance_uid",
    MODALITY: "series.modality",
    SOP_INSTANCE_UID: "instance.sop_instance_uid",
    SOP_CLASS_UID: "instance.sop_class_uid",
}
"""Attributes with a column of their own, in normal form; all others are looked up in their level's JSON."""

HEAD_CHARACTERS = 200
"""The beginning of a text that an index keeps (`schema_1.sql`): a key of a B-tree has at most 2.7 kB."""
NAME_COLUMNS = ("patient.alphabetic_name", "patient.ideographic_name", "patient.phonetic_name")
BY_HEAD = frozenset({COLUMNS[PATIENT_ID], COLUMNS[ACCESSION_NUMBER], *NAME_COLUMNS})
"""Columns whose index keeps the beginnings."""
SPARSE_COLUMNS = frozenset({COLUMNS[ACCESSION_NUMBER]})
"""Columns whose index leaves out the empty text."""

BELOW = {
    QueryLevel.PATIENT: (
        "patient.patient_key",
        "study.patient_key",
        "study JOIN series ON series.study_key = study.study_key "
        "JOIN instance ON instance.series_key = series.series_key",
    ),
    QueryLevel.STUDY: (
        "study.study_key",
        "series.study_key",
        "series JOIN instance ON instance.series_key = series.series_key",
    ),
    QueryLevel.SERIES: ("series.series_key", "instance.series_key", "instance"),
}
"""Level → its key, the key in the level below, and all levels below joined: what is in the index has an instance."""

GATHERED = {MODALITIES_IN_STUDY: "gathered.modality", SOP_CLASSES_IN_STUDY: "instance.sop_class_uid"}
"""Attributes whose values are those of all series or instances of a study."""
_OF_PATIENT = "counted.patient_key = patient.patient_key"
_OF_STUDY = "counted.study_key = study.study_key"
COUNTED = {
    0x00201200: ("count(DISTINCT counted.study_key)", _OF_PATIENT),
    0x00201202: ("count(DISTINCT inner_series.series_key)", _OF_PATIENT),
    0x00201204: ("count(*)", _OF_PATIENT),
    0x00201206: ("count(DISTINCT inner_series.series_key)", _OF_STUDY),
    0x00201208: ("count(*)", _OF_STUDY),
    0x00201209: ("count(*)", "inner_series.series_key = series.series_key"),
}
"""Number of … Related …: what is counted, and of which row."""

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
"""VR → the normal form of an SQL expression, as `gateway.query.normal`; others are compared as they are. A DS of
more than 64 characters, or with an exponent of three digits, is no number here: the server could refuse the query."""


def select(query: Query, limit: int) -> MadeStatement:
    """The statement that finds the keys of what fits, and its values. `limit` -1 is no limit."""
    return _QueryBuilder(query).build(query.level, limit)


def select_instances(query: Query, limit: int) -> MadeStatement:
    """The same for the instances below what fits."""
    return _QueryBuilder(query).build(QueryLevel.IMAGE, limit)


class _QueryBuilder:
    """Conditions of one query."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._values: dict[str, Any] = {}

    def build(self, level: QueryLevel, limit: int) -> MadeStatement:
        here: list[str] = []
        below: list[str] = []
        for key in self._query.keys:
            if key.conditions:
                side = below if LEVELS.index(LEVEL_OF[key.tag]) > LEVELS.index(level) else here
                side.append(_any(self._key_condition(key, each) for each in key.conditions))
        for span in self._query.spans:
            side = below if LEVELS.index(LEVEL_OF[span.date_tag]) > LEVELS.index(level) else here
            side.append(self._span(span))
        statement = SQL[STATEMENTS[level]].replace("{filter}", " AND ".join(here) or "true")
        statement = statement.replace("{below}", _below(level, below))
        return statement, {**self._values, "limit": None if limit < 0 else limit}

    def _bind(self, value: Any) -> str:
        name = f"v{len(self._values)}"
        self._values[name] = cleaned(value)
        return f"%({name})s"

    # --- one condition of one key -------------------------------------------------------------------------------

    def _key_condition(self, key: QueryKey, condition: KeyCondition) -> str:
        if key.tag in COUNTED:
            return self._counted(key.tag, condition)
        if key.tag in GATHERED:
            return self._gathered(key.tag, condition)
        if key.tag == PATIENT_NAME and isinstance(condition, WildCard):
            return self._patient_name(condition.pattern)
        is_in_json = isinstance(condition, EmptyValue) and LEVEL_OF[key.tag] is not QueryLevel.IMAGE
        if key.tag in COLUMNS and not is_in_json:
            column = COLUMNS[key.tag]
            test = self._test(column, key.vr, condition, is_normal=True)
            return f"({test} AND {column} <> '')" if column in SPARSE_COLUMNS and _is_of_text(condition) else test
        return self._in_json(f"{TABLES[LEVEL_OF[key.tag]]}.attributes", key, condition)

    def _in_json(self, attributes: str, key: QueryKey, condition: KeyCondition) -> str:
        """The condition on the JSON `attributes`: one of the attribute's values or items fulfils it."""
        name = hexadecimal(key.tag)
        if isinstance(condition, EmptyValue):
            return f"{attributes} -> '{name}' IS NULL"
        if isinstance(condition, SequenceItem):
            inner = " AND ".join(
                _any(self._in_json("item.value", each, one) for one in each.conditions) for each in condition.keys
            )
            return f"EXISTS (SELECT 1 FROM {_each(attributes, name)} AS item (value) WHERE {inner})"
        if key.vr == SEQUENCE:
            return "false"
        if key.vr == "PN":
            assert isinstance(condition, WildCard)
            test = self._name(condition.pattern)
            return f"EXISTS (SELECT 1 FROM {_each(attributes, name + NAMES)} AS v (value) WHERE {test})"
        suffix = IN_UTC if key.vr == "DT" else ""
        test = self._test(_text("(v.value #>> '{}')"), key.vr, condition, is_normal=False)
        return f"EXISTS (SELECT 1 FROM {_each(attributes, name + suffix)} AS v (value) WHERE {test})"

    def _test(self, expression: str, vr: str, condition: KeyCondition, *, is_normal: bool) -> str:
        """`expression` is one value, or a column in normal form."""
        if isinstance(condition, EmptyValue):
            return f"{expression} = ''"
        if isinstance(condition, WildCard):
            return self._like(expression, condition.pattern)
        if not is_normal and vr in NORMAL:
            expression = f"({NORMAL[vr](expression)})"
        if isinstance(condition, AnyValue):
            return self._equals(expression, vr, condition.values)
        assert isinstance(condition, ValueRange)
        ends = [f"{expression} >= {self._bind(condition.low)}"] if condition.low else [f"{expression} <> ''"]
        ends += [f"{expression} <= {self._bind(condition.high)}"] if condition.high else []
        return f"({' AND '.join(ends)})"

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

    def _like(self, expression: str, pattern: str) -> str:
        """LIKE within the range of the pattern's beginning, so that an index serves."""
        if "*" not in pattern and "?" not in pattern:
            return self._equals(expression, "", (pattern,))
        escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
        like = f"{expression} LIKE {self._bind(escaped.replace('*', '%').replace('?', '_'))}"
        start = re.split(r"[*?]", pattern)[0][:HEAD_CHARACTERS]
        if not start:
            return f"({like} AND {expression} <> '')"
        head = f"left({expression}, {HEAD_CHARACTERS})" if expression in BY_HEAD else expression
        low, high = self._bind(start), self._bind(start + chr(0x10FFFF))
        return f"({head} >= {low} AND {head} < {high} AND {like})"

    # --- names --------------------------------------------------------------------------------------------------

    def _name(self, pattern: str) -> str:
        """`v.value` is the list of a name's groups."""
        groups = pattern.split("=")
        if len(groups) == 1:
            return _any(
                f"coalesce({self._like(_text(f'(v.value ->> {index})'), pattern)}, false)"
                for index in range(len(NAME_COLUMNS))
            )
        return " AND ".join(self._like(_text(f"(v.value ->> {index})"), one) for index, one in enumerate(groups) if one)

    def _patient_name(self, pattern: str) -> str:
        groups = pattern.split("=")
        if len(groups) > 1:
            wanted = [(column, one) for column, one in zip(NAME_COLUMNS, groups, strict=False) if one]
            return " AND ".join(f"{self._like(column, one)} AND {column} <> ''" for column, one in wanted)
        return _any(f"({self._like(column, pattern)} AND {column} <> '')" for column in NAME_COLUMNS)

    # --- computed attributes ------------------------------------------------------------------------------------

    def _gathered(self, tag: int, condition: KeyCondition) -> str:
        expression = GATHERED[tag]
        source = (
            "SELECT 1 FROM series AS gathered JOIN instance ON instance.series_key = gathered.series_key "
            "AND instance.is_current = 1 WHERE gathered.study_key = study.study_key"
        )
        if isinstance(condition, EmptyValue):
            return f"NOT EXISTS ({source} AND {expression} <> '')"
        return f"EXISTS ({source} AND {self._test(expression, 'CS', condition, is_normal=True)})"

    def _counted(self, tag: int, condition: KeyCondition) -> str:
        what, where = COUNTED[tag]
        count = (
            f"(SELECT ({what})::text FROM study AS counted "
            "JOIN series AS inner_series ON inner_series.study_key = counted.study_key "
            "JOIN instance AS inner_instance ON inner_instance.series_key = inner_series.series_key "
            f"AND inner_instance.is_current = 1 WHERE {where})"
        )
        return self._test(count, "IS", condition, is_normal=True)

    # --- dates with times ---------------------------------------------------------------------------------------

    def _span(self, span: DateTimeRange) -> str:
        attributes = f"{TABLES[LEVEL_OF[span.date_tag]]}.attributes"
        day = NORMAL["DA"](_text(f"({attributes} ->> '{hexadecimal(span.date_tag)}')"))
        moment = NORMAL["TM"](_text(f"({attributes} ->> '{hexadecimal(span.time_tag)}')"))
        both = f"(({day}) || ({moment}))"
        if self._query.timezone:
            both = f"coalesce({attributes} ->> '{hexadecimal(span.date_tag)}{IN_UTC}', {both})"
        low, high = span.between.low, span.between.high
        whole = self._test(_text(f"({both})"), "LO", span.between, is_normal=True)
        days = self._test(f"({day})", "LO", ValueRange(low[:8], high[:8]), is_normal=True)
        return f"(CASE WHEN ({moment}) IS NULL THEN {days} ELSE {whole} END)"


def _any(conditions: Iterable[str]) -> str:
    found = list(conditions)
    return found[0] if len(found) == 1 else f"({' OR '.join(found)})"


def _text(expression: str) -> str:
    """A text out of JSON, to be compared by its bytes."""
    return f'({expression} COLLATE "C")'


def _each(attributes: str, name: str) -> str:
    """The values of an attribute, one or several; none where it is missing."""
    return f"""jsonb_path_query({attributes}, '$."{name}"[*]')"""


def _is_of_text(condition: KeyCondition) -> bool:
    """True for a condition that the empty text does not fulfil."""
    if isinstance(condition, AnyValue):
        return all(condition.values)
    return isinstance(condition, WildCard) and bool(condition.pattern.replace("*", ""))


def _below(level: QueryLevel, conditions: list[str]) -> str:
    """The condition that a current instance is below which fulfils the conditions of the levels below."""
    if level is QueryLevel.IMAGE:
        return "true"
    key, outer, joined = BELOW[level]
    if not conditions:
        return f"EXISTS (SELECT 1 FROM {joined} WHERE {outer} = {key} AND instance.is_current = 1)"
    wanted = " AND ".join(conditions)
    return f"{key} IN (SELECT {outer} FROM {joined} WHERE instance.is_current = 1 AND {wanted})"
