"""Data elements in bytes: where they lie, how headers are laid out, which of them are asked for (PS3.5 §7.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from gateway.dataset.encoding import IMPLICIT_LITTLE, Encoding
from gateway.ports.errors import Unreadable

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MAX_DEPTH = 256
"""Sequences of undefined length inside each other."""
MOST_ELEMENTS = 250_000
"""The largest number of elements of one level when every element is reported: one takes some 250 bytes of memory."""
CHECKED_BYTES = 1024**2
SLICE_BYTES = 16 * 1024
"""Headers that begin within so many bytes are read at once: at most 2048, in about two milliseconds."""

_SHORT = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
_LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
SHORT_VRS = frozenset(_SHORT.split())
"""16 bit length (PS3.5 Table 7.1-2)."""
LONG_VRS = frozenset(_LONG.split())
"""Two reserved bytes and a 32 bit length (PS3.5 Table 7.1-1)."""

SEQUENCE_VRS = frozenset({"SQ", "UN", ""})
"""VRs, or none written, of elements that may hold items."""


class Element(NamedTuple):
    """The place of one element; all offsets count from the start of the view."""

    tag: int
    vr: str
    """Empty when the encoding does not say it."""
    start: int
    value: int
    """The start of the value, or of the first item."""
    stop: int
    """The end of the value, or of the last item."""
    end: int
    """The start of the next element: `stop`, or behind the delimiter of an undefined length."""


class Item(NamedTuple):
    """The place of one sequence item; as in `Element`."""

    start: int
    value: int
    stop: int
    end: int


class Layout:
    """Struct functions and numbers of one byte order. Tags read as one little endian number have their halves swapped;
    they are compared in that form, so that the walk does no arithmetic."""

    def __init__(self, order: str) -> None:
        self.is_swapped = order == "<"
        self.explicit = struct.Struct(order + "LHH").unpack_from
        self.implicit = struct.Struct(order + "LL").unpack_from
        self.long_length = struct.Struct(order + "L").unpack_from
        self.names = {struct.unpack(order + "H", vr.encode())[0]: vr for vr in SHORT_VRS | LONG_VRS}
        self.short = frozenset(number for number, vr in self.names.items() if vr in SHORT_VRS)
        self.long = frozenset(number for number, vr in self.names.items() if vr in LONG_VRS)
        self.never = {self.raw(tag): tag for tag in (0, ITEM, ITEM_END, SEQUENCE_END)}
        self.item, self.item_end, self.sequence_end = map(self.raw, (ITEM, ITEM_END, SEQUENCE_END))

    def raw(self, tag: int) -> int:
        """`tag` as this order reads it; its own inverse."""
        return (tag & 0xFFFF) << 16 | tag >> 16 if self.is_swapped else tag


LITTLE, BIG = Layout("<"), Layout(">")


def layout_of(encoding: Encoding) -> Layout:
    return BIG if encoding.is_big_endian else LITTLE


class TagSelection:
    """Tags to report, prepared for the walk."""

    __slots__ = ("_raw",)

    def __init__(self, tags: Iterable[int]) -> None:
        wanted = frozenset(tags)
        self._raw = [frozenset(map(layout.raw, wanted)) | frozenset(layout.never) for layout in (LITTLE, BIG)]

    def raw(self, *, is_big_endian: bool) -> frozenset[int]:
        """The tags as numbers read from bytes, with those that must never occur, so that these are reported."""
        return self._raw[is_big_endian]


class _EveryTag(frozenset[int]):
    """All tags at once."""

    def __contains__(self, tag: object) -> bool:
        return True


class _Every(TagSelection):
    """A walk with this reports every element."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(())

    def raw(self, *, is_big_endian: bool) -> frozenset[int]:
        return _EVERY_TAG


_EVERY_TAG = _EveryTag()
EVERY = _Every()
EVERY_UNBOUNDED = _Every()
"""As `EVERY`, with no limit to their number."""


@lru_cache(maxsize=1024)
def selection_of(tags: frozenset[int]) -> TagSelection:
    """Prepared, and kept for the next time."""
    return TagSelection(tags)


def stray(tag: int, start: int) -> Unreadable:
    return Unreadable(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at byte {start} has no place there")


def not_explicit(view: memoryview, start: int, layout: Layout) -> Unreadable:
    tag = layout.raw(layout.long_length(view, start)[0])
    if layout.raw(tag) in layout.never:
        return stray(tag, start)
    return Unreadable(shown_vr(tag, start, bytes(view[start + 4 : start + 6])))


def shown_vr(tag: int, start: int, vr: bytes) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at byte {start} has no known VR (found {vr!r})"


def inside(sequence: Element, encoding: Encoding) -> Encoding:
    """The encoding of a sequence's items: one that is hidden in UN is implicit VR little endian (PS3.5 §6.2.2)."""
    return inside_unknown(encoding) if sequence.vr == "UN" else encoding


def inside_unknown(encoding: Encoding) -> Encoding:
    """The encoding of the items inside UN, in a data set in `encoding`."""
    return IMPLICIT_LITTLE if encoding.notes is None else Encoding(is_implicit=True, notes=encoding.notes)
