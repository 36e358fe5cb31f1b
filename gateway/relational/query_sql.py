"""A `Query` as SQL: the same matching as `gateway.query.matching`, on the tables of the index.

Conditions are made from a few templates; every value is bound. A database adds its own words in a subclass.
"""

# ruff: noqa: S608 - text from a request is bound, never put into a statement

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

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

SPARSE_COLUMNS = frozenset({COLUMNS[ACCESSION_NUMBER]})
"""Columns whose index leaves out the empty text: it serves where the condition says that it is not asked for."""

NAME_COLUMNS = ("alphabetic_name", "ideographic_name", "phonetic_name")

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


class QueryBuilder(ABC):
    """Conditions of one query. A subclass knows how its database says them."""

    sql: ClassVar[Mapping[str, str]]
    """Statement by name; those of `STATEMENTS` have a `{filter}` and a `{below}`."""
    placeholder: ClassVar[str]
    """A bound value in a statement; `{}` is its name."""
    normal: ClassVar[Mapping[str, Callable[[str], str]]]
    """VR → the normal form of an SQL expression, as `gateway.query.normal`; others are compared as they are."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._values: dict[str, Any] = {}

    @classmethod
    def select(cls, query: Query, limit: int) -> MadeStatement:
        """The statement that finds the keys of what fits, and its values. `limit` -1 is no limit."""
        return cls(query)._build(query.level, limit)

    @classmethod
    def select_instances(cls, query: Query, limit: int) -> MadeStatement:
        """The same for the instances below what fits."""
        return cls(query)._build(QueryLevel.IMAGE, limit)

    def _build(self, level: QueryLevel, limit: int) -> MadeStatement:
        here: list[str] = []
        below: list[str] = []
        for key in self._query.keys:
            if key.conditions:
                side = below if LEVELS.index(LEVEL_OF[key.tag]) > LEVELS.index(level) else here
                side.append(any_of(self._key_condition(key, each) for each in key.conditions))
        for span in self._query.spans:
            side = below if LEVELS.index(LEVEL_OF[span.date_tag]) > LEVELS.index(level) else here
            side.append(self._span(span))
        statement = self.sql[STATEMENTS[level]].replace("{filter}", " AND ".join(here) or "true")
        return statement.replace("{below}", _below(level, below)), {**self._values, "limit": self._limit(limit)}

    def _bind(self, value: Any) -> str:
        name = f"v{len(self._values)}"
        self._values[name] = value
        return self.placeholder.format(name)

    # --- the words of a database --------------------------------------------------------------------------------

    @abstractmethod
    def _limit(self, limit: int) -> int | None:
        """`limit` as LIMIT takes it; -1 is none."""

    @abstractmethod
    def _path(self, name: str) -> str:
        """The literal that stands for the member `name` behind `->` and `->>`."""

    @abstractmethod
    def _each(self, attributes: str, name: str, alias: str) -> str:
        """A table of the values of the member `name`, one or several, as `alias.value`; empty where it is missing."""

    @abstractmethod
    def _value(self, vr: str) -> str:
        """The text of `v.value`, a row of `_each`, in the normal form of `vr` where that has one."""

    @abstractmethod
    def _text(self, expression: str) -> str:
        """Enclose an expression that gives text out of JSON, to be compared by its bytes."""

    @abstractmethod
    def _as_text(self, number: str) -> str:
        """The digits of a whole number."""

    @abstractmethod
    def _equals(self, expression: str, vr: str, values: tuple[str, ...]) -> str:
        """The expression is one of `values`: for DS as numbers, else as text."""

    @abstractmethod
    def _fits(self, expression: str, pattern: str) -> str:
        """The expression fits `pattern` with its wild cards `*` and `?`."""

    def _beginning(self, expression: str, start: str) -> tuple[str, str]:
        """The parts of an expression, and of what it starts with, that an index compares."""
        return expression, start

    @abstractmethod
    def _any_name(self, pattern: str) -> str:
        """One of the groups of the patient's name fits `pattern`, and is not empty."""

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
            test = self._test(column, key.vr, condition)
            return f"({test} AND {column} <> '')" if column in SPARSE_COLUMNS and _is_of_text(condition) else test
        return self._in_json(f"{TABLES[LEVEL_OF[key.tag]]}.attributes", key, condition)

    def _in_json(self, attributes: str, key: QueryKey, condition: KeyCondition) -> str:
        """The condition on the JSON `attributes`: one of the attribute's values or items fulfils it."""
        name = hexadecimal(key.tag)
        if isinstance(condition, EmptyValue):
            return f"{attributes} -> {self._path(name)} IS NULL"
        if isinstance(condition, SequenceItem):
            inner = " AND ".join(
                any_of(self._in_json("item.value", each, one) for one in each.conditions) for each in condition.keys
            )
            return f"EXISTS (SELECT 1 FROM {self._each(attributes, name, 'item')} WHERE {inner})"
        if key.vr == SEQUENCE:
            return "false"
        if key.vr == "PN":
            assert isinstance(condition, WildCard)
            test = self._name(condition.pattern)
            return f"EXISTS (SELECT 1 FROM {self._each(attributes, name + NAMES, 'v')} WHERE {test})"
        suffix = IN_UTC if key.vr == "DT" else ""
        value = self._value("" if isinstance(condition, WildCard) else key.vr)
        test = self._test(value, key.vr, condition)
        return f"EXISTS (SELECT 1 FROM {self._each(attributes, name + suffix, 'v')} WHERE {test})"

    def _test(self, expression: str, vr: str, condition: KeyCondition) -> str:
        """`expression` is one value, or a column, in normal form; for a wild card as it is."""
        if isinstance(condition, EmptyValue):
            return f"{expression} = ''"
        if isinstance(condition, WildCard):
            return self._like(expression, condition.pattern)
        if isinstance(condition, AnyValue):
            return self._equals(expression, vr, condition.values)
        assert isinstance(condition, ValueRange)
        ends = [f"{expression} >= {self._bind(condition.low)}"] if condition.low else [f"{expression} <> ''"]
        ends += [f"{expression} <= {self._bind(condition.high)}"] if condition.high else []
        return f"({' AND '.join(ends)})"

    def _like(self, expression: str, pattern: str) -> str:
        """The pattern, within the range of its beginning, so that an index serves."""
        if "*" not in pattern and "?" not in pattern:
            return self._equals(expression, "", (pattern,))
        fits = self._fits(expression, pattern)
        start = re.split(r"[*?]", pattern)[0]
        if not start:
            return f"({fits} AND {expression} <> '')"
        head, start = self._beginning(expression, start)
        low, high = self._bind(start), self._bind(start + chr(0x10FFFF))
        return f"({head} >= {low} AND {head} < {high} AND {fits})"

    # --- names --------------------------------------------------------------------------------------------------

    def _name(self, pattern: str) -> str:
        """`v.value` is the list of a name's groups."""
        groups = pattern.split("=")
        if len(groups) == 1:
            return any_of(
                f"coalesce({self._like(self._text(f'v.value ->> {index}'), pattern)}, false)"
                for index in range(len(NAME_COLUMNS))
            )
        return " AND ".join(
            self._like(self._text(f"v.value ->> {index}"), one) for index, one in enumerate(groups) if one
        )

    def _patient_name(self, pattern: str) -> str:
        groups = pattern.split("=")
        if len(groups) == 1:
            return self._any_name(pattern)
        wanted = [(f"patient.{column}", one) for column, one in zip(NAME_COLUMNS, groups, strict=False) if one]
        return " AND ".join(f"{self._like(column, one)} AND {column} <> ''" for column, one in wanted)

    # --- computed attributes ------------------------------------------------------------------------------------

    def _gathered(self, tag: int, condition: KeyCondition) -> str:
        expression = GATHERED[tag]
        source = (
            "SELECT 1 FROM series AS gathered JOIN instance ON instance.series_key = gathered.series_key "
            "AND instance.is_current = 1 WHERE gathered.study_key = study.study_key"
        )
        if isinstance(condition, EmptyValue):
            return f"NOT EXISTS ({source} AND {expression} <> '')"
        return f"EXISTS ({source} AND {self._test(expression, 'CS', condition)})"

    def _counted(self, tag: int, condition: KeyCondition) -> str:
        what, where = COUNTED[tag]
        count = (
            f"(SELECT {self._as_text(what)} FROM study AS counted "
            "JOIN series AS inner_series ON inner_series.study_key = counted.study_key "
            "JOIN instance AS inner_instance ON inner_instance.series_key = inner_series.series_key "
            f"AND inner_instance.is_current = 1 WHERE {where})"
        )
        return self._test(count, "IS", condition)

    # --- dates with times ---------------------------------------------------------------------------------------

    def _span(self, span: DateTimeRange) -> str:
        attributes = f"{TABLES[LEVEL_OF[span.date_tag]]}.attributes"
        date, time = hexadecimal(span.date_tag), hexadecimal(span.time_tag)
        day = self.normal["DA"](self._text(f"{attributes} ->> {self._path(date)}"))
        moment = self.normal["TM"](self._text(f"{attributes} ->> {self._path(time)}"))
        both = f"(({day}) || ({moment}))"
        if self._query.timezone:
            both = f"coalesce({attributes} ->> {self._path(date + IN_UTC)}, {both})"
        low, high = span.between.low, span.between.high
        whole = self._test(self._text(both), "LO", span.between)
        days = self._test(f"({day})", "LO", ValueRange(low[:8], high[:8]))
        return f"(CASE WHEN ({moment}) IS NULL THEN {days} ELSE {whole} END)"


def any_of(conditions: Iterable[str]) -> str:
    """One of these conditions."""
    found = list(conditions)
    return found[0] if len(found) == 1 else f"({' OR '.join(found)})"


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
