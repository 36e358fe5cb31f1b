"""Encoded data sets made by hand, and a slow second reader that the tests compare with."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.routing.language.attribute_path import parse
from tests.support.corpus import Part10, corpus, read_part10

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

ENCODINGS = {EXPLICIT: EXPLICIT_LITTLE, IMPLICIT: IMPLICIT_LITTLE, BIG: EXPLICIT_BIG, DEFLATED: EXPLICIT_LITTLE}
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Write:
    """Writes elements in one encoding."""

    encoding: Encoding

    @property
    def order(self) -> str:
        return ">" if self.encoding.is_big_endian else "<"

    def tag(self, tag: int) -> bytes:
        return struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)

    def header(self, tag: int, vr: str, length: int) -> bytes:
        if self.encoding.is_implicit:
            return self.tag(tag) + struct.pack("<L", length)
        if vr in LONG:
            return self.tag(tag) + vr.encode() + b"\0\0" + struct.pack(self.order + "L", length)
        return self.tag(tag) + vr.encode() + struct.pack(self.order + "H", length)

    def element(self, tag: int | str, vr: str, value: bytes | str) -> bytes:
        number = parse(tag).tag if isinstance(tag, str) else tag
        raw = value.encode("latin-1") if isinstance(value, str) else value
        raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
        return self.header(number, vr, len(raw)) + raw

    def number(self, tag: int | str, vr: str, layout: str, *values: float) -> bytes:
        return self.element(tag, vr, struct.pack(self.order + layout, *values))

    def item(self, content: bytes, *, is_defined: bool = True) -> bytes:
        if is_defined:
            return self.tag(0xFFFEE000) + struct.pack(self.order + "L", len(content)) + content
        end = self.tag(0xFFFEE00D) + bytes(4)
        return self.tag(0xFFFEE000) + struct.pack(self.order + "L", UNDEFINED) + content + end

    def sequence(self, tag: int | str, *items: bytes, is_defined: bool = True, vr: str = "SQ") -> bytes:
        number = parse(tag).tag if isinstance(tag, str) else tag
        content = b"".join(items)
        if is_defined:
            return self.header(number, vr, len(content)) + content
        return self.header(number, vr, UNDEFINED) + content + self.tag(0xFFFEE0DD) + bytes(4)


def packed(content: bytes, transfer_syntax_uid: str) -> bytes:
    """The data set as it travels: deflated when the syntax says so."""
    if transfer_syntax_uid != DEFLATED:
        return content
    stream = zlib.compressobj(wbits=-15)
    deflated = stream.compress(content) + stream.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def unpacked(content: bytes, transfer_syntax_uid: str) -> bytes:
    return zlib.decompressobj(-15).decompress(content) if transfer_syntax_uid == DEFLATED else content


def put(path: str, *values: str) -> Edit:
    return Edit(parse(path), values)


def removed(path: str) -> Edit:
    return Edit(parse(path), None)


def emptied(path: str) -> Edit:
    return Edit(parse(path), (), where="present")


def paths(*texts: str) -> tuple[AttributePath, ...]:
    return tuple(map(parse, texts))


# --- the second reader: recursive, slow, plain ---

Read = list[tuple[int, bytes]]
"""(tag, all bytes of the element with its header), in the order of the bytes."""


def read_level(data: bytes, encoding: Encoding) -> Read:
    """The elements of one level. Written without a look at the product's own walk."""
    found: Read = []
    position = 0
    while position < len(data):
        tag, end = _read_element(data, position, encoding)
        found.append((tag, data[position:end]))
        position = end
    assert position == len(data)
    return found


def _read_element(data: bytes, position: int, encoding: Encoding) -> tuple[int, int]:
    order = ">" if encoding.is_big_endian else "<"
    group, element = struct.unpack_from(order + "HH", data, position)
    vr = "" if encoding.is_implicit else data[position + 4 : position + 6].decode()
    if encoding.is_implicit:
        (length,), value = struct.unpack_from("<L", data, position + 4), position + 8
    elif vr in LONG:
        (length,), value = struct.unpack_from(order + "L", data, position + 8), position + 12
    else:
        (length,), value = struct.unpack_from(order + "H", data, position + 6), position + 8
    inner = IMPLICIT_LITTLE if vr == "UN" else encoding
    end = value + length if length != UNDEFINED else _after_items(data, value, inner)
    return group << 16 | element, end


def _after_items(data: bytes, position: int, encoding: Encoding) -> int:
    order = ">" if encoding.is_big_endian else "<"
    while True:
        group, element, length = struct.unpack_from(order + "HHL", data, position)
        position += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            return position
        assert (group, element) == (0xFFFE, 0xE000), hex(position)
        if length != UNDEFINED:
            position += length
            continue
        while struct.unpack_from(order + "HH", data, position) != (0xFFFE, 0xE00D):
            position = _read_element(data, position, encoding)[1]
        position += 8


# --- real objects ---


def _is_whole(path: Path) -> bool:
    return not any(word in path.name for word in ("truncated", "too_short"))


def real_objects() -> list[Part10]:
    """Every Part 10 file of pydicom's test files and of pydicom-data, but for the three that are cut."""
    found = []
    for path in corpus():
        if not _is_whole(path):
            continue
        try:
            found.append(read_part10(path))
        except ValueError:
            continue
    return found


REAL = real_objects()
REAL_NAMES = [f"{index}-{part.path.name}" for index, part in enumerate(REAL)]
