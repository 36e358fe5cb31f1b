"""A valid data set → one that differs a little, valid or not, by chance that can be repeated."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from gateway.dataset.elements import EVERY, SHORT_VRS, UNDEFINED, Element
from gateway.dataset.encoding import Encoding
from gateway.dataset.walk import walk

Mutation = Callable[[bytes, list[Element], Encoding, random.Random], bytes]


def mutated(data: bytes, encoding: Encoding, chance: random.Random) -> bytes:
    """`data` after one to three mutations, each of what the former left valid."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        try:
            found = walk(memoryview(data), 0, len(data), encoding, EVERY)
        except Exception:  # it is no data set any more: enough was done to it
            return data
        if found:
            data = chance.choice(MUTATIONS)(data, found, encoding, chance)
    return data


def _with(data: bytes, start: int, end: int, new: bytes) -> bytes:
    return data[:start] + new + data[end:]


def _header(data: bytes, element: Element, length: int, encoding: Encoding) -> bytes:
    """The element's header with this length, cut to the width of the field."""
    order = ">" if encoding.is_big_endian else "<"
    is_short = element.vr in SHORT_VRS
    field = struct.pack(order + ("H" if is_short else "L"), length & (0xFFFF if is_short else UNDEFINED))
    return data[element.start : element.value - len(field)] + field


def flip(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """Some bits."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def flip_in_header(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """One bit of one header."""
    element = chance.choice(found)
    changed = bytearray(data)
    changed[chance.randrange(element.start, element.value)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """The end is missing."""
    return data[: chance.choice((chance.randrange(len(data)), len(data) - 1, chance.choice(found).start))]


def grow(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """Something stands behind the end."""
    return data + chance.choice((bytes(chance.randrange(1, 20)), chance.randbytes(9), b"\xff" * 8))


def other_value(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """A value of the same length."""
    element = chance.choice(found)
    return _with(data, element.value, element.stop, chance.randbytes(element.stop - element.value))


def other_length(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """A value of another length, and a header that says so."""
    element = chance.choice([one for one in found if one.end == one.stop] or found)
    value = chance.choice((b"", b"12", b"ABCD\\EF ", bytes(70), chance.randbytes(chance.randrange(30))))
    return _with(data, element.start, element.end, _header(data, element, len(value), encoding) + value)


def wrong_length(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """A header that says another length."""
    element = chance.choice(found)
    length = element.stop - element.value
    other = chance.choice((length + 2, length - 2, length + 1, 0, len(data), UNDEFINED, chance.choice(found).start))
    return _with(data, element.start, element.value, _header(data, element, other, encoding))


def remove(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """One element is gone."""
    element = chance.choice(found)
    return _with(data, element.start, element.end, b"")


def repeat(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """One element stands in a second place."""
    element, place = chance.choice(found), chance.choice(found)
    return _with(data, place.start, place.start, data[element.start : element.end])


def swap(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """Two neighbours change places."""
    at = chance.randrange(max(len(found) - 1, 1))
    one, other = found[at], found[min(at + 1, len(found) - 1)]
    return _with(data, one.start, other.end, data[other.start : other.end] + data[one.start : one.end])


def odd_element(data: bytes, found: list[Element], encoding: Encoding, chance: random.Random) -> bytes:
    """An element that has no place there: of File Meta Information, a delimiter, or with an unknown VR."""
    order = ">" if encoding.is_big_endian else "<"
    group, number = chance.choice(((0x0002, 0x0010), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD), (0, 0), (0x0019, 0x1001)))
    tag = struct.pack(order + "HH", group, number)
    place = chance.choice((found[0].start, chance.choice(found).start, len(data)))
    rest = chance.choice((bytes(4), b"LO\x02\x00AB", b"??\x02\x00AB", b"\x02\x00\x00\x00AB"))
    return _with(data, place, place, tag + rest)


MUTATIONS: tuple[Mutation, ...] = (
    flip,
    flip_in_header,
    cut,
    grow,
    *(other_value, other_length) * 3,
    wrong_length,
    remove,
    repeat,
    swap,
    odd_element,
)
