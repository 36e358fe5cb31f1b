"""The elements of one level of an encoded data set, and what writing among them needs to know.

A level is a data set or one item. It says how its values are read and written (character set, signed pixels, private
creators), and joins what stays with what is new: lengths of enclosing items and sequences, group lengths (gggg,0000)
and Length to End (0008,0001) follow; all else keeps its bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.dataset import charset
from gateway.dataset.dictionary import (
    PIXEL_REPRESENTATION,
    SEQUENCE,
    SPECIFIC_CHARACTER_SET,
    creator_of,
    is_private,
    is_private_creator,
    name_of,
    private_vr_of,
    takes_count,
    vm_of,
    vr_of,
)
from gateway.dataset.elements import UNDEFINED, Element
from gateway.dataset.encode import can_hold_text, encode
from gateway.dataset.encoding import Encoding
from gateway.dataset.header_pattern import HeaderFit
from gateway.dataset.value import texts
from gateway.dataset.walk import place_of
from gateway.dataset.writer import Pieces, element_header, is_too_long, order_of, vr_in_context
from gateway.ports.errors import Refusal

LENGTH_TO_END = 0x00080001
NEVER_EMPTY = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E})
"""SOP Class, SOP Instance, Study Instance and Series Instance UID of the object itself."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Bytes from `start` to `end` become `pieces`."""

    start: int
    end: int
    pieces: Pieces
    tag: int

    @property
    def growth_bytes(self) -> int:
        return length_of(self.pieces) - (self.end - self.start)


