"""The places where a tolerant reading of a data set goes on although PS3.5 §7 does not allow the bytes there.

It goes on where dcmtk and Orthanc do, and nowhere else: what they cannot read is refused, since nobody behind us could
read it either.
"""

from __future__ import annotations

import struct

from gateway.dataset.encoding import Encoding

MOST_ZEROS_BYTES = 1024**2
"""The most zeros that are tolerated behind the last element."""
_ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE00D, 0), (0xFFFE, 0xE0DD, 0)
_LITTLE, _BIG = struct.Struct("<HHL"), struct.Struct(">HHL")


def value_of(view: memoryview, start: int, *, is_big_endian: bool) -> tuple[int, int]:
    """(start of the value, its length) of an explicit VR element whose VR is none.

    Two capital letters are a VR of the future, whose length has 32 bits (PS3.5 §7.1.2). Any other bytes that writers
    put there (spaces, NULs, ``??``) have a length of 16 bits.

    Raises:
        struct.error: the data ends inside the header.
    """
    order = ">" if is_big_endian else "<"
    vr = view[start + 4 : start + 6]
    if all(0x41 <= letter <= 0x5A for letter in vr):
        (length,) = struct.unpack_from(order + "L", view, start + 8)
        return start + 12, int(length)
    (length,) = struct.unpack_from(order + "H", view, start + 6)
    return start + 8, int(length)


def are_zeros(view: memoryview, start: int, end: int) -> bool:
    """True when nothing but zeros, and not too many, lies between two places."""
    return 0 < end - start <= MOST_ZEROS_BYTES and not bytes(view[start:end]).strip(b"\0")


def are_ends(view: memoryview, position: int, end: int, encoding: Encoding) -> bool:
    """True when nothing but delimiters, of items or sequences, lies between two places."""
    header = _BIG if encoding.is_big_endian else _LITTLE
    if (end - position) % header.size:
        return False
    return all(one in (_ITEM_END, _SEQUENCE_END) for one in header.iter_unpack(view[position:end]))
