"""One way to compare an attribute's values, compiled: what fits, and how to tell of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from gateway.model.attribute_path import AttributePath
from gateway.ports.facts import Facts
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.calendar_span import CalendarSpan
from gateway.routing.language.pattern import Regex
from gateway.routing.language.scale import AGE, DATE, NUMBER, Scale, offset_zone
from gateway.routing.language.scale import number as as_number
from gateway.routing.language.text_folding import Shape

Fits = Callable[[str], bool | None]
"""Says of one value whether it fits; None when it cannot be compared."""

SHOWN_VALUES = 5
"""Values that an explanation goes through one by one."""
TIMEZONE_OFFSET = parse("TimezoneOffsetFromUTC")

BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "at_least": (operator.ge, "at least"),
    "more_than": (operator.gt, "more than"),
    "after": (operator.gt, "after"),
    "at_most": (operator.le, "at most"),
    "less_than": (operator.lt, "less than"),
    "before": (operator.lt, "before"),
}
"""Setting → (value, bound) → whether it fits, and its words."""
LOWER = frozenset({"at_least", "more_than", "after"})
STRICT = frozenset({"more_than", "less_than", "after", "before"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition on a value."""

    wording: str
    """Completes "the value is …"."""
    bound: str
    """The bound of the comparison, as it was written: shown only where values are."""
    for_object: Callable[[Facts], Fits]
    """The question for one object: "now" and time zones are known."""
    noun: str = ""
    """The kind of value that can be compared, with its article; empty when any can."""
    takes_empty: bool = False
    """True when an empty attribute counts as one empty text."""
    reads: tuple[AttributePath, ...] = ()
    """Attributes that it reads beside the compared one."""
    of_one: Fits | None = None
    """The question for the only value of an attribute, where it is the same for all objects: the quick way."""


def _same(fits: Fits) -> Callable[[Facts], Fits]:
    return lambda _facts: fits


def text_comparison(wording: str, bound: str, test: Callable[[str], bool], shape: Shape | None) -> Comparison:
    """A value, after `shape`, passes `test`."""
    fits: Fits = (lambda value: test(shape(value))) if shape else test
    return Comparison(wording, bound, _same(fits), takes_empty=True, of_one=fits)


def equals(text: str, shown: str, shape: Shape | None) -> Comparison:
    """`text` is folded as `shape` folds values; so are the texts of the other ways."""
    return text_comparison("equal to", shown, text.__eq__, shape)


def one_of(texts: Iterable[str], shown: str, shape: Shape | None = None, *, is_number: bool = False) -> Comparison:
    """A value is one of `texts`; with `is_number` also when it is the same number otherwise written."""
    known = frozenset(texts)
    if not is_number:
        return text_comparison("one of", shown, known.__contains__, shape)
    numbers = frozenset(value for text in known if (value := as_number(text)) is not None)

    def fits(value: str) -> bool:
        return value in known or as_number(value) in numbers

    return text_comparison("one of", shown, fits, None)


def in_part(way: str, texts: tuple[str, ...], shown: str, shape: Shape | None) -> Comparison:
    """A value starts with, ends with or contains one of `texts`."""
    tests: dict[str, tuple[str, Callable[[str], bool]]] = {
        "starts_with": ("a text that starts with", lambda value: value.startswith(texts)),
        "ends_with": ("a text that ends with", lambda value: value.endswith(texts)),
        "contains": ("a text that contains", lambda value: any(text in value for text in texts)),
    }
    wording, test = tests[way]
    return text_comparison(wording, shown, test, shape)


def matching(regex: Regex, shown: str, shape: Shape | None) -> Comparison:
    """A value matches `regex`; beyond what a large one takes in reasonable time, values are not compared."""
    search, most_characters = regex.search, regex.most_characters

    def for_object(_facts: Facts) -> Fits:
        left = most_characters

        def fits(value: str) -> bool | None:
            nonlocal left
            left -= len(value)
            return None if left < 0 else search(shape(value) if shape else value)

        return fits

    def of_one(value: str) -> bool | None:
        return None if len(value) > most_characters else search(shape(value) if shape else value)

    noun = "a text that is short enough for so large an expression"
    return Comparison("a text that matches", shown, for_object, noun, takes_empty=True, of_one=of_one)


