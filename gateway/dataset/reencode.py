"""A whole data set from one native encoding to another (PS3.5 §7, Annex A), on its bytes.

Implicit or explicit VR, little or big endian, in and out. Values keep their bytes, or are swapped where the byte order
changes; undefined lengths stay undefined, defined ones, group lengths and Length to End follow. Values of UN are never
swapped, since their VR is unknown.
From implicit VR the data dictionary gives the VR. An element that it lacks is UN, as are values too long for their VR
(PS3.5 §6.2.2). A reader of implicit VR takes the dictionary's VR: a value whose VR would change by that is refused.
Nothing is padded or sorted. A tolerant reading passes over stray delimiters and zeros behind the data set: they are
left out. An element without a valid VR gets that of the dictionary. An element that is called a sequence and has no
items becomes UN.
"""

from __future__ import annotations

import array
import struct
from functools import lru_cache

from gateway.dataset import charset
from gateway.dataset.dictionary import (
    PIXEL_REPRESENTATION,
    SEQUENCE,
    creator_of,
    is_private,
    is_private_creator,
    name_of,
    private_vr_of,
    vr_of,
)
from gateway.dataset.elements import EVERY, ITEM_END, LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED, Element, inside
from gateway.dataset.encoding import Encoding
from gateway.dataset.items import items, may_hold_items
from gateway.dataset.value import texts
from gateway.dataset.walk import walk
from gateway.dataset.writer import (
    Pieces,
    delimiter,
    element_header,
    item_header,
    order_of,
    vr_for_length,
    vr_in_context,
)
from gateway.ports.errors import Refusal, Unreadable

MAX_LEVELS = 128
"""Sequences inside each other that are followed."""
COPIED_BYTES = 4096
"""Shorter values are copied beside their headers; longer ones stay views of the source."""

