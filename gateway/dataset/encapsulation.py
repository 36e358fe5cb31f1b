"""Compressed frames in a data set: items, offset tables, delimiter (PS3.5 §A.4, PS3.3 §C.7.6.3.1.8).

Explicit VR little endian, one fragment a frame.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from gateway.dataset.elements import SEQUENCE_END
from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.image import EXTENDED_LENGTHS, EXTENDED_OFFSETS
from gateway.dataset.writer import delimiter, element_header, item_header

_LARGEST_OFFSET = 0xFFFFFFFF
DELIMITER = delimiter(EXPLICIT_LITTLE, SEQUENCE_END)


def fragment_header(length: int) -> bytes:
    """The start of one item, a fragment for instance."""
    return item_header(EXPLICIT_LITTLE, length)


def basic_offset_table(lengths: Sequence[int]) -> bytes:
    """The first item: where each frame begins, or empty where 32 bits do not say it. `lengths` are of the frames."""
    offsets = _offsets(lengths)
    if offsets[-1] > _LARGEST_OFFSET:
        return fragment_header(0)
    return fragment_header(4 * len(offsets)) + struct.pack(f"<{len(offsets)}L", *offsets)


def extended_offset_table(lengths: Sequence[int]) -> list[bytes]:
    """(7FE0,0001) and (7FE0,0002) where the Basic Offset Table does not do; else nothing."""
    offsets = _offsets(lengths)
    if offsets[-1] <= _LARGEST_OFFSET:
        return []
    return [
        element_header(EXPLICIT_LITTLE, tag, "OV", 8 * len(values)) + struct.pack(f"<{len(values)}Q", *values)
        for tag, values in ((EXTENDED_OFFSETS, offsets), (EXTENDED_LENGTHS, lengths))
    ]


def _offsets(lengths: Sequence[int]) -> list[int]:
    """The offset of each frame's item, counted from the first."""
    offsets, position = [], 0
    for length in lengths:
        offsets.append(position)
        position += length + len(DELIMITER)
    return offsets
