"""The predicate `attribute`: what a rule may ask of one attribute's values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from gateway.common import setting_faults as faults
from gateway.dataset.dictionary import SEQUENCE, name_of, vm_of
from gateway.dataset.private import vr_at
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingPath, SettingProblem
from gateway.ports.facts import Facts
from gateway.ports.kinds import Callers, predicate
from gateway.routing import index_keys
from gateway.routing.index_keys import Keys
from gateway.routing.language import comparison
from gateway.routing.language.calendar_span import CalendarSpan
from gateway.routing.language.comparison import BOUNDS, LOWER, Comparison
from gateway.routing.language.fields import BULK_VRS
from gateway.routing.language.pattern import Regex
from gateway.routing.language.scale import AGE, BY_VR, DATE, DATE_TIME, NUMBER, SCALES, TIME, Scale, single
from gateway.routing.language.scale import number as as_number
from gateway.routing.language.text_folding import Component, Representation, Shape, shape, without_diacritics
from gateway.routing.language.time_zone import TimeZone
from gateway.routing.language.value_forms import form_fault, small_letters_fault
from gateway.routing.predicates.counts import Among, Times

AttributeTexts = tuple[str, ...]

TEXT_WAYS = ("equals", "in", "starts_with", "ends_with", "contains", "matches")
SPAN_WAYS = ("older_than", "newer_than")
PRESENCE_WAYS = ("exists", "absent")
MAX_VALUES = 10_000
"""The most values of one attribute that are compared, so that a hostile object costs little time."""
WAYS = (*TEXT_WAYS, *BOUNDS, "between", *SPAN_WAYS, *PRESENCE_WAYS)


@predicate("attribute")
@dataclass(frozen=True, slots=True)
class Attribute:
    """Compares the attribute `select` in one way. For an absent attribute only `absent` and `count: 0` hold.

    Texts: equals, in, starts_with, ends_with, contains, matches (an RE2 regular expression, found anywhere unless
    anchored with ^ and $). With ignore_case and ignore_diacritics, on a person name's component (family, given, middle,
    prefix, suffix) or representation (alphabetic, ideographic, phonetic). Of a numeric attribute, equals and in also
    take the same number written otherwise. An empty attribute counts as one empty text.

    Order, by the attribute's VR (number, date, time, date and time, age): at_least, more_than, at_most, less_than, a
    lower with an upper one if need be; before, after; between two values, both included. What is not such a value does
    not fit. `as` says what values of private attributes or of texts are.

    Ages: older_than and newer_than take a span (18 Y, 6 M, 2 W, 30 D, 12 h) of an age, or from a date or date and time
    to the object's reception. What names no zone is in `time_zone`, else in the object's Timezone Offset From UTC, else
    in this machine's.

    exists: true when the attribute is there, empty or not. absent: true when it is not there.

    Of several values one that fits is enough; `values: every` wants all of them, and at least one. `count` says how
    many must fit or, without a comparison, how many there are: 2, 1-3, 2-n. Of more than 10000 values the first are
    compared, and `every` is false.
    """

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "attribute: {select: SliceThickness, at_most: 1.25}"

    select: AttributePath
    equals: str | None = None
    in_: Among | None = None
    starts_with: tuple[str, ...] | None = None
    ends_with: tuple[str, ...] | None = None
    contains: tuple[str, ...] | None = None
    matches: Regex | None = None
    at_least: str | None = None
    more_than: str | None = None
    at_most: str | None = None
    less_than: str | None = None
    before: str | None = None
    after: str | None = None
    between: tuple[str, ...] | None = None
    older_than: CalendarSpan | None = None
    newer_than: CalendarSpan | None = None
    exists: bool | None = None
    absent: bool | None = None
    values: Literal["any", "every"] | None = None
    count: Times | None = None
    ignore_case: bool = False
    ignore_diacritics: bool = False
    component: Component | None = None
    representation: Representation | None = None
    as_: Literal["text", "number", "date", "time", "date_time", "age"] | None = None
    time_zone: TimeZone | None = None
    _text: str | None = field(init=False, repr=False, compare=False)
    """A plain `equals`: the most frequent way, without further calls."""
    _decide: Callable[[AttributeTexts | None, Facts], bool] | None = field(init=False, repr=False, compare=False)
    """Everything else; None when `_text` says it all."""
    _comparison: Comparison | None = field(init=False, repr=False, compare=False)
    _problems: tuple[SettingProblem, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled, problems = _compiled(self)
        is_plain = self.equals is not None and not (problems or self.values or self.count or _shape(self))
        says_it_all = is_plain and not comparison.is_number(_scale(self))
        object.__setattr__(self, "_text", self.equals if is_plain else None)
        object.__setattr__(self, "_decide", None if says_it_all or problems else _decision(self, compiled))
        object.__setattr__(self, "_comparison", compiled)
        object.__setattr__(self, "_problems", tuple(problems))

    def __call__(self, facts: Facts) -> bool:
        values = facts.values(self.select)
        text = self._text
        if text is not None:
            if values is None:
                return False
            if text in values or (len(values) != 1 and "\\".join(values) == text):
                return True
        return self._decide is not None and self._decide(values, facts)

    def attributes(self) -> Iterable[AttributePath]:
        return (self.select, *(self._comparison.reads if self._comparison else ()))

    def keys(self) -> Iterable[Keys]:
        """One of several values that fits is enough for what is said here, but not for a `count` or another shape."""
        if self.count is not None or _shape(self) or self._problems:
            return ()
        texts = (self.equals,) if self.equals is not None else self.in_.texts() if self.in_ is not None else None
        if texts is not None and comparison.is_number(_scale(self)):
            numbers = {known for text in texts if (known := as_number(text)) is not None}
            return (Keys(index_keys.NumberKeys(self.select), frozenset({*texts, *numbers})),)
        if texts is not None:
            return (Keys(index_keys.ValueKeys(self.select), frozenset(texts)),)
        starts = self.starts_with or (() if self.matches is None else (index_keys.start_of(self.matches.text),))
        if starts and "" not in starts:
            starts = tuple(start[: index_keys.LONGEST_START] for start in starts)
            return (Keys(index_keys.Starts(self.select), frozenset(starts)),)
        part, is_folded = ("", False) if self.matches is None else index_keys.part_of(self.matches.text)
        parts = self.contains or (part,)
        return () if "" in parts else (Keys(index_keys.ValueParts(self.select, is_folded), frozenset(parts)),)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        """The findings, for an explanation; values and bounds only `with_values`."""
        values = facts.values(self.select)
        name = self.select.text or name_of(self.select.tag)
        if values is None:
            return f"{name} is absent"
        if self._comparison is None and with_values:
            joined = "\\".join(values)
            return f"{name} = {joined[:256]!r}"
        if self._comparison is None:
            plural = "" if len(values) == 1 else "s"
            return f"{name} has {len(values)} value{plural}" if self.count else f"{name} is there"
        fits = self._comparison.for_object(facts)
        found = [(value, fits(value)) for value in _texts(values, self._comparison)]
        return f"{name} {comparison.describe(found, self._comparison, with_values=with_values)}"

    def problems(self) -> Iterable[SettingProblem]:
        return self._problems

    def never_holds(self, callers: Callers) -> Iterable[tuple[SettingPath, str]]:
        """The texts for a whole value that no date, time or code string has."""
        vr, name = vr_at(self.select) or "", name_of(self.select.tag)
        for path, text in self._whole_values():
            fault = form_fault(vr, name, text)
            if vr == "CS" and not self.ignore_case:
                fault = small_letters_fault(name, text, ", or add `ignore_case: true`")
            if fault:
                yield path, fault

    def _whole_values(self) -> Iterable[tuple[SettingPath, str]]:
        if self.equals is not None:
            yield ("equals",), self.equals
        for index, text in enumerate(() if self.in_ is None or self.in_.values is None else self.in_.values):
            yield ("in", index), text


# --- compiling --------------------------------------------------------------------------------------------------


def _given(attribute: Attribute) -> list[str]:
    return [way for way in WAYS if _setting(attribute, way) is not None]


def _setting(attribute: Attribute, way: str) -> Any:
    return getattr(attribute, "in_" if way == "in" else way)


def _compiled(attribute: Attribute) -> tuple[Comparison | None, list[SettingProblem]]:
    """The comparison, None when presence or the count alone decides; and what is wrong."""
    ways = _given(attribute)
    problems = [*_clashes(ways), *_unfit(attribute, ways)]
    if not ways and attribute.count is None:
        problems.insert(0, ((), faults.needs("attribute", (*WAYS, "count")).message))
    if problems or not ways or ways[0] in PRESENCE_WAYS:
        return None, problems
    try:
        return _comparison(attribute, ways), []
    except ValueError as error:
        return None, [((ways[0],), str(error))]


def _clashes(ways: list[str]) -> Iterable[SettingProblem]:
    """The problems of ways to compare that exclude each other: only a lower and an upper bound go together."""
    sides = {way in LOWER for way in ways[:1] if way in BOUNDS}
    for extra in ways[1:]:
        if sides and extra in BOUNDS and (extra in LOWER) not in sides:
            sides.add(extra in LOWER)
            continue
        yield (extra,), faults.one_way("attribute", ways[0])


def _unfit(attribute: Attribute, ways: list[str]) -> Iterable[SettingProblem]:
    """Settings that can never hold, or say nothing, for this attribute and this way."""
    way = ways[0] if ways else "count"
    vr, name = vr_at(attribute.select), name_of(attribute.select.tag)
    if vr and set(vr.split(" or ")) <= BULK_VRS | {SEQUENCE} and way not in PRESENCE_WAYS:
        what = "a sequence" if vr == SEQUENCE else f"binary data (VR {vr})"
        yield (way,), f"{name} is {what}: only exists and absent can be asked of it"
        return
    for setting in ("ignore_case", "ignore_diacritics", "component", "representation"):
        if getattr(attribute, setting) and way not in TEXT_WAYS:
            yield (setting,), f"{setting} goes with comparisons of texts: {', '.join(TEXT_WAYS)}"
        elif setting in ("component", "representation") and getattr(attribute, setting) and vr not in (None, "PN"):
            yield (setting,), f"{name} is not a person name (its VR is {vr})"
    for setting in ("values", "count"):
        if getattr(attribute, setting) is not None and way in PRESENCE_WAYS:
            yield (setting,), f"{way} asks of the attribute, not of its values; leave {setting} out"
    if attribute.values == "every" and attribute.count is not None:
        yield ("count",), "values: every says already how many must fit"
    yield from _unfit_texts(attribute)
    yield from _unfit_count(attribute)


def _unfit_texts(attribute: Attribute) -> Iterable[SettingProblem]:
    for way in ("starts_with", "ends_with", "contains"):
        if "" in (_setting(attribute, way) or ()):
            yield (way,), "every text holds an empty one; to ask for a value use matches: ."
    if attribute.between is not None and len(attribute.between) != 2:
        yield ("between",), f"between takes two values, the lower first, not {len(attribute.between)}"


def _unfit_count(attribute: Attribute) -> Iterable[SettingProblem]:
    if attribute.count is None or any(index is None for _tag, index in attribute.select.steps):
        return
    most = re.fullmatch(r"(?:\d+-)?(\d+)", vm_of(attribute.select.tag))
    if most is not None and attribute.count.least > int(most[1]) and vr_at(attribute.select) not in (None, "UN"):
        takes = f"{vm_of(attribute.select.tag)} value{'' if most[1] == '1' else 's'}"
        yield ("count",), f"can never hold: {name_of(attribute.select.tag)} takes {takes} (PS3.6)"


def _comparison(attribute: Attribute, ways: list[str]) -> Comparison:
    """Raises ValueError when it makes no sense for the attribute."""
    way, value = ways[0], _setting(attribute, ways[0])
    if way in TEXT_WAYS:
        return _text_comparison(attribute, way, value)
    if way in SPAN_WAYS:
        scale = _ordered(attribute, (AGE, DATE, DATE_TIME), f"{way} takes an age, a date or a date and time")
        return comparison.aged(scale, value, attribute.time_zone, is_older=way == "older_than")
    bounds = [(one, str(_setting(attribute, one))) for one in ways]
    if way == "between":
        bounds = [("at_least", value[0]), ("at_most", value[1])]
    texts = [text for _one, text in bounds]
    if {"before", "after"} & set(ways):
        scale = _ordered(attribute, (DATE, TIME, DATE_TIME), f"{way} takes a date, a time or both", texts)
    else:
        scale = _ordered(attribute, tuple(SCALES.values()), f"{way} needs values with an order", texts)
    bounds.sort(key=lambda bound: bound[0] not in LOWER)
    narrow = single if vr_at(attribute.select) == "FL" else None
    return comparison.bounded(scale, bounds, attribute.time_zone, narrow)


def _text_comparison(attribute: Attribute, way: str, value: Any) -> Comparison:
    shaping = _shape(attribute)
    if comparison.is_number(_scale(attribute)) and shaping is None and way in ("equals", "in"):
        texts = (value,) if way == "equals" else value.texts()
        return comparison.one_of(texts, repr(value) if way == "equals" else str(value), is_number=True)
    fold = shape(None, None, ignore_case=attribute.ignore_case, ignore_diacritics=attribute.ignore_diacritics) or str
    match way:
        case "equals":
            return comparison.equals(fold(value), repr(value), shaping)
        case "in":
            return comparison.one_of(map(fold, value.texts()), str(value), shaping)
        case "matches":
            return _matching(attribute, value)
    return comparison.in_part(way, tuple(map(fold, value)), " or ".join(map(repr, value)), shaping)


def _matching(attribute: Attribute, regex: Regex) -> Comparison:
    """Raises ValueError when RE2 does not take it without case or diacritics."""
    pattern = without_diacritics(regex.text) if attribute.ignore_diacritics else regex.text
    pattern = f"(?i){pattern}" if attribute.ignore_case else pattern
    folded = regex if pattern == regex.text else Regex(pattern)
    return comparison.matching(folded, repr(regex.text), _shape(attribute, for_regex=True))


def _shape(attribute: Attribute, *, for_regex: bool = False) -> Shape | None:
    """`for_regex`: upper and lower case are the expression's business."""
    return shape(
        attribute.component,
        attribute.representation,
        ignore_case=attribute.ignore_case and not for_regex,
        ignore_diacritics=attribute.ignore_diacritics,
    )


