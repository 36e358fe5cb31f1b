"""Normal forms: two values that mean the same become the same text, by value representation (PS3.5 §6.2).

Queries and stored values are compared in these forms, here and in SQL (`gateway.relational.query_sql`).
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta

WILD_CARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""VRs in which `*` and `?` are wild cards (PS3.4 §C.2.2.2.4)."""
RANGE_VRS = frozenset({"DA", "DT", "TM"})

NAME_GROUPS = 3
"""Alphabetic, ideographic, phonetic (PS3.5 §6.2.1)."""

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?", re.ASCII)
_DATE_TIME = re.compile(r"(\d{4}(?:\d{2}(?:\d{2}(?:\d{2}(?:\d{2}(?:\d{2})?)?)?)?)?)(\.\d{1,6})?([+-]\d{4})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})", re.ASCII)

_KANA_MARKS = "\u3099\u309a"
"""Marks that make other letters, not the same ones with a mark."""

_EARLIEST, _LATEST = "00010101000000.000000", "99991231235959.999999"


def normal(value: str, vr: str, timezone_offset: str = "") -> str | None:
    """The normal form of one value; None when it is not one of this VR.

    `timezone_offset` is that of a DT without one.
    """
    if vr == "DA":
        return date(value)
    if vr == "TM":
        return time(value)
    if vr == "DT":
        return date_time(value, timezone_offset)
    if vr == "IS":
        return str(int(value)) if _INTEGER.fullmatch(value) else None
    if vr == "DS":
        return repr(float(value) + 0.0) if _DECIMAL.fullmatch(value) else None
    if vr == "PN":
        return "=".join(folded_groups(value))
    return value


def date(value: str) -> str | None:
    """``YYYYMMDD``, also of the old ``YYYY.MM.DD``."""
    match = _DATE.fullmatch(value)
    return "".join(match.groups()) if match else None


def time(value: str, fill: str = "000000.000000") -> str | None:
    """``HHMMSS.FFFFFF``, also of the old ``HH:MM:SS``; what is not there comes from `fill`."""
    match = _TIME.fullmatch(value)
    if match is None:
        return None
    text = "".join(part for part in match.groups() if part)
    return text + fill[len(text) :]


def date_time(value: str, timezone_offset: str = "", fill: str = _EARLIEST) -> str | None:
    """``YYYYMMDDHHMMSS.FFFFFF`` in UTC; without any offset the value is taken as it is."""
    match = _DATE_TIME.fullmatch(value)
    if match is None or (match[2] and len(match[1]) != 14):
        return None
    text = match[1] + (match[2] or "")
    text += fill[len(text) :]
    if text[6:8] > "28" and fill == _LATEST and len(match[1]) < 8:
        text = text[:6] + _last_day(text) + text[8:]
    return in_utc(text, match[3] or timezone_offset)


def _last_day(text: str) -> str:
    """The last day of the month of ``YYYYMM…``."""
    month = int(text[4:6])
    if not 1 <= month <= 12:
        return "31"
    following = datetime(int(text[:4]) + month // 12, month % 12 + 1, 1, tzinfo=UTC) if text[:6] != "999912" else None
    return "31" if following is None else f"{(following - timedelta(days=1)).day:02d}"


def in_utc(text: str, offset: str) -> str | None:
    """``YYYYMMDDHHMMSS.FFFFFF`` in a time zone of ``&ZZXX`` → the same in UTC; as it is without an offset."""
    match = _OFFSET.fullmatch(offset)
    if match is None:
        return text
    minutes = int(match[2]) * 60 + int(match[3])
    seconds = int(text[12:14])
    try:
        moment = (
            datetime(  # noqa: DTZ001 - the result is UTC as text
                int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), min(seconds, 59)
            )
            - timedelta(minutes=-minutes if match[1] == "-" else minutes)
        )
    except (ValueError, OverflowError):
        return None
    return f"{moment.year:04d}{moment:%m%d%H%M}{seconds:02d}{text[14:]}"


MAX_RANGE_CHARACTERS = 128
"""Two date-times have 53."""


def bounds(value: str, vr: str, timezone_offset: str = "") -> tuple[str, str] | None:
    """Low and high end of a range ``A-B``, ``A-``, ``-B`` in normal form, '' where it is open; None when it is none.

    An end that is not precise counts with all that it stands for: 10-11 of a TM ends with 11:59:59.999999
    (PS3.5 §6.2).
    """
    if len(value) > MAX_RANGE_CHARACTERS:
        return None
    for position in (index for index, character in enumerate(value) if character == "-"):
        low, high = value[:position].strip(), value[position + 1 :].strip()
        low_end = _end(low, vr, timezone_offset, is_high=False)
        high_end = _end(high, vr, timezone_offset, is_high=True)
        if low_end is not None and high_end is not None and (low or high):
            return low_end, high_end
    return None


def _end(value: str, vr: str, timezone_offset: str, *, is_high: bool) -> str | None:
    if not value:
        return ""
    if vr == "DA":
        return date(value)
    if vr == "TM":
        return time(value, "235959.999999" if is_high else "000000.000000")
    return date_time(value, timezone_offset, _LATEST if is_high else _EARLIEST)


def folded(text: str) -> str:
    """The text without case and diacritics."""
    if text.isascii():
        return text.casefold()
    # Before as well, since taking apart sorts the marks behind a letter, which takes the square of their number.
    decomposed = unicodedata.normalize("NFKD", _without_marks(text.casefold()))
    return unicodedata.normalize("NFC", _without_marks(decomposed)).casefold()


def _without_marks(text: str) -> str:
    return "".join(each for each in text if each in _KANA_MARKS or not unicodedata.combining(each))


def folded_groups(name: str) -> tuple[str, ...]:
    """The component groups of a person name, folded, without empty components and groups at their ends, and without
    spaces around components."""
    groups = name.split("=")[:NAME_GROUPS]
    folded_ones = ["^".join(part.strip() for part in folded(group).split("^")).rstrip("^") for group in groups]
    while folded_ones and not folded_ones[-1]:
        folded_ones.pop()
    return tuple(folded_ones)
