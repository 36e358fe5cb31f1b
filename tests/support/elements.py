"""The elements of an encoded data set as raw bytes: an own, strict reader, to compare what an edit changed.

It shares no code with the gateway. Explicit and Implicit VR, both byte orders, undefined lengths (PS3.5 §7).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, slots=True)
class _Reader:
    data: bytes
    is_implicit: bool
    order: str

    def number(self, start: int, length: int) -> int:
        if start + length > len(self.data):
            raise ValueError(f"the data set ends inside an element at {start}")
        return int.from_bytes(self.data[start : start + length], "big" if self.order == "big" else "little")

    def tag(self, start: int) -> int:
        return self.number(start, 2) << 16 | self.number(start + 2, 2)

    def header(self, start: int) -> tuple[int, bytes, int, int]:
        """(tag, VR, length, where the value starts)."""
        tag = self.tag(start)
        if self.is_implicit or tag >> 16 == 0xFFFE:
            return tag, b"", self.number(start + 4, 4), start + 8
        vr = self.data[start + 4 : start + 6]
        if vr in LONG_VRS:
            return tag, vr, self.number(start + 8, 4), start + 12
        return tag, vr, self.number(start + 6, 2), start + 8

    def end(self, start: int) -> int:
        """Where the element that begins at `start` ends."""
        _, vr, length, value = self.header(start)
        if length != UNDEFINED:
            return value + length
        inner = _Reader(self.data, True, "little") if vr == b"UN" else self
        return inner.end_of_items(value)

    def end_of_items(self, start: int) -> int:
        while True:
            tag, _, length, value = self.header(start)
            if tag == SEQUENCE_END:
                return value
            if tag != ITEM:
                raise ValueError(f"no item at {start} but {tag:08X}")
            start = value + length if length != UNDEFINED else self.end_of_item(value)

    def end_of_item(self, start: int) -> int:
        while self.tag(start) != ITEM_END:
            start = self.end(start)
        return start + 8


def elements(data_set: bytes, transfer_syntax_uid: str) -> Iterator[tuple[int, bytes]]:
    """(tag, the element's bytes with tag and length) of each top-level element, in order.

    Raises:
        ValueError: the bytes do not end exactly at an element's end.
    """
    if transfer_syntax_uid == DEFLATED:
        data_set = zlib.decompress(data_set, -15)
    order = "big" if transfer_syntax_uid == BIG_ENDIAN else "little"
    reader = _Reader(data_set, transfer_syntax_uid == IMPLICIT, order)
    position = 0
    while position < len(data_set):
        end = reader.end(position)
        if end > len(data_set):
            raise ValueError(f"the element at {position} is longer than the data set")
        yield reader.tag(position), data_set[position:end]
        position = end


def value(element: bytes, transfer_syntax_uid: str) -> bytes:
    """The value of an element as `elements` gives it."""
    order = "big" if transfer_syntax_uid == BIG_ENDIAN else "little"
    return element[_Reader(element, transfer_syntax_uid == IMPLICIT, order).header(0)[3] :]
