"""A recorded association → one that no requestor should send, by chance that can be repeated."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping

from tests.support.load.wire import ASSOCIATE_RQ, P_DATA

PDUs = list[bytes]
ODD_LENGTHS = (0, 1, 2, 3, 5, 7, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
ITEM_TYPES = (0x10, 0x20, 0x21, 0x30, 0x40, *range(0x50, 0x5B), 0x00, 0xFF)
COMMAND_FIELDS = (
    *(0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF, 0x8001, 0x8010, 0x8020, 0x8021, 0x8030),
    *(0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150, 0x0000, 0xFFFF),
)


def mutated(recorded: Mapping[str, PDUs], chance: random.Random) -> tuple[str, PDUs]:
    """(name of the recording, PDUs or parts of some) with one to four mutations."""
    name = chance.choice(sorted(recorded))
    found = list(recorded[name])
    for _ in range(chance.choice((1, 1, 2, 2, 3, 4))):
        if found:
            found = [pdu for pdu in chance.choice(MUTATIONS)(found, chance, recorded) if pdu]
    return name, found


def _place(found: PDUs, chance: random.Random, kind: int | None = None) -> int:
    """Index of a PDU, of this kind when there is one."""
    of_kind = [index for index, pdu in enumerate(found) if kind is None or pdu[:1] == bytes([kind])]
    return chance.choice(of_kind or range(len(found)))


def _with(found: PDUs, index: int, *pdus: bytes) -> PDUs:
    return [*found[:index], *pdus, *found[index + 1 :]]


# --- bytes -----------------------------------------------------------------------------------------------------------


def flip(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Some bits of one PDU."""
    index = _place(found, chance)
    pdu = bytearray(found[index])
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        pdu[chance.randrange(len(pdu))] ^= 1 << chance.randrange(8)
    return _with(found, index, bytes(pdu))


def overwrite(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """A few bytes of one PDU, by others or by extremes."""
    index = _place(found, chance)
    pdu = bytearray(found[index])
    size = chance.choice((1, 2, 4, 4, 16))
    start = chance.randrange(len(pdu))
    new = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size), b"\x80" + bytes(size - 1)))
    pdu[start : start + size] = new[: len(pdu) - start]
    return _with(found, index, bytes(pdu))


