"""The entry of one instance in the local index: scanned values, level by level, as canonical JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from gateway.common.bounded_cache import ENTRY_BYTES, BoundedCache
from gateway.dataset.scanned_level import Level
from gateway.model.instance import IndexEntry
from gateway.model.query import QueryLevel
from gateway.query.attributes import (
    DATE_TIME_PAIRS,
    INDEXED,
    INDEXED_SEQUENCES,
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
    TIMEZONE_OFFSET_FROM_UTC,
    hexadecimal,
    vr_for,
)
from gateway.query.normal import date, date_time, folded_groups, in_utc, time

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, ensure_ascii=False).encode

MAX_CHARACTERS = 65_536
"""Longest text of one attribute, all values with their separators; the rest is cut. Comments and histories have at most
10 240 (PS3.5 §6.2)."""
MAX_ITEMS = 64
"""The greatest number of items of one sequence."""

KEPT_ABOVE_BYTES = 8 * 1024**2
KEPT_ABOVE_BYTES_EACH = 64 * 1024
KEPT_PIECES_BYTES = 8 * 1024**2
KEPT_PIECE_BYTES = 1024
"""Longest value whose encoding is kept; longer ones are encoded anew each time."""
KEPT_CIRCUMSTANCES = 64

NAMES = "="
"""Added to a tag: the folded component groups of each name."""
IN_UTC = "@"
"""Added to a tag: times in UTC, of a DT each value, of a date with its time one."""

_IN_INSTANCE = frozenset({SOP_INSTANCE_UID, SOP_CLASS_UID})
"""Attributes that have columns of their own in the queue."""

EntryPlan = tuple[tuple[int, str, str], ...]
"""(tag, hexadecimal, VR)."""


def _plan(tags: Iterable[int]) -> EntryPlan:
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

_ABOVE = (QueryLevel.PATIENT, QueryLevel.STUDY, QueryLevel.SERIES)
_ABOVE_TAGS = (SPECIFIC_CHARACTER_SET, *(tag for each in _ABOVE for tag in INDEXED[each]))
_ABOVE_ITEMS = tuple(
    (tag, (SPECIFIC_CHARACTER_SET, *inner)) for each in _ABOVE for tag, inner in INDEXED_SEQUENCES[each].items()
)
_IMAGE_TAGS = tuple(tag for tag, _, _ in _PLANS[QueryLevel.IMAGE])
_IMAGE_PAIRS = tuple(pair for pair in DATE_TIME_PAIRS if pair[0] in INDEXED[QueryLevel.IMAGE])
_IMAGE_SEQUENCES = tuple(INDEXED_SEQUENCES[QueryLevel.IMAGE])


class IndexEntries:
    """Makes entries. Instances of one series have most of their attributes in common: what was made of the same bytes
    before is not made again. For one thread."""

    def __init__(self) -> None:
        self._above: BoundedCache[tuple[object, ...], tuple[str, str, str]] = BoundedCache(
            KEPT_ABOVE_BYTES, KEPT_ABOVE_BYTES_EACH
        )
        """Patient, study and series by everything they are made of."""
        self._pieces: dict[tuple[object, ...], dict[tuple[int, object], str]] = {}
        """Attributes of an image as pieces of JSON, by encoding, character set and time zone."""
        self._pieces_bytes = 0

    def entry(self, level: Level) -> IndexEntry | None:
        """The entry of an object that was scanned for `attributes.indexed_paths()`, after coercions; None for one
        without study and series, which no query could name."""
        if not level.text(STUDY_INSTANCE_UID) or not level.text(SERIES_INSTANCE_UID):
            return None
        written = level.written(_ABOVE_TAGS)
        inner = tuple([(tag, item.written(tags)) for tag, tags in _ABOVE_ITEMS for item in level.items.get(tag, ())])
        encoding = (level.encoding.is_implicit, level.encoding.is_big_endian, level.undeclared)
        key = (encoding, written, inner)
        above = self._above.get(key)
        if above is None:
            entry = entry_of(level)
            above = (entry.patient, entry.study, entry.series)
            self._above.put(key, above, _size((written, inner, above)))
            return entry
        offset = _offset(level)
        if any(level.items.get(tag) for tag in _IMAGE_SEQUENCES):
            return IndexEntry(*above, _level_text(level, QueryLevel.IMAGE, offset))
        return IndexEntry(*above, self._image(level, offset, self._pieces_for(encoding, written[0], offset)))

    def _pieces_for(self, *circumstances: object) -> dict[tuple[int, object], str]:
        pieces = self._pieces.get(circumstances)
        if pieces is None:
            if _size(circumstances) > KEPT_PIECE_BYTES:
                return {}
            if len(self._pieces) >= KEPT_CIRCUMSTANCES:
                self._pieces.clear()
                self._pieces_bytes = 0
            pieces = self._pieces[circumstances] = {}
        return pieces

    def _keep(self, known: dict[tuple[int, object], str], key: tuple[int, object], piece: str) -> None:
        """Keep `piece` for the next time; everything goes when it is too much together."""
        size_bytes = _size(key) + len(piece)
        if size_bytes > KEPT_PIECE_BYTES:
            return
        self._pieces_bytes += size_bytes + ENTRY_BYTES
        if self._pieces_bytes > KEPT_PIECES_BYTES:
            for pieces in self._pieces.values():
                pieces.clear()
            self._pieces_bytes = size_bytes + ENTRY_BYTES
        known[key] = piece

    def _image(self, level: Level, offset: str, known: dict[tuple[int, object], str]) -> str:
        pieces = []
        for step, written in zip(_PLANS[QueryLevel.IMAGE], level.written(_IMAGE_TAGS), strict=True):
            if written is None:
                continue
            piece = known.get((step[0], written))
            if piece is None:
                piece = _encode(_values(level, (step,), offset))[1:-1]
                self._keep(known, (step[0], written), piece)
            if piece:
                pieces.append(piece)
        if offset:
            pieces += self._pairs(level, offset, known)
        return "{" + ",".join(pieces) + "}"

    def _pairs(self, level: Level, offset: str, known: dict[tuple[int, object], str]) -> Iterator[str]:
        """Dates with their times in UTC."""
        for day, moment in _IMAGE_PAIRS:
            written = level.written((day, moment))
            if None in written:
                continue
            piece = known.get((day, written))
            if piece is None:
                found: dict[str, object] = {hexadecimal(tag): (level.text(tag) or ("",))[0] for tag in (day, moment)}
                _add_utc(found, hexadecimal(day), hexadecimal(moment), offset)
                piece = _encode(dict(list(found.items())[2:]))[1:-1]
                self._keep(known, (day, written), piece)
            if piece:
                yield piece


def _size(value: object) -> int:
    """Characters and bytes in nested tuples, about."""
    if isinstance(value, tuple):
        return sum(map(_size, value)) + 64
    return len(value) if isinstance(value, str | bytes) else 8


def entry_of(level: Level) -> IndexEntry:
    """Made anew."""
    offset = _offset(level)
    return IndexEntry(
        patient=_level_text(level, QueryLevel.PATIENT, offset),
        study=_level_text(level, QueryLevel.STUDY, offset),
        series=_level_text(level, QueryLevel.SERIES, offset),
        image=_level_text(level, QueryLevel.IMAGE, offset),
    )


def _offset(level: Level) -> str:
    return (level.text(TIMEZONE_OFFSET_FROM_UTC) or ("",))[0]


def _level_text(level: Level, which: QueryLevel, offset: str) -> str:
    found = _values(level, _PLANS[which], offset)
    for tag, name, inner in _SEQUENCES[which]:
        items = [item for each in level.items.get(tag, ())[:MAX_ITEMS] if (item := _values(each, inner, offset))]
        if items:
            found[name] = items
    if offset:
        for day, moment in _PAIRS[which]:
            _add_utc(found, day, moment, offset)
    if which is QueryLevel.PATIENT and hexadecimal(PATIENT_ID) not in found:
        found[hexadecimal(STUDY_INSTANCE_UID)] = (level.text(STUDY_INSTANCE_UID) or ("",))[0]  # nobody else's
    return _encode(found)


def _values(level: Level, plan: EntryPlan, offset: str) -> dict[str, object]:
    """Hexadecimal tag → text, or texts when there are several; without what is empty."""
    found: dict[str, object] = {}
    text_of = level.text
    for tag, name, vr in plan:
        texts = text_of(tag)
        if not texts or not any(texts):
            continue
        if sum(map(len, texts)) + len(texts) > MAX_CHARACTERS:
            texts = _cut(texts)
        found[name] = texts if len(texts) > 1 else texts[0]
        if vr == "PN":
            found[name + NAMES] = [folded_groups(text) for text in texts]
        elif vr == "DT":
            found[name + IN_UTC] = [date_time(text, offset) for text in texts]
    return found


def _cut(texts: Sequence[str]) -> tuple[str, ...]:
    """The first ones, `MAX_CHARACTERS` in all; a name or code is not cut in its middle unless it is the only one."""
    found: list[str] = []
    left = MAX_CHARACTERS
    for text in texts:
        if len(text) > left:
            break
        found.append(text)
        left -= len(text) + 1
    return tuple(found) or (texts[0][:MAX_CHARACTERS],)


def _add_utc(found: dict[str, object], day: str, moment: str, offset: str) -> None:
    days, moments = found.get(day), found.get(moment)
    if isinstance(days, str) and isinstance(moments, str):
        day_form, moment_form = date(days), time(moments)
        if day_form and moment_form:
            found[day + IN_UTC] = in_utc(day_form + moment_form, offset)
