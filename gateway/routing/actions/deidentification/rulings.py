"""One ruling a tag, from Table E.1-1, the chosen options and the IOD: made once for a configuration and SOP class.

Codes with a choice (``X/D`` …) are decided by the attribute's Type in the IOD (PS3.15 Table E.1-1a): Type 3 takes the
first, Type 2 the one that leaves it there without a value, Type 1 the one with a value. Where the Type is not known,
as inside sequences and in private SOP classes, the last one is taken: it keeps the object valid whatever the Type is.
``Z`` of a Type 1 attribute becomes a dummy, which ``Z`` allows.

When several options have a code for an attribute, cleaning goes before keeping.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.dataset.dictionary import vr_of
from gateway.routing.actions.deidentification.tables import (
    COLUMNS,
    PATTERNS,
    ActionCode,
    Option,
    Row,
    rows,
    typed_sop_classes,
    types_of,
)


class Treatment(enum.Enum):
    """The treatment of an element. Sequences with any but `REMOVE` and `EMPTY` keep their items, whose elements are
    decided in turn.
    """

    KEEP = enum.auto()
    REMOVE = enum.auto()
    EMPTY = enum.auto()
    DUMMY = enum.auto()
    """A value that says nothing; in a sequence, all that is in it."""
    UID = enum.auto()
    """A keyed, stable UID."""
    SHIFT = enum.auto()
    """Dates move by the patient's days; times stay."""
    CLEAN = enum.auto()
    """Text without what identifies; in a sequence, all text that is in it."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """`otherwise` is done where a shift or a cleaning is not possible."""

    treatment: Treatment
    otherwise: Treatment = Treatment.REMOVE


@dataclass(frozen=True, slots=True)
class Rulings:
    """Rulings for the top level of an object, and for elements in sequences. A tag that is in neither is kept."""

    top: Mapping[int, Ruling]
    nested: Mapping[int, Ruling]


_SINGLE: Mapping[str, Treatment] = {
    "D": Treatment.DUMMY,
    "Z": Treatment.EMPTY,
    "X": Treatment.REMOVE,
    "K": Treatment.KEEP,
    "U": Treatment.UID,
    "U*": Treatment.UID,
}
_TYPE_3, _TYPE_2 = ("3",), ("2", "2C")


def rulings(options: frozenset[Option], sop_class_uid: str) -> Rulings:
    """The rulings under `options` for objects of a SOP class."""
    return _rulings(options, sop_class_uid if sop_class_uid in typed_sop_classes() else "")


@lru_cache(maxsize=1024)
def _rulings(options: frozenset[Option], sop_class_uid: str) -> Rulings:
    """Empty for all SOP classes that the tables do not know: what senders make up is not remembered one by one."""
    types = types_of(sop_class_uid)
    single = [row for row in rows() if row.tag not in PATTERNS]
    return Rulings(
        top={row.number: _ruling(row, options, types.get(row.number, "")) for row in single},
        nested=_nested(options),
    )


@lru_cache(maxsize=64)
def _nested(options: frozenset[Option]) -> Mapping[int, Ruling]:
    return {row.number: _ruling(row, options, "") for row in rows() if row.tag not in PATTERNS}


def _ruling(row: Row, options: frozenset[Option], attribute_type: str) -> Ruling:
    basic = treatment_of(row.basic, attribute_type)
    chosen = {column: row.options[column] for column in COLUMNS if column in options and column in row.options}
    if "C" not in chosen.values():
        return Ruling(Treatment.KEEP if chosen else basic)
    if chosen.get("retain-longitudinal-modified") == "C":
        return Ruling(Treatment.SHIFT, basic)
    return Ruling(Treatment.CLEAN, basic)


def treatment_of(code: ActionCode, attribute_type: str) -> Treatment:
    """The treatment for an action code of the basic profile on an attribute of `attribute_type`, empty when that is
    not known.
    """
    choices = code.split("/")
    if attribute_type in _TYPE_3:
        return _SINGLE[choices[0]]
    if attribute_type in _TYPE_2:
        return _SINGLE["Z" if "Z" in choices else choices[-1]]
    if attribute_type and code == "Z":
        return Treatment.DUMMY
    return _SINGLE[choices[-1]]


def sequences(tags: Iterable[int]) -> frozenset[int]:
    """The tags among `tags` that the dictionary calls sequences."""
    return frozenset(tag for tag in tags if vr_of(tag) == "SQ")