def cut(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Bytes are missing in the middle; what follows moves up."""
    index = _place(found, chance)
    pdu = found[index]
    start = chance.randrange(len(pdu))
    return _with(found, index, pdu[:start] + pdu[start + chance.choice((1, 1, 2, 4, 100)) :])


def insert(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Bytes too many; what follows moves down."""
    index = _place(found, chance)
    pdu = found[index]
    start = chance.randrange(len(pdu) + 1)
    return _with(found, index, pdu[:start] + chance.randbytes(chance.choice((1, 1, 2, 4, 100))) + pdu[start:])


def stop(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Nothing after some byte."""
    index = _place(found, chance)
    return [*found[:index], found[index][: chance.randrange(len(found[index]) + 1)]]


# --- PDUs ------------------------------------------------------------------------------------------------------------


def repeat(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """A PDU comes more than once."""
    index = _place(found, chance)
    return _with(found, index, *[found[index]] * chance.choice((2, 2, 3, 20)))


def swap(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Two PDUs change places."""
    first, second = _place(found, chance), _place(found, chance)
    found = list(found)
    found[first], found[second] = found[second], found[first]
    return found


def drop(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """A PDU is missing."""
    return _with(found, _place(found, chance))


def splice(found: PDUs, chance: random.Random, recorded: Mapping[str, PDUs]) -> PDUs:
    """PDUs of another association in between."""
    other = recorded[chance.choice(sorted(recorded))]
    start = chance.randrange(len(other))
    index = chance.randrange(len(found) + 1)
    return [*found[:index], *other[start : start + chance.randrange(1, 4)], *found[index:]]


def pdu_type(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Another PDU type."""
    index = _place(found, chance)
    return _with(found, index, bytes([chance.choice((*range(9), 0xFF))]) + found[index][1:])


def pdu_length(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """A PDU length that is wrong."""
    index = _place(found, chance)
    pdu = found[index]
    length = chance.choice((*ODD_LENGTHS, len(pdu) - 7, len(pdu) - 5)) & 0xFFFFFFFF
    return _with(found, index, pdu[:2] + struct.pack(">I", length) + pdu[6:])


# --- items of an association request ---------------------------------------------------------------------------------


def _items(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    position = 0
    while position + 4 <= len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        found.append((kind, body[position + 4 : position + 4 + length]))
        position += 4 + length
    return found


def _joined(items: list[tuple[int, bytes]], chance: random.Random, *, is_wrong: bool) -> bytes:
    wrong = chance.randrange(len(items)) if is_wrong and items else -1
    parts = []
    for index, (kind, content) in enumerate(items):
        length = len(content) if index != wrong else chance.choice((*ODD_LENGTHS[:8], len(content) + 1))
        parts.append(struct.pack(">BxH", kind, length & 0xFFFF) + content)
    return b"".join(parts)


def _one_item(items: list[tuple[int, bytes]], chance: random.Random) -> list[tuple[int, bytes]]:
    """One of the items is changed, missing, doubled or moved."""
    if not items:
        return items
    items = list(items)
    index = chance.randrange(len(items))
    kind, content = items[index]
    match chance.randrange(6):
        case 0:
            items[index] = (chance.choice(ITEM_TYPES), content)
        case 1:
            del items[index]
        case 2:
            items[index:index] = [items[index]] * chance.choice((1, 2, 100))
        case 3:
            items[index] = (
                kind,
                chance.choice((b"", content[:-1], content + b"\0", bytes(64), b"\xff" * 65, content * 9)),
            )
        case 4:
            chance.shuffle(items)
        case _:
            items[index] = (kind, chance.randbytes(len(content)))
    return items


def association_items(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Items or sub-items of the A-ASSOCIATE-RQ."""
    index = _place(found, chance, ASSOCIATE_RQ)
    pdu = found[index]
    items = _items(pdu[74:])
    deep = [place for place, (kind, _) in enumerate(items) if kind in (0x20, 0x50)]
    if deep and chance.random() < 0.6:
        place = chance.choice(deep)
        kind, content = items[place]
        head = 4 if kind == 0x20 else 0
        inner = _one_item(_items(content[head:]), chance)
        items[place] = (kind, content[:head] + _joined(inner, chance, is_wrong=chance.random() < 0.3))
    else:
        items = _one_item(items, chance)
    body = pdu[6:74] + _joined(items, chance, is_wrong=chance.random() < 0.3)
    return _with(found, index, pdu[:2] + struct.pack(">I", len(body)) + body)


# --- presentation data values ----------------------------------------------------------------------------------------


def _values(pdu: bytes) -> list[tuple[int, int, bytes]]:
    """(context identifier, message control header, fragment) of each."""
    found = []
    position = 6
    while position + 6 <= len(pdu):
        length, context_id, header = struct.unpack_from(">IBB", pdu, position)
        found.append((context_id, header, pdu[position + 6 : position + 4 + length]))
        position += 4 + max(length, 2)
    return found


def _p_data(values: list[tuple[int, int, bytes]], wrong: int = -1, length: int = 0) -> bytes:
    body = b""
    for index, (context_id, header, fragment) in enumerate(values):
        size = length if index == wrong else len(fragment) + 2
        body += struct.pack(">IBB", size, context_id, header) + fragment
    return struct.pack(">BxI", P_DATA, len(body)) + body


def data_values(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Contexts, control headers, lengths, order and number of presentation data values."""
    index = _place(found, chance, P_DATA)
    values = _values(found[index])
    if not values:
        return found
    place = chance.randrange(len(values))
    context_id, header, fragment = values[place]
    wrong = -1
    match chance.randrange(7):
        case 0:
            values[place] = (chance.choice((0, 1, 2, 3, 5, 7, 255)), header, fragment)
        case 1:
            values[place] = (context_id, chance.choice((0, 1, 2, 3, 4, 0xFF)), fragment)
        case 2:
            wrong = place
        case 3:
            at = chance.randrange(len(fragment) + 1)
            values[place : place + 1] = [(context_id, header & ~2, fragment[:at]), (context_id, header, fragment[at:])]
        case 4:
            values[place:place] = [(context_id, header & ~2, b"")] * chance.choice((1, 50, 2000))
        case 5:
            values.insert(place, values[place])
        case _:
            chance.shuffle(values)
    return _with(found, index, _p_data(values, wrong, chance.choice(ODD_LENGTHS)))


def together(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Neighbouring P-DATA-TF PDUs become one."""
    index = _place(found, chance, P_DATA)
    if index + 1 >= len(found) or found[index][:1] != b"\4" or found[index + 1][:1] != b"\4":
        return found
    one = _p_data([*_values(found[index]), *_values(found[index + 1])])
    return [*found[:index], one, *found[index + 2 :]]


# --- command and data sets -------------------------------------------------------------------------------------------


def _elements(encoded: bytes) -> list[tuple[int, int, bytes]]:
    """The elements of a data set in Implicit VR Little Endian."""
    found = []
    position = 0
    while position + 8 <= len(encoded):
        group, number, length = struct.unpack_from("<HHI", encoded, position)
        found.append((group, number, encoded[position + 8 : position + 8 + length]))
        position += 8 + length
    return found


def command_elements(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """One element of a command set is changed, missing or doubled."""
    index = _place(found, chance, P_DATA)
    values = _values(found[index])
    places = [place for place, (_, header, _) in enumerate(values) if header & 1]
    if not places:
        return found
    place = chance.choice(places)
    context_id, header, fragment = values[place]
    elements = _elements(fragment)
    if not elements:
        return found
    at = chance.randrange(len(elements))
    group, number, value = elements[at]
    match chance.randrange(7):
        case 0:
            del elements[at]
        case 1:
            elements.insert(at, elements[at])
        case 2:
            elements[at] = (
                group,
                chance.choice(((number + 1) & 0xFFFF, 0x0110, 0x0120, 0x0600, 0x0800, 0x1000, 0xFFFF)),
                value,
            )
        case 3:
            new = chance.choice((b"", b"\0", value[:-1], value + b"\0", chance.randbytes(len(value)), b"\xff" * 70))
            elements[at] = (group, number, new)
        case 4:
            fields = [spot for spot, (_, name, _) in enumerate(elements) if name == 0x0100]
            if fields:
                elements[fields[0]] = (0, 0x0100, struct.pack("<H", chance.choice(COMMAND_FIELDS)))
        case 5:
            chance.shuffle(elements)
        case _:
            elements[at] = (chance.choice((0, 8, 0xFFFE)), number, value)
    encoded = b"".join(struct.pack("<HHI", *head, len(text)) + text for *head, text in elements)
    values[place] = (context_id, header, encoded)
    return _with(found, index, _p_data(values))


def data_set_bytes(found: PDUs, chance: random.Random, others: Mapping[str, PDUs]) -> PDUs:
    """Lengths, tags and VRs inside a data set."""
    index = _place(found, chance, P_DATA)
    values = _values(found[index])
    places = [place for place, (_, header, fragment) in enumerate(values) if not header & 1 and len(fragment) > 12]
    if not places:
        return found
    place = chance.choice(places)
    context_id, header, fragment = values[place]
    changed = bytearray(fragment)
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(min(len(changed) - 4, 400)) // 2 * 2
        changed[at : at + 4] = chance.choice(
            (
                b"\xfe\xff\x00\xe0",
                b"\xfe\xff\x0d\xe0",
                b"\xfe\xff\xdd\xe0",
                b"\xff\xff\xff\xff",
                b"SQ\0\0",
                b"UN\xff\xff",
                b"\0\0\0\0",
                chance.randbytes(4),
            )
        )
    values[place] = (context_id, header, bytes(changed))
    return _with(found, index, _p_data(values))


Mutation = Callable[[PDUs, random.Random, Mapping[str, PDUs]], PDUs]
MUTATIONS: tuple[Mutation, ...] = (
    flip, overwrite, cut, insert, stop, repeat, swap, drop, splice, pdu_type, pdu_length,
    association_items, association_items, data_values, data_values, together, command_elements, command_elements,
    data_set_bytes, data_set_bytes,
)  # fmt: skip
