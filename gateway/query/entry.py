"""What the local index keeps of one instance: scanned values, level by level, as canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable

from gateway.dataset.scan import Level
from gateway.model import IndexEntry, QueryLevel
from gateway.query.attributes import (
    DATE_TIME_PAIRS,
    INDEXED,
    INDEXED_SEQUENCES,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    TIMEZONE_OFFSET_FROM_UTC,
    hexadecimal,
    vr_for,
)
from gateway.query.normal import date, date_time, folded_groups, in_utc, time

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, ensure_ascii=False).encode

MAX_VALUE_CHARACTERS = 1024
"""Of one value; comments and histories are cut there."""
MAX_VALUES = 64
"""Of one attribute, and items of one sequence."""

NAMES = "="
"""Added to a tag: the folded component groups of each name."""
IN_UTC = "@"
"""Added to a tag: times in UTC, of a DT each value, of a date with its time one."""

_IN_INSTANCE = frozenset({SOP_INSTANCE_UID, SOP_CLASS_UID})
"""What the queue's own columns say."""

Plan = tuple[tuple[int, str, str], ...]
"""(tag, hexadecimal, VR)."""


def _plan(tags: Iterable[int]) -> Plan:
    return tuple((tag, hexadecimal(tag), vr_for(tag)) for tag in tags if tag not in _IN_INSTANCE)


_PLANS = {level: _plan(INDEXED[level]) for level in QueryLevel}
_SEQUENCES = {
    level: tuple((tag, hexadecimal(tag), _plan(inner)) for tag, inner in INDEXED_SEQUENCES[level].items())
    for level in QueryLevel
}
_PAIRS = {
    level: tuple((hexadecimal(day), hexadecimal(moment)) for day, moment in DATE_TIME_PAIRS if day in INDEXED[level])
    for level in QueryLevel
}


def index_entry(level: Level) -> IndexEntry | None:
    """The entry of an object that was scanned for `attributes.indexed_paths()`, after coercions; None for one without
    study and series, which no query could name."""
    if not level.text(STUDY_INSTANCE_UID) or not level.text(SERIES_INSTANCE_UID):
        return None
    offset = (level.text(TIMEZONE_OFFSET_FROM_UTC) or ("",))[0]
    return IndexEntry(
        patient=_level_text(level, QueryLevel.PATIENT, offset),
        study=_level_text(level, QueryLevel.STUDY, offset),
        series=_level_text(level, QueryLevel.SERIES, offset),
        image=_level_text(level, QueryLevel.IMAGE, offset),
    )


def _level_text(level: Level, which: QueryLevel, offset: str) -> str:
    found = _values(level, _PLANS[which], offset)
    for tag, name, inner in _SEQUENCES[which]:
        items = [item for each in level.items.get(tag, ())[:MAX_VALUES] if (item := _values(each, inner, offset))]
        if items:
            found[name] = items
    if offset:
        for day, moment in _PAIRS[which]:
            _add_utc(found, day, moment, offset)
    if which is QueryLevel.PATIENT and hexadecimal(PATIENT_ID) not in found:
        found[hexadecimal(STUDY_INSTANCE_UID)] = (level.text(STUDY_INSTANCE_UID) or ("",))[0]  # nobody else's
    return _encode(found)


def _values(level: Level, plan: Plan, offset: str) -> dict[str, object]:
    """Hexadecimal tag → text, or texts when there are several; without what is empty."""
    found: dict[str, object] = {}
    text_of = level.text
    for tag, name, vr in plan:
        texts = text_of(tag)
        if not texts or not any(texts):
            continue
        if len(texts) == 1 and len(texts[0]) <= MAX_VALUE_CHARACTERS:
            found[name] = texts[0]
        else:
            texts = tuple(text[:MAX_VALUE_CHARACTERS] for text in texts[:MAX_VALUES])
            found[name] = texts if len(texts) > 1 else texts[0]
        if vr == "PN":
            found[name + NAMES] = [folded_groups(text) for text in texts]
        elif vr == "DT":
            found[name + IN_UTC] = [date_time(text, offset) for text in texts]
    return found


def _add_utc(found: dict[str, object], day: str, moment: str, offset: str) -> None:
    days, moments = found.get(day), found.get(moment)
    if isinstance(days, str) and isinstance(moments, str):
        day_form, moment_form = date(days), time(moments)
        if day_form and moment_form:
            found[day + IN_UTC] = in_utc(day_form + moment_form, offset)
