"""Empty fragments of encapsulated pixel data: behind the others, and between them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gateway.dataset.codecs import missing
from gateway.dataset.encapsulation import DELIMITER, basic_offset_table, fragment_header
from gateway.dataset.fragments import without_empty
from gateway.dataset.scratch import Scratch
from tests.support.pixels import EXPLICIT, dataset, pixels
from tests.support.transcoding import IMAGES, assert_same, to

RLE, JPEG_LS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"
EMPTY = fragment_header(0)
PIXELS = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
A, B = fragment_header(4) + b"aaaa", fragment_header(2) + b"bb"


def table(*entries: int) -> bytes:
    return fragment_header(4 * len(entries)) + struct.pack(f"<{len(entries)}L", *entries)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (table() + A + B, table() + A + B),
        (table() + A + B + EMPTY, table() + A + B),
        (table() + A + B + EMPTY + EMPTY, table() + A + B),
        (table(0, 12) + A + B + EMPTY, table(0, 12) + A + B),
        (table(0, 12, 22) + A + B + EMPTY, table(0, 12) + A + B),
        (table() + A + EMPTY + B, table() + A + B),
        (table(0, 20) + A + EMPTY + B, table(0, 12) + A + B),
        (table(0, 12) + A + EMPTY + B, table(0, 12) + A + B),
        (table(0, 20) + EMPTY + A + B, table(0, 12) + A + B),
        (table() + EMPTY, table()),
        (table(), table()),
        (table() + A[:-1], table() + A[:-1]),
        (b"no items", b"no items"),
    ],
    ids=[
        "none",
        "last",
        "last two",
        "last, with offsets",
        "last, with an offset of its own",
        "between",
        "between, with offsets",
        "between, counted to the second frame",
        "first",
        "nothing else",
        "no fragments",
        "cut",
        "no items",
    ],
)
def test_they_go_and_offsets_follow(value: bytes, expected: bytes) -> None:
    assert bytes(without_empty(memoryview(value), None)[0]) == expected


def test_behind_the_others_nothing_is_copied() -> None:
    value = memoryview(table(0, 12) + A + B + EMPTY)
    assert without_empty(value, None)[0].obj is value.obj


def test_the_extended_tables_follow() -> None:
    offsets = (struct.pack("<3Q", 0, 20, 30), struct.pack("<3Q", 4, 2, 0))
    value, found = without_empty(memoryview(table() + A + EMPTY + B + EMPTY), offsets)
    assert bytes(value) == table() + A + B
    assert found == (struct.pack("<2Q", 0, 12), struct.pack("<2Q", 4, 2))


@pytest.mark.skipif(bool(missing([JPEG_LS])), reason="needs the codecs extra")
@pytest.mark.parametrize("name", ["8 bit", "several frames"])
@pytest.mark.parametrize("syntax", [RLE, JPEG_LS], ids=["RLE", "JPEG-LS"])
@pytest.mark.parametrize("has_offsets", [False, True], ids=["no offsets", "offsets"])
def test_a_transcode_does_without_them(name: str, syntax: str, tmp_path: Path, *, has_offsets: bool) -> None:
    made, scratch = IMAGES[name], Scratch(str(tmp_path))
    compressed = to(made.encoded(), EXPLICIT, syntax, scratch)
    fragments = _fragments(compressed)
    offsets = basic_offset_table([len(one) - 8 for one in fragments]) if has_offsets else fragment_header(0)
    start = compressed.rindex(PIXELS) + len(PIXELS)
    odd = compressed[:start] + offsets + b"".join(fragments) + EMPTY + DELIMITER
    native = to(odd, syntax, EXPLICIT, scratch)
    assert_same(pixels(dataset(native, EXPLICIT)), pixels(dataset(made.encoded(), EXPLICIT)))


def _fragments(compressed: bytes) -> list[bytes]:
    """Items of the pixel data, the offset table left out."""
    position = compressed.rindex(PIXELS) + len(PIXELS)
    found = []
    while compressed[position : position + 4] == b"\xfe\xff\x00\xe0":
        end = position + 8 + int.from_bytes(compressed[position + 4 : position + 8], "little")
        found.append(compressed[position:end])
        position = end
    return found[1:]
