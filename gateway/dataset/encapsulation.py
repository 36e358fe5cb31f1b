"""How compressed frames lie in a data set: items, offset tables, delimiter (PS3.5 §A.4, PS3.3 §C.7.6.3.1.8).

Explicit VR little endian, one fragment a frame.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from gateway.dataset.elements import ITEM, SEQUENCE_END
from gateway.dataset.image import EXTENDED_LENGTHS, EXTENDED_OFFSETS

_HEADER = struct.Struct("<HHL")
_LARGEST_OFFSET = 0xFFFFFFFF
DELIMITER = _HEADER.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)


def item_header(length: int) -> bytes:
    """Of one item, a fragment for instance."""
    return _HEADER.pack(ITEM >> 16, ITEM & 0xFFFF, length)


def long_header(tag: int, vr: bytes, length: int) -> bytes:
    """Of an element whose VR has a 32 bit length."""
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, length)


def basic_offset_table(lengths: Sequence[int]) -> bytes:
    """The first item: where each frame begins, or empty where 32 bits do not say it. `lengths` are of the frames."""
    offsets = _offsets(lengths)
    if offsets[-1] > _LARGEST_OFFSET:
        return item_header(0)
    return item_header(4 * len(offsets)) + struct.pack(f"<{len(offsets)}L", *offsets)


def extended_offset_table(lengths: Sequence[int]) -> list[bytes]:
    """(7FE0,0001) and (7FE0,0002) where the Basic Offset Table does not do; else nothing."""
    offsets = _offsets(lengths)
    if offsets[-1] <= _LARGEST_OFFSET:
        return []
    return [
        long_header(tag, b"OV", 8 * len(values)) + struct.pack(f"<{len(values)}Q", *values)
        for tag, values in ((EXTENDED_OFFSETS, offsets), (EXTENDED_LENGTHS, lengths))
    ]


def _offsets(lengths: Sequence[int]) -> list[int]:
    """Of each frame's item, counted from the first."""
    offsets, position = [], 0
    for length in lengths:
        offsets.append(position)
        position += length + _HEADER.size
    return offsets