def bounded(scale: Scale, bounds: Sequence[tuple[str, str]], zone: tzinfo | None, narrow: Callable[[Any], Any] | None
            ) -> Comparison:  # fmt: skip
    """A value lies within all `bounds`, (setting, text) each.

    `zone` is that of values that name none; None leaves it to the object, else to this machine. `narrow` makes of a
    bound what the attribute can hold.

    Raises:
        ValueError: a bound is not of this scale, or nothing lies within them.
    """
    for _name, text in bounds:
        if scale.read(text.strip(), zone) is None:
            raise ValueError(f"{text!r} is not {scale.noun} such as {scale.example}")

    def tests(of_object: tzinfo | None) -> list[tuple[Callable[[Any, Any], bool], Any]]:
        found = [(BOUNDS[name][0], scale.read(text.strip(), of_object)) for name, text in bounds]
        return [(test, narrow(bound)) for test, bound in found] if narrow else found

    _check_order(bounds, tests(zone))

    def fitting(of_object: tzinfo | None) -> Fits:
        (first, bound), *others = tests(of_object)
        read = scale.read

        def fits(value: str) -> bool | None:
            known = read(value, of_object)
            if known is None:
                return None
            is_within = bool(first(known, bound))
            return is_within and all(test(known, other) for test, other in others) if others else is_within

        return fits

    wording = " and ".join(BOUNDS[name][1] for name, _text in bounds)
    shown = " and ".join(text for _name, text in bounds)
    if scale.has_zone and zone is None:
        return Comparison(
            wording, shown, lambda facts: fitting(zone_of(facts)), noun=scale.noun, reads=(TIMEZONE_OFFSET,)
        )
    fits = fitting(zone)
    return Comparison(wording, shown, _same(fits), noun=scale.noun, of_one=fits)


def _check_order(bounds: Sequence[tuple[str, str]], tests: Sequence[tuple[object, Any]]) -> None:
    if len(bounds) != 2:
        return
    (first, low_text), (second, high_text) = bounds
    low, high = tests[0][1], tests[1][1]
    if low > high or (low == high and {first, second} & STRICT):
        raise ValueError(f"nothing lies between {low_text!r} and {high_text!r}; the lower bound stands first")


def aged(scale: Scale, limit: CalendarSpan, zone: tzinfo | None, *, is_older: bool) -> Comparison:
    """An age is more (less) than `limit`; or a date or date-time lies more (less) than that before the reception.

    Raises:
        ValueError: `limit` is finer than the scale.
    """
    wording = "older than" if is_older else "newer than"
    if scale is AGE:
        return _aged_by_age(scale, limit, wording, is_older=is_older)
    if scale is DATE and not limit.is_in_days:
        raise ValueError(f"{limit.text!r} is finer than a date; use Y, M, W or D")
    test = operator.lt if is_older else operator.gt

    def for_object(facts: Facts) -> Fits:
        here = zone or zone_of(facts)
        now = facts.received_at.astimezone(here)
        threshold: Any = limit.day_before(now.date()) if scale is DATE else limit.moment_before(now)
        read = scale.read

        def fits(value: str) -> bool | None:
            known = read(value, here)
            return None if known is None else test(known, threshold)

        return fits

    return Comparison(wording, limit.text, for_object, noun=scale.noun, reads=() if zone else (TIMEZONE_OFFSET,))


def _aged_by_age(scale: Scale, limit: CalendarSpan, wording: str, *, is_older: bool) -> Comparison:
    if not limit.is_in_days:
        raise ValueError(f"{limit.text!r} is finer than an age; use Y, M, W or D")
    threshold = limit.months * (scale.read("1M", None) or 0) + limit.seconds // 86400 * (scale.read("1D", None) or 0)
    test = operator.gt if is_older else operator.lt

    def fits(value: str) -> bool | None:
        known = scale.read(value, None)
        return None if known is None else test(known, threshold)

    return Comparison(wording, limit.text, _same(fits), noun=scale.noun)


def zone_of(facts: Facts) -> tzinfo | None:
    """The zone that the object says its dates and times are in (PS3.3 §C.12.1.1.8); None when it says none."""
    values = facts.values(TIMEZONE_OFFSET)
    return offset_zone(values[0]) if values else None


def is_number(scale: Scale | None) -> bool:
    """True when texts of the scale may be the same number written in another way."""
    return scale is NUMBER


def describe(found: list[tuple[str, bool | None]], compared: Comparison, *, with_values: bool) -> str:
    """The findings on each value; values and bounds only `with_values`."""
    if not found:
        return "is empty"
    if with_values:
        each = [_verdict(value[:64], fit, compared) for value, fit in found[:SHOWN_VALUES]]
        more = len(found) - len(each)
        return "; ".join(each) + (f"; and {more} more" if more else "")
    if len(found) == 1:
        return _verdict("", found[0][1], compared, is_shown=False)
    fitting = sum(fit is True for _value, fit in found)
    odd = sum(fit is None for _value, fit in found)
    text = f"has {fitting} of {len(found)} values {compared.wording} what is asked for"
    return text + (f", {odd} not {compared.noun}" if odd else "")


def _verdict(value: str, fit: bool | None, compared: Comparison, *, is_shown: bool = True) -> str:
    subject = repr(value) if is_shown else ""
    if fit is None:
        return f"{subject} is not {compared.noun}".strip()
    bound = compared.bound if is_shown else "what is asked for"
    return f"{subject} is {'' if fit else 'not '}{compared.wording} {bound}".strip()