BITS_ALLOCATED, PIXEL_DATA, LENGTH_TO_END = 0x00280100, 0x7FE00010, 0x00080001
LUT_DATA, LUT_DESCRIPTOR = 0x00283006, 0x00283002
_WIDTHS = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""VR → bytes that are swapped together (PS3.5 §7.3)."""
_CODES = {2: "H", 4: "I", 8: "Q"}
_KINDS = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN"), "text"),
    **dict.fromkeys(("SH", "ST", "TM", "UC", "UI", "UR", "UT"), "text"),
    **{vr: vr for vr in ("AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV")},
}
"""VR → how a value is read; of others the bytes alone count."""
_SIGNED = {"US": "SS", "SS": "US", "UL": "SL", "SL": "UL", "UV": "SV", "SV": "UV"}


class Writer:
    """Pieces in order: short ones are gathered, long ones stay as they are."""

    def __init__(self) -> None:
        self._pieces: Pieces = []
        self._short = bytearray()
        self.length_bytes = 0

    def add(self, piece: bytes | memoryview) -> None:
        self.length_bytes += len(piece)
        if len(piece) <= COPIED_BYTES:
            self._short += piece
            return
        self._flush()
        self._pieces.append(piece)

    def extend(self, other: Writer) -> None:
        for piece in other.pieces():
            self.add(piece)

    def pieces(self) -> Pieces:
        self._flush()
        return self._pieces

    def _flush(self) -> None:
        if self._short:
            self._pieces.append(bytes(self._short))
            self._short = bytearray()


def reencode(view: memoryview, source: Encoding, target: Encoding, *, may_be_encapsulated: bool = False) -> Pieces:
    """The data set in `view`, encoded as `source`, as pieces encoded as `target`.

    Pixel data that `may_be_encapsulated` is copied with its items, which look the same in every little endian encoding.

    Raises:
        Unreadable: the bytes are not a data set in `source`.
        Refusal: compressed pixel data, sequences nested too deep, values that cannot be swapped for sure.
    """
    if source == target and not source.is_tolerant:
        return [view]
    try:
        return _reencoded(view, source, target, may_be_encapsulated=may_be_encapsulated)
    except Unreadable:
        if source.is_tolerant:
            raise
        return _reencoded(view, source.tolerant(), target, may_be_encapsulated=may_be_encapsulated)


def _reencoded(view: memoryview, source: Encoding, target: Encoding, *, may_be_encapsulated: bool) -> Pieces:
    root = _ReencodedLevel(view, 0, len(view), source, target, None)
    root.may_be_encapsulated = may_be_encapsulated
    return root.written().pieces()


class _ReencodedLevel:
    """The elements of a data set or of one item, on their way from `source` to `target`."""

    def __init__(
        self, view: memoryview, start: int, end: int, source: Encoding, target: Encoding, parent: _ReencodedLevel | None
    ) -> None:
        self.view, self.source, self.target, self.parent = view, source, target, parent
        self.order = order_of(target)
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.may_be_encapsulated: bool = parent is not None and parent.may_be_encapsulated
        if self.depth > MAX_LEVELS:
            raise Refusal(f"sequences are nested more than {MAX_LEVELS} levels deep: the object cannot be re-encoded")
        self.found = walk(view, start, end, source, EVERY)
        self.first: dict[int, Element] = {}
        for element in self.found:
            self.first.setdefault(element.tag, element)

    def written(self) -> Writer:
        """All elements of the level."""
        parts = [self._element(element) for element in self.found]
        for position, element in enumerate(self.found):
            if _is_length(element):
                parts[position] = self._length(element, parts, position)
        writer = Writer()
        for part in parts:
            writer.extend(part)
        return writer

    def _length(self, element: Element, parts: list[Writer], position: int) -> Writer:
        """A group length, or Length to End: what lies behind it (PS3.5 §7.2)."""
        group = element.tag >> 16
        behind = [
            part.length_bytes
            for part, other in zip(parts[position + 1 :], self.found[position + 1 :], strict=True)
            if element.tag == LENGTH_TO_END or other.tag >> 16 == group
        ]
        writer = Writer()
        writer.add(self._header(element.tag, "UL", 4) + struct.pack(self.order + "L", sum(behind) & 0xFFFFFFFF))
        return writer

    def _element(self, element: Element) -> Writer:
        vr = self._vr(element)
        is_undefined = element.end != element.stop
        if is_undefined and vr not in (SEQUENCE, "UN") and not self.may_be_encapsulated:
            raise Refusal(
                f"{name_of(element.tag)} is encapsulated, though the transfer syntax is native: it cannot be re-encoded"
            )
        if vr == SEQUENCE:
            return self._sequence(element, is_undefined)
        value: bytes | memoryview = self.view[element.value : element.stop]
        writer = Writer()
        if is_undefined:  # fragments; or UN, whose inside is implicit VR little endian everywhere (PS3.5 §6.2.2)
            writer.add(self._header(element.tag, vr, UNDEFINED))
            writer.add(value)
            writer.add(delimiter(self.target, SEQUENCE_END))
            return writer
        if element.vr and self.target.is_implicit and value and _is_other(element.tag, vr):
            self._check_reading(element.tag, vr, value)
        if self.source.is_big_endian != self.target.is_big_endian:
            value = self._swapped(element.tag, vr, value)
        vr = vr_for_length(vr, len(value))
        writer.add(self._header(element.tag, vr, len(value)))
        writer.add(value)
        return writer

    def _sequence(self, element: Element, is_undefined: bool) -> Writer:
        encoding = inside(element, self.source)
        inner = Writer()
        try:
            for item in items(self.view, element, encoding):
                level = _ReencodedLevel(self.view, item.value, item.stop, encoding, self.target, self)
                content = level.written()
                has_end = item.end != item.stop
                inner.add(self._item(UNDEFINED if has_end else content.length_bytes))
                inner.extend(content)
                if has_end:
                    inner.add(delimiter(self.target, ITEM_END))
        except Unreadable:
            is_private_bytes = element.vr != SEQUENCE and is_private(element.tag)
            is_none = encoding.is_tolerant and not may_hold_items(self.view, element, encoding)
            if is_undefined or not (is_private_bytes or is_none):
                raise
            return self._as_unknown(element)  # no sequence, whatever the object or a dictionary says
        writer = Writer()
        writer.add(self._header(element.tag, SEQUENCE, UNDEFINED if is_undefined else inner.length_bytes))
        writer.extend(inner)
        if is_undefined:
            writer.add(delimiter(self.target, SEQUENCE_END))
        return writer

    def _as_unknown(self, element: Element) -> Writer:
        writer = Writer()
        value = self.view[element.value : element.stop]
        writer.add(self._header(element.tag, "UN", len(value)))
        writer.add(value)
        return writer

    # --- headers ---

    def _header(self, tag: int, vr: str, length: int) -> bytes:
        if length > UNDEFINED:
            raise Refusal(f"{name_of(tag)} grows beyond 4 GiB")
        return element_header(self.target, tag, vr, length)

    def _item(self, length: int) -> bytes:
        if length > UNDEFINED:
            raise Refusal("an item of a sequence grows beyond 4 GiB")
        return item_header(self.target, length)

    # --- value representations ---

    def _vr(self, element: Element) -> str:
        """The VR as written; in implicit VR the dictionary's, UN when it has none."""
        if element.vr == "UN" and element.end != element.stop and self.target.is_implicit:
            return SEQUENCE
        if element.vr:
            return element.vr
        tag = element.tag
        if element.end != element.stop:
            return self._undefined(element)
        vr = vr_of(tag)
        if vr is None and is_private(tag):
            vr = private_vr_of(tag, self._creator(tag))
        if vr is None or vr not in SHORT_VRS | LONG_VRS:
            vr = self._chosen(element, vr) if vr is not None and " or " in vr else "UN"
        return vr

    def _undefined(self, element: Element) -> str:
        """An undefined length in implicit VR: a sequence, but of pixel data that is compressed all the same."""
        return "OB" if element.tag == PIXEL_DATA else SEQUENCE

    def _chosen(self, element: Element, vr: str) -> str:
        """One of several VRs that the dictionary allows: in implicit VR, bulk data is OW (PS3.5 §A.1)."""
        if element.tag == LUT_DATA:  # a table of one entry is a number (PS3.3 §C.11.1.1)
            return "US" if self._number(LUT_DESCRIPTOR) == 1 else "OW"
        return vr_in_context(vr, self._is_signed)

    def _creator(self, tag: int) -> str:
        element = None if is_private_creator(tag) else self.first.get(creator_of(tag))
        values = texts(bytes(self.view[element.value : element.stop]), "LO", charset.DEFAULT) if element else ()
        return values[0] if values else ""

    def _is_signed(self) -> bool:
        level: _ReencodedLevel | None = self
        while level is not None:
            if PIXEL_REPRESENTATION in level.first:
                return level._number(PIXEL_REPRESENTATION) == 1
            level = level.parent
        return False

    def _number(self, tag: int) -> int | None:
        """The first value of an unsigned short; None when absent."""
        element = self.first.get(tag)
        if element is None or element.stop - element.value < 2:
            return None
        return int(struct.unpack_from(order_of(self.source) + "H", self.view, element.value)[0])

    def _check_reading(self, tag: int, vr: str, value: bytes | memoryview) -> None:
        """Check an element with another VR than the dictionary's. Raises Refusal when it would be read as another
        value; the sign of a number may change its place as long as it has no effect."""
        if vr in _SIGNED and _SIGNED[vr] in str(vr_of(tag)):
            width = _WIDTHS[vr]
            top = value[0 if self.source.is_big_endian else width - 1 :: width]
            if all(byte < 0x80 for byte in top):
                return
        raise Refusal(
            f"{name_of(tag)} has VR {vr}, which is {vr_of(tag)} in the dictionary: in implicit VR it would be read as "
            "another value"
        )

    # --- byte order ---

    def _swapped(self, tag: int, vr: str, value: bytes | memoryview) -> bytes | memoryview:
        width = _WIDTHS.get(vr)
        if tag == PIXEL_DATA and (self._number(BITS_ALLOCATED) or 0) > (16 if width else 8):
            raise Refusal(
                "the pixel data has more bits allocated than a word has: in big endian writers disagree on the order "
                "of its bytes, so that it cannot be re-encoded for sure"
            )
        if width is None:
            return value
        if len(value) % width:
            raise Refusal(f"{name_of(tag)} has {len(value)} bytes, which VR {vr} does not allow: it cannot be swapped")
        swapped = array.array(_CODES[width], bytes(value))
        assert swapped.itemsize == width
        swapped.byteswap()
        return swapped.tobytes()


@lru_cache(maxsize=4096)
def _is_other(tag: int, vr: str) -> bool:
    """True when values of `vr` are read otherwise than those of the dictionary's VRs for the attribute; what is private
    is its vendor's business."""
    known = None if is_private(tag) else vr_of(tag)
    if known is None or vr not in _KINDS:
        return False
    kinds = {_KINDS.get(each, "bytes") for each in known.split(" or ")}
    return not kinds & {_KINDS[vr], "bytes"}


def _is_length(element: Element) -> bool:
    is_wanted = element.tag & 0xFFFF == 0 or element.tag == LENGTH_TO_END
    return is_wanted and element.stop - element.value == 4 and element.end == element.stop
