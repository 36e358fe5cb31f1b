"""Plain data sets of pydicom as bytes: flat, of text and numbers, as matches of C-FIND mostly are.

pydicom needs about 15 µs an element, which for many matches is most of the work. All other data sets are left to it.
"""

from __future__ import annotations

import struct
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import IS, DSfloat, PersonName

from gateway.dataset.dictionary import SPECIFIC_CHARACTER_SET
from gateway.dataset.encoding import Encoding
from gateway.dataset.writer import LONGEST_SHORT_VALUE, element_header, order_of, padded

_CODECS = {"": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
"""Specific Character Set, one value → codec."""
_ANY_CHARACTERS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_TEXT = _ANY_CHARACTERS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"}
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d"}
_STRINGS = frozenset({str, UID, PersonName, IS, DSfloat})


def encode_plain(dataset: Dataset, encoding: Encoding) -> bytes | None:
    """The bytes as pydicom would write them; None when the data set is not plain, or has something wrong."""
    charset = dataset.get_item(SPECIFIC_CHARACTER_SET) if SPECIFIC_CHARACTER_SET in dataset else None
    value = charset.value if charset is not None else ""
    codec = _CODECS.get(value or "") if isinstance(value or "", str) else None
    if codec is None:
        return None
    order = order_of(encoding)
    parts: list[bytes] = []
    for tag in sorted(dataset.keys()):
        element: Any = dataset.get_item(tag)
        if type(element) is not DataElement or not tag & 0xFFFF:
            return None
        vr = element.VR
        encoded = _value(element.value, vr, codec, order)
        if encoded is None or len(encoded) > LONGEST_SHORT_VALUE:
            return None
        parts.append(element_header(encoding, int(tag), vr, len(encoded)))
        parts.append(encoded)
    return b"".join(parts)


def _value(value: Any, vr: str, codec: str, order: str) -> bytes | None:
    if vr in _TEXT:
        return _text(value, vr, codec if vr in _ANY_CHARACTERS else "ascii")
    if vr not in _NUMBERS:
        return None
    if value is None or value == "":
        return b""
    numbers = value if isinstance(value, MultiValue) else (value,)
    try:
        return struct.pack(f"{order}{len(numbers)}{_NUMBERS[vr]}", *numbers)
    except struct.error:
        return None


def _text(value: Any, vr: str, codec: str) -> bytes | None:
    if value is None:
        return b""
    values = value if type(value) is MultiValue else (value,)
    texts = []
    for item in values:
        if type(item) not in _STRINGS:
            return None
        texts.append(getattr(item, "original_string", None) or str(item) if vr in ("IS", "DS") else str(item))
    try:
        return padded("\\".join(texts).encode(codec), vr)
    except UnicodeEncodeError:
        return None
