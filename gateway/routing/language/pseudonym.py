"""Replacements that hide a value and stay the same wherever the same key is used: pure functions of key and value.

All rest on HMAC-SHA-256, each purpose with its own prefix, so that no replacement of one purpose tells about another.
Whoever has no key can neither compute a replacement nor go back from it.
"""

from __future__ import annotations

import base64
import datetime
import hmac
import re
from collections.abc import Callable
from typing import Final

DICOM_ROOT: Final = "1.2.840.10008."
"""Registered by the standard (PS3.5 §9.1, PS3.6 Annex A): these name classes, syntaxes, palettes, never an instance."""

DayRange = tuple[int, int]
"""From, to: days, both inclusive, either may be negative."""

MAX_SHIFT_DAYS: Final = 100 * 366
MAX_DATE_CHARACTERS: Final = 54
"""The longest range of two DT values with zones (PS3.5 Table 6.2-1)."""


def keyed(key: bytes, purpose: str, *parts: str) -> bytes:
    """32 bytes that depend on everything given; texts are kept apart, so that ("a", "bc") is not ("ab", "c")."""
    message = b"".join(len(part).to_bytes(4, "big") + part for part in map(_encoded, (purpose, *parts)))
    return hmac.digest(key, message, "sha256")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# --- UIDs -------------------------------------------------------------------------------------------------------


def hashed_uid(key: bytes, uid: str) -> str:
    """A UID in place of `uid`: a UUID of version 8 (RFC 9562) under 2.25 (PS3.5 §B.2), at most 44 characters.

    Well-known UIDs are hashed like any other: ask `is_well_known` first.
    """
    number = int.from_bytes(keyed(key, "uid", uid.strip(" \0"))[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76  # the version, 4 bits
    number = number & ~(0x3 << 62) | 2 << 62  # the variant, 2 bits
    return f"2.25.{number}"


def is_well_known(uid: str) -> bool:
    """True for what the standard registered: SOP classes, transfer syntaxes, coding schemes, palettes …"""
    return uid.startswith(DICOM_ROOT)


# --- dates ------------------------------------------------------------------------------------------------------


def patient_of(patient_id: str, issuer: str = "", study_instance_uid: str = "") -> str:
    """The patient whose dates move together, for `shift_days`: Patient ID with its issuer; the study where the ID is
    unknown.
    """
    if patient_id:
        return f"patient\0{issuer}\0{patient_id}"
    return f"study\0{study_instance_uid}"


def shift_days(key: bytes, patient: str, days: DayRange) -> int:
    """The days by which the dates of `patient` move: within `days`, and never 0 unless nothing else is left."""
    least, most = days
    if least > most:
        raise ValueError(f"the range of days {least} to {most} is empty")
    has_zero = least <= 0 <= most
    count = most - least + 1 - has_zero
    if count == 0:
        return 0
    chosen = least + int.from_bytes(keyed(key, "days", patient)[:16], "big") % count
    return chosen + 1 if has_zero and chosen >= 0 else chosen


_DATE = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d))?)?", re.ASCII)
_OLD_DATE = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)", re.ASCII)  # ACR-NEMA; to be read for ever (PS3.5 Table 6.2-1)
_DATE_TIME = re.compile(
    r"(\d{4}(?:\d\d(?:\d\d)?)?)((?:(?<=\d{8})\d\d(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?(?:[+-]\d{4})?)", re.ASCII
)


def shifted(text: str, vr: str, days: int) -> str:
    """One value of VR DA or DT, `days` later. Time of day, zone and precision stay.

    A date that is cut after the month or the year moves as its middle would. Both ends of a range (``a-b``, ``a-``,
    ``-b``; PS3.4 §C.2.2.2.5) move.

    Raises:
        ValueError: not a date, or one before year 1 or after 9999. The message does not quote it.
    """
    text = text.strip(" \0")
    if not text:
        return text
    if len(text) > MAX_DATE_CHARACTERS:
        raise ValueError("too long for a date")
    one = _shifted_date if vr == "DA" else _shifted_date_time
    try:
        return one(text, days)
    except ValueError:
        if "-" not in text:
            raise
    return _shifted_range(text, one, days)


def _shifted_range(text: str, one: Callable[[str, int], str], days: int) -> str:
    """Every hyphen may be the range's, or begin a zone: the first split that makes two dates counts."""
    for hyphen in re.finditer("-", text):
        start, end = text[: hyphen.start()].strip(), text[hyphen.end() :].strip()
        if not start and not end:
            break
        try:
            return f"{start and one(start, days)}-{end and one(end, days)}"
        except ValueError:
            continue
    raise ValueError("not a date, nor a range of dates")


def _shifted_date(text: str, days: int) -> str:
    match = _OLD_DATE.fullmatch(text) or _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a date as YYYYMMDD")
    year, month, day = match.groups()
    try:
        moved = datetime.date(int(year), int(month or 7), int(day or (15 if month else 2))) + datetime.timedelta(days)
    except (ValueError, OverflowError):
        raise ValueError("no such date in the calendar, or it would leave the years 1 to 9999") from None
    return f"{moved.year:04}{moved.month:02}{moved.day:02}"[: 8 if day else 6 if month else 4]


def _shifted_date_time(text: str, days: int) -> str:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("not a time as YYYYMMDDHHMMSS.FFFFFF")
    return _shifted_date(match[1], days) + match[2]


# --- text -------------------------------------------------------------------------------------------------------


def hashed_text(key: bytes, text: str, length: int) -> str:
    """`length` characters (1 to 51) out of A to Z and 2 to 7 in place of `text`; an empty text stays empty.

    5 bits a character: two of n texts are likely to get the same replacement when n nears 2 ** (2.5 * length).
    """
    if not text:
        return ""
    return base64.b32encode(keyed(key, "text", text)).decode("ascii")[:length]
