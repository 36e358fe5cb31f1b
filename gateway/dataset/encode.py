"""New values of elements: text to bytes, within what the value representation allows (PS3.5 §6.2)."""

from __future__ import annotations

import datetime
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from gateway.dataset import charset
from gateway.dataset.value import IN_CHARACTER_SET, NUMBERS, TEXT_WITH_BACKSLASH
from gateway.dataset.writer import padded
from gateway.ports.errors import Refusal


@dataclass(frozen=True, slots=True)
class _TextVR:
    """The values that a text VR allows (PS3.5 Table 6.2-1)."""

    max_characters: int
    pattern: re.Pattern[str]
    expected: str
    check: Callable[[str], bool] | None = None


def _row(max_characters: int, pattern: str, expected: str, check: Callable[[str], bool] | None = None) -> _TextVR:
    return _TextVR(max_characters, re.compile(pattern, re.ASCII), expected, check)


def _is_date(value: str) -> bool:
    """True for a date, also one cut anywhere after the year: the rest counts as the first of January."""
    text = value + "0101"[len(value) - 4 :] if len(value) < 8 else value
    try:
        datetime.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return False
    return True


def _is_datetime(value: str) -> bool:
    return _is_date(re.split(r"[.+-]", value)[0][:8])


def _is_integer_string(value: str) -> bool:
    return -(2**31) <= int(value) < 2**31


def _is_person_name(value: str) -> bool:
    groups = value.split("=")
    return len(groups) <= 3 and all(len(group) <= 64 and group.count("^") <= 4 for group in groups)


_UNLIMITED = 0xFFFFFFFE
_LINE = r"[^\x00-\x1f\x7f\\]*"
_LINES = r"[^\x00-\x08\x0b\x0e-\x1f\x7f]*"
_TIME = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_ON_ONE_LINE = "text without control characters and backslashes"
_ON_LINES = "text without control characters other than line breaks and tabs"

