"""Values that have an order: numbers, dates, times, date-times and ages as PS3.5 §6.2 writes them.

A scale reads a text, of an object or of a setting, as something that can be compared; None says that it is not of this
scale. Reading never raises.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from gateway.dataset.value import NUMBERS

Read = Callable[[str, tzinfo | None], Any]
"""(text, zone of what names none; None is this machine's) → something with an order, or None."""

MAX_CHARACTERS = 64
"""No value of these VRs is longer (PS3.5 Table 6.2-1); what is longer is not read."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_DATE = re.compile(r"(\d{4})([-.]?)(\d\d)\2(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)(?:[T ]?(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?"
    r"(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_AGE = re.compile(r"(\d{1,4}) ?([DWMY])", re.ASCII)
_AGE_UNITS = {"D": 40_000, "W": 280_000, "M": 1_217_475, "Y": 14_609_700}
"""Ages in 1/40000 of a day: 12 months are a year of 365.2425 days, without a remainder."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One way to read values."""

    noun: str
    """The noun with its article, for messages."""
    example: str
    read: Read
    has_zone: bool = False
    """True when a value may lie in one time zone or another."""


def number(text: str, _zone: tzinfo | None = None) -> int | float | None:
    """A DS, IS or binary number; exact, an int where it is whole."""
    if len(text) > MAX_CHARACTERS:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    if _NUMBER.fullmatch(text) is None:
        return {"inf": float("inf"), "-inf": float("-inf")}.get(text)
    return float(text) if not text.lstrip("+-").isdigit() else int(text)


def single(value: float) -> float:
    """The 32 bit number that stands for `value` in an FL attribute."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def day(text: str, _zone: tzinfo | None = None) -> date | None:
    """A DA; also with dots, as ACR-NEMA had it (PS3.5 Table 6.2-1), and with hyphens, as people write it."""
    match = _DATE.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    try:
        return date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None


def time_of_day(text: str, _zone: tzinfo | None = None) -> time | None:
    """A TM; parts that are left out are 0, a leap second is the second before it. Also with colons."""
    match = _TIME.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if match is None:
        return None
    try:
        return time(int(match[1]), int(match[2] or 0), min(int(match[3] or 0), 59), _microseconds(match[4]))
    except ValueError:
        return None


def moment(text: str, zone: tzinfo | None = None) -> datetime | None:
    """A DT as an aware time; parts that are left out are the first ones. Also as ISO 8601 writes it."""
    match = _DATE_TIME.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if match is None:
        return None
    year, month, day_of_month, hour, minute, second, fraction, offset = match.groups()
    try:
        naive = datetime(  # noqa: DTZ001 - the zone follows
            int(year),
            int(month or 1),
            int(day_of_month or 1),
            int(hour or 0),
            int(minute or 0),
            min(int(second or 0), 59),
            _microseconds(fraction),
        )
        written = (UTC if offset == "Z" else offset_zone(offset)) if offset else zone
        if offset and written is None:
            return None
        return (naive.replace(tzinfo=written) if written else naive.astimezone()).astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # the C library has its say on zones
        return None


def age(text: str, _zone: tzinfo | None = None) -> int | None:
    """An AS in 1/40000 of a day; a month is 1/12 of a year, a year 365.2425 days."""
    match = _AGE.fullmatch(text)
    return int(match[1]) * _AGE_UNITS[match[2]] if match else None


def offset_zone(text: str) -> timezone | None:
    """The zone of an offset from UTC such as ``+0100`` (PS3.5 §6.2, Timezone Offset From UTC (0008,0201))."""
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(offset if match[1] == "+" else -offset)


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "0")) if fraction else 0


NUMBER = Scale("a number", "2.5", number)
DATE = Scale("a date", "2026-01-31", day)
TIME = Scale("a time", "18:30", time_of_day)
DATE_TIME = Scale("a date and time", "2026-01-31T18:30+01:00", moment, has_zone=True)
AGE = Scale("an age", "18 Y", age)

SCALES = {"number": NUMBER, "date": DATE, "time": TIME, "date_time": DATE_TIME, "age": AGE}
"""Scales by the name that rules use."""

BY_VR = {
    "DS": NUMBER,
    "IS": NUMBER,
    **dict.fromkeys(NUMBERS, NUMBER),
    "DA": DATE,
    "TM": TIME,
    "DT": DATE_TIME,
    "AS": AGE,
}
"""VRs with an order (PS3.5 Table 6.2-1); the others are text, binary data or sequences."""
