"""Queries of Query/Retrieve (PS3.4 Annex C), decoded: keys, conditions, values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


class QueryLevel(enum.StrEnum):
    """Query/Retrieve Level (0008,0052), from the top (PS3.4 §C.6.1.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


QueryRoot = Literal["patient", "study", "patient_study"]
"""Information model: Patient Root, Study Root, Patient/Study Only (retired)."""

LOCAL = "local"
"""The source that is the gateway itself."""


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Single value and list of UID matching (PS3.4 §C.2.2.2.1, §C.2.2.2.2). Values in their normal form
    (`gateway.query.normal`)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WildCard:
    """Wild card matching: `*` any text, `?` any character (PS3.4 §C.2.2.2.4). A person name is matched in its folded
    form, wild cards or not.
    """

    pattern: str


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Range matching, both ends inclusive, in the normal form; an empty end is open (PS3.4 §C.2.2.2.5)."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class EmptyValue:
    """Empty value matching: the attribute is absent or has no value (PS3.4 §C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class SequenceItem:
    """Sequence matching: one item fulfils all keys (PS3.4 §C.2.2.2.6)."""

    keys: tuple[QueryKey, ...]


KeyCondition = AnyValue | WildCard | ValueRange | EmptyValue | SequenceItem


@dataclass(frozen=True, slots=True)
class QueryKey:
    """One attribute of a C-FIND identifier: what is asked for, and what must match."""

    tag: int
    vr: str
    """The dictionary's; the first one of several."""
    conditions: tuple[KeyCondition, ...] = ()
    """One of them must hold; () is universal matching."""
    inner: tuple[QueryKey, ...] = ()
    """The attributes to return of each item of a sequence; () returns whole items."""


@dataclass(frozen=True, slots=True)
class DateTimeRange:
    """Combined date-time matching: date and time as one value (PS3.4 §C.2.2.2.5)."""

    date_tag: int
    time_tag: int
    between: ValueRange
    """As ``YYYYMMDDHHMMSS.FFFFFF``."""


@dataclass(frozen=True, slots=True)
class Query:
    """One C-FIND identifier, understood. Also what C-MOVE and C-GET name, with unique keys alone."""

    level: QueryLevel
    root: QueryRoot
    keys: tuple[QueryKey, ...]
    """Keys in order of tags, sequences included; without the level, the character set and the computed ones."""
    spans: tuple[DateTimeRange, ...] = ()
    """The keys they stand for have no conditions of their own."""
    unsupported: tuple[int, ...] = ()
    """Optional keys that nobody here knows: not matched, not returned; pending responses are 0xFF01 then."""
    computed: frozenset[int] = frozenset()
    """The computed attributes that the identifier names: Retrieve AE Title, Instance Availability, Timezone Offset
    From UTC and the like.
    """
    character_sets: tuple[str, ...] = ()
    """Specific Character Set of the request, which responses keep where it can write them."""
    timezone: str = ""
    """Timezone Offset From UTC of the request as ``&ZZXX``; empty without."""
    is_relational: bool = False


QueryItem = Mapping[int, "Value"]
Value = tuple[str, ...] | tuple[QueryItem, ...]
"""Values of one attribute as text, or the items of a sequence; () is empty."""
Attributes = Mapping[int, Value]
"""Values by tag: a decoded identifier, or one match."""
