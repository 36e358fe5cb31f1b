"""Predicates on when an object came, and on a stable share of what comes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NewType

from gateway.common.setting_faults import did_you_mean, listed, unknown_word
from gateway.common.time_of_day import minutes_of
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.facts import Facts
from gateway.ports.kinds import predicate
from gateway.routing.facts import STUDY_INSTANCE_UID
from gateway.routing.language.fields import FIELD_TYPES, FieldType
from gateway.routing.language.time_zone import TimeZone

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekdays = NewType("Weekdays", frozenset[int])
"""0 is Monday; written as ``mon`` or ``mon-fri``."""


@dataclass(frozen=True, slots=True)
class MinuteWindow:
    """Minutes of a day, from `start` to before `end`; past midnight when `end` is the smaller one."""

    start: int
    end: int


def window(text: str) -> MinuteWindow:
    """``18:00-06:00``. Raises ValueError for what is no window."""
    return MinuteWindow(*minutes_of(text))


def weekdays(text: str) -> Weekdays:
    """``mon`` or ``fri-mon``. Raises ValueError for other words."""
    first, _, last = text.strip().casefold().partition("-")
    for word in (first, last or first):
        if word not in DAYS:
            near = did_you_mean(word, DAYS) or did_you_mean(word[:3], DAYS)
            raise ValueError(unknown_word("day", word, near or f"; days are {listed(DAYS, 'and')}"))
    start, end = DAYS.index(first), DAYS.index(last or first)
    return Weekdays(frozenset((start + step) % 7 for step in range((end - start) % 7 + 1)))


FIELD_TYPES[MinuteWindow] = FieldType(
    window, "bad-window", {"type": "string", "description": "Times of day: 18:00-06:00"}
)
FIELD_TYPES[Weekdays] = FieldType(weekdays, "bad-day", {"type": "string", "description": "Day of the week, or mon-fri"})


@predicate("time")
@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """True when the object was received in one of these windows, on one of these days of the week, by the clock of
    `time_zone` (default: this machine's).

    between: 18:00-06:00, or a list of windows; the end does not belong to it. A window past midnight belongs to the day
    on which it begins: with days: fri, 18:00-06:00 reaches into Saturday. days: mon, mon-fri, or a list.
    """

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "time: {between: '18:00-06:00', days: mon-fri, time_zone: Europe/Berlin}"

    between: tuple[MinuteWindow, ...] | None = None
    days: tuple[Weekdays, ...] | None = None
    time_zone: TimeZone | None = None

    def __call__(self, facts: Facts) -> bool:
        now = facts.received_at.astimezone(self.time_zone)
        minute, today = now.hour * 60 + now.minute, now.weekday()
        return any(self._holds(one, minute, today) for one in self.between or (_WHOLE_DAY,))

    def _holds(self, one: MinuteWindow, minute: int, today: int) -> bool:
        if one.start < one.end:
            return one.start <= minute < one.end and self._is_day(today)
        return (minute >= one.start and self._is_day(today)) or (minute < one.end and self._is_day((today - 1) % 7))

    def _is_day(self, day: int) -> bool:
        return self.days is None or any(day in some for some in self.days)

    def attributes(self) -> Iterable[AttributePath]:
        return ()

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        return f"it was received on {_text_of(facts.received_at.astimezone(self.time_zone))}"

    def problems(self) -> Iterable[SettingProblem]:
        if self.between is None and self.days is None:
            yield (), "`time` needs `between`, `days` or both"


_WHOLE_DAY = MinuteWindow(0, 1440)


def _text_of(now: datetime) -> str:
    return f"{DAYS[now.weekday()]} {now:%Y-%m-%d %H:%M} {now.tzname() or ''}".rstrip()


@predicate("sample")
@dataclass(frozen=True, slots=True)
class Sample:
    """True for a share of all objects: `percent` of the values of the attribute `by`, chosen by their SHA-256.

    Objects with the same value share one fate, today and after a restart, on this gateway and on others; false when
    the value is absent or empty. Another `salt` chooses another share; of two samples with one salt the larger
    has all objects of the smaller.
    """

    example: ClassVar[str] = "sample: {percent: 10, by: StudyInstanceUID, salt: teaching}"

    percent: float
    by: AttributePath = STUDY_INSTANCE_UID
    salt: str = ""

    def __call__(self, facts: Facts) -> bool:
        place = self._place(facts)
        return place is not None and place < self.percent

    def _place(self, facts: Facts) -> float | None:
        """The place of the object, from 0 to less than 100; None without a value."""
        values = facts.values(self.by)
        if not any(values or ()):
            return None
        text = f"{self.salt}\0" + "\\".join(values or ())
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:6], "big") / 2**48 * 100

    def attributes(self) -> Iterable[AttributePath]:
        return (self.by,)

    def compared(self, facts: Facts, *, with_values: bool) -> str:
        place = self._place(facts)
        return f"{self.by.text} is absent or empty" if place is None else f"its place is {place:.2f} of 100"

    def problems(self) -> Iterable[SettingProblem]:
        if not 0 <= self.percent <= 100:
            yield ("percent",), f"{self.percent:g} is not between 0 and 100"
