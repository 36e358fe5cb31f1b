"""Fragments of encapsulated pixel data that hold nothing (PS3.5 §A.4).

Some writers end with one, or have one between others; readers count them as frames, or fail. A frame is never empty, so
that they can go.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from gateway.dataset.encapsulation import fragment_header

_HEADER = struct.Struct("<HHL")
Offsets = tuple[bytes, bytes]
"""Extended Offset Table and Extended Offset Table Lengths (PS3.3 §C.7.6.3.1.8)."""


def without_empty(value: memoryview, offsets: Offsets | None) -> tuple[memoryview, Offsets | None]:
    """The items, Basic Offset Table first, without empty fragments, and the tables that then are right.

    A value that is no list of items comes back as it is: the decoder says what is wrong with it.
    """
    items = _items(value)
    if len(items) < 2 or all(length for _, length in items[1:]):
        return value, offsets
    (table_start, table_length), *fragments = items
    first = fragments[0][0] - _HEADER.size
    """The origin of offsets: the header of the first fragment."""
    starts = [start - _HEADER.size - first for start, length in fragments if not length]
    end = next((start + length for start, length in reversed(fragments) if length), first)
    table = _words(value[table_start : table_start + table_length], "L")
    entries = _moved(table, starts, end - first)
    if entries == table and starts[0] >= end - first:  # only behind the others: nothing is copied
        pieces: list[bytes | memoryview] = []
        whole = value[:end]
    else:
        pieces = [fragment_header(4 * len(entries)), struct.pack(f"<{len(entries)}L", *entries)]
        pieces += [value[start - _HEADER.size : start + length] for start, length in fragments if length]
        whole = memoryview(b"".join(pieces))
    return whole, None if offsets is None else _extended(offsets, starts, end - first)


def is_without_fragments(value: memoryview) -> bool:
    """True when there is nothing but a Basic Offset Table, or not even that, and empty fragments."""
    items = _items(value)
    return not len(value) or (bool(items) and not any(length for _, length in items[1:]))


def _items(value: memoryview) -> list[tuple[int, int]]:
    """(where the value begins, length) of each; none when these are no items."""
    found: list[tuple[int, int]] = []
    position = 0
    while position + _HEADER.size <= len(value):
        group, element, length = _HEADER.unpack_from(value, position)
        position += _HEADER.size
        if (group, element) != (0xFFFE, 0xE000) or position + length > len(value):
            return []
        found.append((position, length))
        position += length
    return found if position == len(value) else []


def _words(raw: memoryview | bytes, code: str) -> list[int]:
    count = len(raw) // struct.calcsize(f"<{code}")
    return list(struct.unpack_from(f"<{count}{code}", raw))


def _moved(entries: Sequence[int], empty: Sequence[int], end: int) -> list[int]:
    """Offsets once the fragments at `empty` are gone; those at or behind `end`, where nothing is left, go too."""
    moved = [entry - _HEADER.size * sum(one < entry for one in empty) for entry in entries if entry < end]
    return list(dict.fromkeys(moved))


def _extended(offsets: Offsets, empty: Sequence[int], end: int) -> Offsets:
    table, lengths = (_words(one, "Q") for one in offsets)
    kept = [(entry, length) for entry, length in zip(table, lengths, strict=False) if length and entry < end]
    moved = [entry - _HEADER.size * sum(one < entry for one in empty) for entry, _ in kept]
    return struct.pack(f"<{len(moved)}Q", *moved), struct.pack(f"<{len(kept)}Q", *(length for _, length in kept))
