"""Values of elements as text, by value representation (PS3.5 §6.2)."""

from __future__ import annotations

import struct

from gateway.dataset import charset
from gateway.dataset.dictionary import SEQUENCE

TEXT_WITH_BACKSLASH = frozenset({"ST", "LT", "UT", "UR"})
"""One value each; a backslash is an ordinary character in them."""
IN_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Text in the Specific Character Set; all other text is ASCII (PS3.5 §6.1.2.2)."""
BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
"""VRs without a text form: rules see of them whether they are present."""
MAX_TEXT_BYTES = 1 << 20
"""Values are read as text up to here."""

NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
"""Binary numbers: VR → struct code."""


def texts(raw: bytes, vr: str, codecs: charset.Encodings, *, is_big_endian: bool = False) -> tuple[str, ...]:
    """The values in `raw` as text, padding gone, () when empty; never raises.

    `vr` may be ``UN`` or unknown: then the bytes are read as text.
    """
    if not raw or vr in BULK or vr == SEQUENCE:
        return ()
    if vr in NUMBERS:
        return _numbers(raw, vr, is_big_endian)
    if vr == "AT":
        order = ">" if is_big_endian else "<"
        return tuple(f"{group:04X}{element:04X}" for group, element in _unpack(order + "HH", raw))
    codecs = codecs if vr in IN_CHARACTER_SET or vr == "UN" else charset.DEFAULT
    text = charset.decode(raw, codecs, is_name=vr == "PN", is_multiple=vr not in TEXT_WITH_BACKSLASH)
    if vr in TEXT_WITH_BACKSLASH:
        text = text.rstrip(" \0")
        return (text,) if text else ()
    values = tuple(value.strip(" \0") for value in text.split("\\")) if "\\" in text else (text.strip(" \0"),)
    return values if values != ("",) else ()


def _numbers(raw: bytes, vr: str, is_big_endian: bool) -> tuple[str, ...]:
    order = ">" if is_big_endian else "<"
    return tuple(repr(number) for (number,) in _unpack(order + NUMBERS[vr], raw))


def _unpack(layout: str, raw: bytes) -> list[tuple[int | float, ...]]:
    """A length that is no multiple of the size loses its rest."""
    size = struct.calcsize(layout)
    return list(struct.iter_unpack(layout, raw[: len(raw) // size * size]))