class EncodedLevel:
    """The elements of a data set or of one item that were found."""

    def __init__(
        self,
        view: memoryview,
        found: list[Element],
        start: int,
        end: int,
        encoding: Encoding,
        parent: EncodedLevel | None,
    ) -> None:
        self.view, self.found, self.start, self.end = view, found, start, end
        self.encoding, self.parent = encoding, parent
        self.first: dict[int, Element] = {}
        for element in found:
            self.first.setdefault(element.tag, element)
        self.fit: HeaderFit | None = None
        """The places of all elements, where they are known."""
        self.creators: dict[int, str] = {}
        """Private creators that edits gave."""
        self._codecs: charset.Encodings | None = None

    def values(self, element: Element | None) -> tuple[str, ...] | None:
        if element is None:
            return None
        known = self.vr(element.tag, element)
        if known == SEQUENCE or element.end != element.stop:
            return ("items",) if element.stop > element.value else ()
        raw = bytes(self.view[element.value : element.stop])
        return texts(raw, known or "UN", self.codecs(), is_big_endian=self._is_big_endian(element))

    def written(self, tag: int, before: Element | None, values: tuple[str, ...], depth: int) -> Pieces:
        name = name_of(tag)
        if not any(values) and depth == 0 and tag in NEVER_EMPTY:
            raise Refusal(f"{name} cannot be empty")
        if is_private_creator(tag):
            self.creators[tag] = values[0] if values else ""
        own = before.vr if before is not None else ""
        vr = self.vr(tag, before)
        if not values:
            return [self.header(tag, own or vr or "UN", 0)]
        if vr is None:
            raise Refusal(f"{name} cannot be set: its VR is unknown, as its private creator is missing or unknown")
        if not takes_count(tag, len(values)):
            raise Refusal(f"{name} cannot be set: it takes {vm_of(tag)} values, not {len(values)}")
        try:
            value = encode(values, vr, self.codecs(), is_big_endian=self._is_big_endian(before))
        except Refusal as refusal:
            raise Refusal(f"{name} cannot be set: {refusal}") from None
        return [self.header(tag, own if own == "UN" else vr, len(value)) + value]

    def vr(self, tag: int, element: Element | None) -> str | None:
        """The VR to write: the element's own when it takes text, else the dictionary's."""
        own = element.vr if element is not None else ""
        if own and own != "UN" and (can_hold_text(own) or own == SEQUENCE):
            return own
        vr = vr_of(tag)
        if vr is None and is_private(tag):
            vr = private_vr_of(tag, self.creator(tag))
        if vr is None or " or " not in vr:
            return vr
        return vr_in_context(vr, self.is_signed)

    def creator(self, tag: int) -> str:
        return self.creator_in(creator_of(tag))

    def creator_in(self, creator: int) -> str:
        """The value of a private creator element; empty when it is absent."""
        if creator in self.creators:
            return self.creators[creator]
        element = self.first.get(creator)
        values = texts(bytes(self.view[element.value : element.stop]), "LO", self.codecs()) if element else ()
        return values[0] if values else ""

    def _is_big_endian(self, element: Element | None) -> bool:
        return self.encoding.is_big_endian and (element is None or element.vr != "UN")

    def codecs(self) -> charset.Encodings:
        if self._codecs is None:
            self._codecs = charset.encodings(self.character_set())
        return self._codecs

    def character_set(self) -> tuple[str, ...]:
        """The Specific Character Set in force here, this level's or one of an enclosing one; () when none is."""
        element = self.first.get(SPECIFIC_CHARACTER_SET)
        if element is not None:
            return texts(bytes(self.view[element.value : element.stop]), "CS", charset.DEFAULT)
        return self.parent.character_set() if self.parent is not None else ()

    def is_signed(self) -> bool:
        element = self.first.get(PIXEL_REPRESENTATION)
        if element is not None:
            return any(self.view[element.value : element.stop])
        return self.parent.is_signed() if self.parent is not None else False

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Raises Refusal for a value that is too long."""
        if is_too_long(self.encoding, vr, length):
            raise Refusal(f"{name_of(tag)} cannot be set: {length} bytes are too long for VR {vr}")
        return element_header(self.encoding, tag, vr, length)

    def enclosed(self, tag: int, before: Element | None, pieces: Pieces) -> Pieces:
        if before is not None and before.end != before.stop:
            return [self.view[before.start : before.value], *pieces, self.view[before.stop : before.end]]
        length = length_of(pieces)
        if length >= UNDEFINED:
            raise Refusal(f"{name_of(tag)} grows beyond 4 GiB")
        return [self.header(tag, before.vr if before is not None and before.vr else SEQUENCE, length), *pieces]

    def placed(self, tag: int, pieces: Pieces) -> list[Replacement]:
        same = [element for element in self.found if element.tag == tag]
        if same:
            first, *others = same
            gone = [Replacement(other.start, other.end, [], tag) for other in others]
            return [Replacement(first.start, first.end, pieces, tag), *gone]
        if self.fit is not None:
            place = self.fit.place_of(tag)
        else:
            place = place_of(self.view, self.start, self.end, self.encoding, tag)
        return [Replacement(place, place, pieces, tag)]

    def lengths(self, changes: list[Replacement]) -> list[Replacement]:
        """Group lengths (PS3.5 §7.2) of the groups that changed, and Length to End."""
        growth: dict[int, int] = {}
        for change in changes:
            group_length = change.tag & 0xFFFF0000
            growth[group_length] = growth.get(group_length, 0) + change.growth_bytes
            growth[LENGTH_TO_END] = growth.get(LENGTH_TO_END, 0) + change.growth_bytes
        layout = order_of(self.encoding) + "L"
        corrected: list[Replacement] = []
        for tag, growth_bytes in growth.items():
            element = self.first.get(tag)
            if element is None or element.stop - element.value != 4 or growth_bytes == 0:
                continue
            (length,) = struct.unpack(layout, self.view[element.value : element.stop])
            value = struct.pack(layout, (length + growth_bytes) % (1 << 32))
            corrected.append(Replacement(element.value, element.stop, [value], tag))
        return corrected

    def joined(self, changes: list[Replacement]) -> Pieces:
        pieces: Pieces = []
        position = self.start
        for change in sorted(changes, key=lambda change: (change.start, change.tag)):
            if change.start > position:
                pieces.append(self.view[position : change.start])
            pieces += change.pieces
            position = change.end
        if position < self.end:
            pieces.append(self.view[position : self.end])
        return pieces


def length_of(pieces: Pieces) -> int:
    """The length of all pieces together, in bytes."""
    return sum(map(len, pieces))
