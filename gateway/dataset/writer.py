"""The writing of data elements: headers, items, padding, and the choice of a VR (PS3.5 §6.2, §7)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from gateway.dataset.elements import ITEM, LONG_VRS
from gateway.dataset.encoding import Encoding

Pieces = list[bytes | memoryview]
"""Encoded bytes in order, most of them views of what was there before."""

LONGEST_SHORT_VALUE = 0xFFFE
"""Bytes of a value whose length has 16 bits: the largest even number (PS3.5 §7.1.2)."""

_NUL_PADDED = frozenset({"OB", "UI", "UN"})

_TAG_AND_LENGTH = (struct.Struct("<HHL").pack, struct.Struct(">HHL").pack)
_SHORT_HEADER = (struct.Struct("<HH2sH").pack, struct.Struct(">HH2sH").pack)
_LONG_HEADER = (struct.Struct("<HH2sxxL").pack, struct.Struct(">HH2sxxL").pack)
_LENGTHS = {width: (struct.Struct("<" + code), struct.Struct(">" + code)) for width, code in ((2, "H"), (4, "L"))}


def order_of(encoding: Encoding) -> str:
    """The byte order as `struct` writes it."""
    return ">" if encoding.is_big_endian else "<"


def element_header(encoding: Encoding, tag: int, vr: str, length: int) -> bytes:
    """Everything before the value (PS3.5 §7.1.2, §7.1.3).

    Args:
        vr: not written by an implicit encoding.
        length: in bytes, or `UNDEFINED`.

    Raises:
        struct.error: the length does not fit; see `is_too_long`.
    """
    if encoding.is_implicit:
        return _TAG_AND_LENGTH[encoding.is_big_endian](tag >> 16, tag & 0xFFFF, length)
    pack = (_LONG_HEADER if vr in LONG_VRS else _SHORT_HEADER)[encoding.is_big_endian]
    return pack(tag >> 16, tag & 0xFFFF, vr.encode(), length)


def prepared_header(encoding: Encoding, tag: int, vr: str) -> tuple[bytes, struct.Struct]:
    """The part that `element_header` writes before the length, and the struct that writes the length: for many values
    of one element."""
    width = 4 if encoding.is_implicit or vr in LONG_VRS else 2
    return element_header(encoding, tag, vr, 0)[:-width], _LENGTHS[width][encoding.is_big_endian]


def item_header(encoding: Encoding, length: int) -> bytes:
    """The start of an item of `length` bytes, or of `UNDEFINED` length (PS3.5 §7.5)."""
    return _TAG_AND_LENGTH[encoding.is_big_endian](ITEM >> 16, ITEM & 0xFFFF, length)


def delimiter(encoding: Encoding, tag: int) -> bytes:
    """`ITEM_END` or `SEQUENCE_END` (PS3.5 §7.5)."""
    return _TAG_AND_LENGTH[encoding.is_big_endian](tag >> 16, tag & 0xFFFF, 0)


def is_too_long(encoding: Encoding, vr: str, length: int) -> bool:
    """True when `vr` is written with a length of 16 bits, which does not hold `length`."""
    return length > LONGEST_SHORT_VALUE and not encoding.is_implicit and vr not in LONG_VRS


def vr_for_length(vr: str, length: int) -> str:
    """`vr`, or UN for a value too long for it (PS3.5 §6.2.2)."""
    return "UN" if length > LONGEST_SHORT_VALUE and vr not in LONG_VRS else vr


def padding_of(vr: str) -> bytes:
    """The byte that makes a value of `vr` even: NUL for UIDs and bytes, space for text (PS3.5 §6.2)."""
    return b"\0" if vr in _NUL_PADDED else b" "


def padded(raw: bytes, vr: str) -> bytes:
    """`raw` with even length."""
    return raw + padding_of(vr) if len(raw) % 2 else raw


def vr_in_context(choices: str, is_signed: Callable[[], bool]) -> str:
    """One of several VRs that the dictionary has for an attribute.

    Args:
        choices: as in the dictionary, ``US or SS`` or ``OB or OW``.
        is_signed: says whether Pixel Representation (0028,0103) is 1; called where the choice depends on it.
    """
    if "SS" in choices:
        return "SS" if is_signed() else "US"
    return "OW"