_TEXT_VRS: dict[str, _TextVR] = {
    "AE": _row(16, r"(?=.*[^ ])[\x20-\x5b\x5d-\x7e]*", "printable ASCII, not only spaces"),
    "AS": _row(4, r"\d{3}[DWMY]", "an age as 018M"),
    "CS": _row(16, r"[A-Z0-9 _]*", "capital letters, digits, spaces and underscores"),
    "DA": _row(8, r"\d{8}", "a date as YYYYMMDD", _is_date),
    "DS": _row(16, r" *[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[Ee][+-]?\d+)? *", "a decimal number"),
    "DT": _row(
        26,
        rf"\d{{4}}(?:\d\d(?:\d\d(?:{_TIME})?)?)?(?:[+-](?:0\d|1[0-4])[0-5]\d)?",
        "a time as YYYYMMDDHHMMSS.FFFFFF",
        _is_datetime,
    ),
    "IS": _row(12, r" *[+-]?\d+ *", "a whole number of 32 bits", _is_integer_string),
    "LO": _row(64, _LINE, _ON_ONE_LINE),
    "LT": _row(10240, _LINES, _ON_LINES),
    "PN": _row(3 * 64 + 2, _LINE, "up to three groups of 64 characters and 5 components", _is_person_name),
    "SH": _row(16, _LINE, _ON_ONE_LINE),
    "ST": _row(1024, _LINES, _ON_LINES),
    "TM": _row(14, _TIME, "a time as HHMMSS.FFFFFF"),
    "UC": _row(_UNLIMITED, _LINE, _ON_ONE_LINE),
    "UI": _row(64, r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", "a UID"),
    "UR": _row(_UNLIMITED, r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*", "a URI"),
    "UT": _row(_UNLIMITED, _LINES, _ON_LINES),
}

_BINARY = {"OB": "B", "OD": "d", "OF": "f", "OL": "I", "OV": "Q", "OW": "H", "UN": "B"}
"""Rules do not set these; a rewrite may, as the numbers that such a value is made of (PS3.5 Table 6.2-1)."""
_WHOLE = re.compile(r" *[+-]?\d{1,20} *", re.ASCII)
_DECIMAL = re.compile(r" *(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[Ee][+-]?\d+)?|-?inf|nan) *", re.ASCII)
_INTEGERS = {vr: code for vr, code in NUMBERS.items() if vr not in ("FL", "FD")}


def problem_with(values: tuple[str, ...], vr: str) -> str | None:
    """The rule of `vr` (of the dictionary, ``US or SS`` included) that `values` break; None when they break none.

    The repertoire of the character set is not looked at: it is the object's own.
    """
    problems = [_problem(values, one) for one in vr.split(" or ")]
    return None if None in problems else problems[0]


def _problem(values: tuple[str, ...], vr: str) -> str | None:
    if vr in _TEXT_VRS:
        return next(filter(None, (_text_problem(value, vr) for value in values)), None)
    try:
        encode(values, vr, charset.DEFAULT)
    except Refusal as refusal:
        return str(refusal)
    return None


def _text_problem(value: str, vr: str) -> str | None:
    row = _TEXT_VRS[vr]
    if not value:
        return None  # an empty value among several; PS3.5 §6.4
    if len(value) > row.max_characters:
        return f"VR {vr} takes at most {row.max_characters} characters, this has {len(value)}"
    if row.pattern.fullmatch(value) and (row.check is None or row.check(value)):
        return None
    return f"not a value of VR {vr}: expected {row.expected}"


def encode(values: tuple[str, ...], vr: str, codecs: charset.Encodings, *, is_big_endian: bool = False) -> bytes:
    """The value field for `values`, padded to even length.

    Raises:
        Refusal: `vr` or the character set cannot hold them. The message does not quote them.
    """
    if not values:
        return b""
    if vr in _TEXT_VRS:
        return _encode_text(values, vr, codecs)
    order = ">" if is_big_endian else "<"
    try:
        if vr in _BINARY:
            encoded = b"".join(struct.pack(order + _BINARY[vr], _number(value, vr)) for value in values)
            return encoded + b"\0" * (len(encoded) % 2)
        if vr in _INTEGERS:
            return b"".join(struct.pack(order + _INTEGERS[vr], _whole(value)) for value in values)
        if vr in NUMBERS:
            return b"".join(struct.pack(order + NUMBERS[vr], _decimal(value)) for value in values)
        if vr == "AT":
            return b"".join(_encode_tag(value, order) for value in values)
    except (ValueError, struct.error, OverflowError):
        raise Refusal(f"not a value of VR {vr}: expected {_EXPECTED.get(vr, 'a number')}") from None
    raise Refusal(f"VR {vr} cannot be made from text")


def _number(value: str, vr: str) -> int | float:
    return _decimal(value) if vr in ("OD", "OF") else _whole(value)


def _whole(value: str) -> int:
    """Less than Python takes: no underscores, no digits of other scripts."""
    if not _WHOLE.fullmatch(value):
        raise ValueError
    return int(value)


def _decimal(value: str) -> float:
    """The number that a text says. Raises ValueError; OverflowError for one that is too large for a binary number."""
    if not _DECIMAL.fullmatch(value):
        raise ValueError
    number = float(value)
    if math.isinf(number) and "inf" not in value:
        raise OverflowError
    return number


_EXPECTED = {
    "US": "a whole number from 0 to 65535",
    "SS": "a whole number from -32768 to 32767",
    "UL": "a whole number from 0 to 4294967295",
    "SL": "a whole number from -2147483648 to 2147483647",
    "AT": "a tag as 00100010",
}


def _encode_text(values: tuple[str, ...], vr: str, codecs: charset.Encodings) -> bytes:
    problem = _problem(values, vr)
    if problem:
        raise Refusal(problem)
    text = "\\".join(values)
    if charset.UNDECODABLE in text:
        raise Refusal(f"the new value holds text that could not be read in the object's character set (VR {vr})")
    if vr in TEXT_WITH_BACKSLASH and len(values) > 1:
        raise Refusal(f"VR {vr} takes one value, not {len(values)}")
    try:
        encoded = charset.encode(text, codecs, is_name=vr == "PN") if vr in IN_CHARACTER_SET else text.encode("ascii")
    except UnicodeError:
        raise Refusal(f"a character of the new value is not in the object's character set (VR {vr})") from None
    return padded(encoded, vr)


def _encode_tag(value: str, order: str) -> bytes:
    if not re.fullmatch(r"[0-9A-Fa-f]{8}", value):
        raise ValueError(value)
    return struct.pack(order + "HH", int(value[:4], 16), int(value[4:], 16))


def can_hold_text(vr: str) -> bool:
    """True when `encode` makes values of this VR."""
    return vr in _TEXT_VRS or vr in NUMBERS or vr == "AT"