def _scale(attribute: Attribute) -> Scale | None:
    """The scale of the attribute's values; None for texts and for attributes that no dictionary knows."""
    if attribute.as_ is not None:
        return SCALES.get(attribute.as_)
    return next((BY_VR[vr] for vr in (vr_at(attribute.select) or "").split(" or ") if vr in BY_VR), None)


def _ordered(attribute: Attribute, wanted: tuple[Scale, ...], message: str, texts: Iterable[str] = ()) -> Scale:
    """The scale to compare by. Raises ValueError with `message` when the attribute has none of those wanted."""
    scale = _scale(attribute)
    if scale is not None and scale in wanted:
        return scale
    name = name_of(attribute.select.tag)
    if scale is not None:
        raise ValueError(f"{message}; {name} holds {scale.noun}")
    if vr_at(attribute.select) in (None, "UN") and attribute.as_ is None:
        texts = list(texts)
        for guess in (NUMBER, DATE, TIME, DATE_TIME):
            if guess in wanted and texts and all(guess.read(text, None) is not None for text in texts):
                return guess
        raise ValueError(f"{message}; {name} is in no dictionary: say what its values are with as:")
    if attribute.as_ is not None:
        raise ValueError(f"{message}, not texts")
    raise ValueError(
        f"{message}; {name} holds texts (VR {vr_at(attribute.select)}): say with as: if they are more than that"
    )


