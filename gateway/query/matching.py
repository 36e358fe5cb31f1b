"""Matching as a pure function of values (PS3.4 §C.2.2.2). The index does the same in SQL; tests hold both together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from gateway.model.query import (
    AnyValue,
    Attributes,
    DateTimeRange,
    EmptyValue,
    KeyCondition,
    Query,
    QueryKey,
    SequenceItem,
    Value,
    ValueRange,
    WildCard,
)
from gateway.query.attributes import TIMEZONE_OFFSET_FROM_UTC
from gateway.query.normal import folded_groups, in_utc, normal


def matches(query: Query, attributes: Attributes) -> bool:
    """True when all keys of `query` match. An attribute that `attributes` lacks is empty."""
    offset = _first(attributes.get(TIMEZONE_OFFSET_FROM_UTC, ()))
    return all(key_matches(key, attributes.get(key.tag, ()), offset) for key in query.keys) and all(
        _span_matches(span, attributes, offset, is_in_utc=bool(query.timezone)) for span in query.spans
    )


def key_matches(key: QueryKey, value: Value, timezone_offset: str = "") -> bool:
    """True when one condition of `key` holds for one value, or there is no condition."""
    return not key.conditions or any(_holds(each, key.vr, value, timezone_offset) for each in key.conditions)


def _holds(condition: KeyCondition, vr: str, value: Value, timezone_offset: str) -> bool:
    if isinstance(condition, EmptyValue):
        return not any(value)
    if isinstance(condition, SequenceItem):
        return any(
            all(key_matches(key, item.get(key.tag, ()), timezone_offset) for key in condition.keys)
            for item in value
            if not isinstance(item, str)
        )
    texts = [text for text in value if isinstance(text, str) and text]
    if isinstance(condition, WildCard):
        if vr == "PN":
            return _name_matches(condition.pattern, texts)
        pattern = compiled(condition.pattern)
        return any(pattern.fullmatch(text) for text in texts)
    found = [form for text in texts if (form := normal(text, vr, timezone_offset)) is not None]
    if isinstance(condition, AnyValue):
        return any(form in condition.values for form in found)
    return any(is_between(form, condition) for form in found)


def is_between(form: str, between: ValueRange) -> bool:
    """Both ends inclusive; an empty one is open."""
    return (not between.low or between.low <= form) and (not between.high or form <= between.high)


def _name_matches(pattern: str, names: Iterable[str]) -> bool:
    """`pattern` is folded. One component group matches any group of a name; several match group by group, and empty
    ones among them match all."""
    wanted = pattern.split("=")
    groups = [folded_groups(name) for name in names]
    if len(wanted) == 1:
        return any(compiled(pattern).fullmatch(group) for each in groups for group in each if group)
    return any(
        all(len(each) > index and compiled(one).fullmatch(each[index]) for index, one in enumerate(wanted) if one)
        for each in groups
    )


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Pattern:
    """Wild cards, prepared; patterns have at most `compile.MAX_PATTERN_CHARACTERS`."""
    return Pattern(pattern)


class Pattern:
    """Text with wild cards. The pieces between stars are looked for one after the other, leftmost first, which needs no
    going back: a hostile pattern costs no more than its length times the value's."""

    __slots__ = ("_first", "_last", "_last_length", "_middle")

    def __init__(self, pattern: str) -> None:
        first, *rest = re.split(r"\*+", pattern)
        self._first = _without_star(first)
        self._middle = [_without_star(piece) for piece in rest[:-1]]
        self._last = _without_star(rest[-1]) if rest else None
        self._last_length = len(rest[-1]) if rest else 0

    def fullmatch(self, text: str) -> bool:
        """True when the whole of `text` is what the pattern says."""
        if self._last is None:
            return self._first.fullmatch(text) is not None
        found = self._first.match(text)
        for piece in self._middle:
            if found is None:
                return False
            found = piece.search(text, found.end())
        start = len(text) - self._last_length
        return found is not None and found.end() <= start and self._last.match(text, start) is not None


def _without_star(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if each == "?" else re.escape(each) for each in piece), re.DOTALL)


def _span_matches(span: DateTimeRange, attributes: Attributes, timezone_offset: str, *, is_in_utc: bool) -> bool:
    day = normal(_first(attributes.get(span.date_tag, ())), "DA")
    if day is None:
        return False
    moment = normal(_first(attributes.get(span.time_tag, ())), "TM")
    if moment is None:  # of a day without a time only the day can be compared
        return is_between(day, ValueRange(span.between.low[:8], span.between.high[:8]))
    form = in_utc(day + moment, timezone_offset if is_in_utc else "")
    return form is not None and is_between(form, span.between)


def _first(value: Value) -> str:
    return value[0] if value and isinstance(value[0], str) else ""