# --- deciding ---------------------------------------------------------------------------------------------------


def _decision(attribute: Attribute, compared: Comparison | None) -> Callable[[AttributeTexts | None, Facts], bool]:
    if attribute.exists is not None:
        wanted = attribute.exists
        return lambda values, _facts: (values is not None) is wanted
    if attribute.absent is not None:
        unwanted = attribute.absent
        return lambda values, _facts: (values is None) is unwanted
    count = attribute.count
    if compared is None:
        assert count is not None
        return lambda values, _facts: len(values or ()) in count
    if count is not None:
        return lambda values, facts: _fitting(values, compared, facts) in count
    if attribute.values == "every":
        return lambda values, facts: _every(values, compared, facts)
    of_one = compared.of_one
    if of_one is None:
        return lambda values, facts: _any(values, compared, facts)

    def fits_any(values: AttributeTexts | None, facts: Facts) -> bool:
        if values is not None and len(values) == 1:  # nearly always: in as few calls as possible
            return of_one(values[0]) is True
        return _any(values, compared, facts)

    return fits_any


def _texts(values: AttributeTexts, compared: Comparison) -> AttributeTexts:
    return values[:MAX_VALUES] or (("",) if compared.takes_empty else ())


def _any(values: AttributeTexts | None, compared: Comparison, facts: Facts) -> bool:
    if values is None:
        return False
    fits = compared.for_object(facts)
    return any(fits(value) for value in _texts(values, compared))


def _every(values: AttributeTexts | None, compared: Comparison, facts: Facts) -> bool:
    texts = () if values is None else _texts(values, compared)
    fits = compared.for_object(facts)
    return bool(texts) and len(values or ()) <= MAX_VALUES and all(fits(value) for value in texts)


def _fitting(values: AttributeTexts | None, compared: Comparison, facts: Facts) -> int:
    texts = () if values is None else _texts(values, compared)
    fits = compared.for_object(facts)
    return sum(fits(value) is True for value in texts)
