"""Deflated data sets: inflated as a stream, within bounds, and without what nobody reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest

from gateway.dataset import inflation
from gateway.dataset.elements import EVERY, SLICE_BYTES, selection_of
from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE, deflate
from gateway.dataset.inflation import Bounds, Inflating, _Kept, inflate, set_bounds
from gateway.dataset.scan import at_once, scan, scanning
from gateway.dataset.scanned_level import WantedElements, wanted
from gateway.dataset.walk import Walker, walk, walking
from gateway.ports.errors import ObjectTooLarge, Refusal, Temporary, Unreadable
from gateway.routing.language.attribute_path import parse

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
MIB = 1024**2
WANTED = wanted((parse("PatientID"), parse("PerFrameFunctionalGroupsSequence[*].FrameType"), parse("StationName")))


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    is_long = vr in (b"OB", b"OW", b"SQ", b"UN")
    return head + (struct.pack("<xxL", len(value)) if is_long else struct.pack("<H", len(value))) + value


def item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


FRAMES = b"".join(item(element(0x00089007, b"CS", b"A%05d" % number)) for number in range(300))
HEAD = element(0x00081010, b"SH", b"CT01") + element(0x00100020, b"LO", b"4711")
PIXELS = element(0x7FE00010, b"OW", bytes(40 * MIB))
BEHIND = element(0xFFFCFFFC, b"OB", b"\1" * 3000)
DATA = HEAD + element(0x52009230, b"SQ", FRAMES) + PIXELS + BEHIND
SHORT = HEAD + element(0x7FE00010, b"OW", bytes(3 * MIB)) + BEHIND
"""Some chunks long."""


@pytest.fixture(autouse=True)
def own_bounds() -> Iterator[None]:
    yield
    set_bounds(Bounds())


def values(data: bytes, syntax: str, what: WantedElements = WANTED) -> list[object]:
    scanned = scan(memoryview(data), syntax, what)
    return [
        scanned.values(parse(name))
        for name in ("PatientID", "PerFrameFunctionalGroupsSequence[*].FrameType", "StationName")
    ]


def test_a_stream_is_read_as_the_plain_bytes_are() -> None:
    assert values(deflate([DATA]), DEFLATED) == values(DATA, EXPLICIT)
    assert _Kept.held_bytes == 0


def test_what_nobody_reads_is_not_kept() -> None:
    steps = scanning(memoryview(deflate([DATA])), DEFLATED, WANTED)
    most = chunks = 0
    while True:
        try:
            step = next(steps)
        except StopIteration:
            break
        if step is not None:
            step()
            chunks += 1
        most = max(most, _Kept.held_bytes)
    assert chunks >= 40
    assert len(FRAMES) < most < 3 * MIB


def test_values_that_are_read_are_kept_where_chunks_meet() -> None:
    """A value across the borders of chunks, behind a long one that is not kept."""
    for length in range(MIB - 20, MIB + 4, 2):
        data = element(0x00091010, b"OB", bytes(length)) + element(0x00100020, b"LO", b"47" * 30)
        assert values(deflate([data]), DEFLATED) == values(data, EXPLICIT)


BOUNDS = {
    "small ones are free": (1000, 64 * MIB),
    "the ratio": (MIB, 250 * MIB),
    "the size": (10 * MIB, 1024 * MIB),
}


@pytest.mark.parametrize(("deflated", "limit"), BOUNDS.values(), ids=BOUNDS.keys())
def test_bounds(deflated: int, limit: int) -> None:
    assert Bounds().limit_bytes(deflated) == limit


@pytest.mark.parametrize(
    "bounds", [Bounds(size_bytes=30 * MIB), Bounds(ratio=5, free_bytes=MIB)], ids=["size", "ratio"]
)
def test_beyond_the_bounds_it_is_refused(bounds: Bounds) -> None:
    data = deflate([DATA])
    set_bounds(bounds)
    with pytest.raises(ObjectTooLarge, match=f"{len(data)} deflated bytes inflate to more than .*limits.inflated"):
        scan(memoryview(data), DEFLATED, WANTED)
    with pytest.raises(ObjectTooLarge):
        inflate(memoryview(data))
    assert _Kept.held_bytes == 0


def test_what_is_changed_is_inflated_whole_up_to_a_bound_of_its_own() -> None:
    data = deflate([bytes(2 * MIB)])
    assert inflate(memoryview(data)).nbytes == 2 * MIB
    with pytest.raises(ObjectTooLarge):
        inflate(memoryview(data), 2 * MIB - 1)


def test_elements_that_would_have_to_be_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = deflate([element(0x00091010, b"LO", b"") * 500_000])
    monkeypatch.setattr(inflation, "KEPT_BYTES", 2 * MIB)
    with pytest.raises(ObjectTooLarge, match="take more than"):
        scan(memoryview(data), DEFLATED, WANTED)
    monkeypatch.setattr(inflation, "KEPT_BYTES", 64 * MIB)
    monkeypatch.setattr(inflation, "ALL_KEPT_BYTES", 2 * MIB)
    with pytest.raises(Temporary, match="at this time"):
        scan(memoryview(data), DEFLATED, WANTED)
    assert _Kept.held_bytes == 0


def raw(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


ENDS = {
    "nothing": (b"", True),
    "a padding byte": (b"\0", True),
    "a gzip trailer": (struct.pack("<LL", zlib.crc32(SHORT), len(SHORT)), True),
    "a wrong trailer": (struct.pack("<LL", 1, len(DATA)), False),
    "a gzip trailer and a padding byte": (struct.pack("<LL", zlib.crc32(SHORT), len(SHORT)) + b"\0", True),
    "more": (b"\1\0", False),
    "zeros and more": (bytes(100) + b"\1", False),
    "very many zeros": (bytes(MIB + 1), False),
}


@pytest.mark.parametrize(("end", "is_readable"), ENDS.values(), ids=ENDS.keys())
def test_what_may_follow(end: bytes, is_readable: bool) -> None:
    data = memoryview(raw(SHORT) + end)
    if is_readable:
        assert values(bytes(data), DEFLATED)[0] == ("4711",)
        assert inflate(data) == SHORT
        return
    for read in (lambda: scan(data, DEFLATED, WANTED), lambda: inflate(data)):
        with pytest.raises(Unreadable, match="bytes follow"):
            read()


@pytest.mark.parametrize(
    "zeros", [b"\0\0", bytes(100_000), struct.pack("<LL", zlib.crc32(SHORT), len(SHORT)) + bytes(2)]
)
def test_zeros_that_follow_are_tolerated_and_noted(zeros: bytes) -> None:
    """dcmtk and Orthanc pass over them; `strict` does not."""
    data = memoryview(raw(SHORT) + zeros)
    scanned = scan(data, DEFLATED, WANTED)
    number = len(zeros) if not zeros.strip(b"\0") else 2
    assert scanned.oddities == {"zeros_behind": f"{number} bytes behind the deflated data set"}
    assert values(bytes(data), DEFLATED)[0] == ("4711",)
    assert inflate(data, is_tolerant=True) == SHORT
    for read in (lambda: at_once(scanning(data, DEFLATED, WANTED, is_strict=True)), lambda: inflate(data)):
        with pytest.raises(Unreadable, match="bytes follow"):
            read()


@pytest.mark.parametrize("cut", [1, 2, 10, 1000])
def test_a_cut_stream(cut: int) -> None:
    data = memoryview(raw(SHORT)[:-cut])
    for read in (lambda: scan(data, DEFLATED, WANTED), lambda: inflate(data)):
        with pytest.raises(Unreadable, match="cut"):
            read()


DAMAGED = {
    "a value beyond the end": HEAD + element(0x7FE00010, b"OW", bytes(3 * MIB))[:-2],
    "a header that is cut": HEAD + b"\x10\0\x30",
    "a sequence without its end": HEAD + struct.pack("<HH2sxxL", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF),
    "an item without its end": HEAD
    + struct.pack("<HH2sxxL", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF)
    + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    + element(0x00091010, b"OB", bytes(2 * MIB)),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_data_sets_are_reported(data: bytes) -> None:
    with pytest.raises(Unreadable):
        scan(memoryview(data), EXPLICIT, WANTED)
    with pytest.raises(Unreadable):
        scan(memoryview(raw(data)), DEFLATED, WANTED)


def test_implicit_bytes_in_a_deflated_data_set_are_read() -> None:
    data = struct.pack("<HHL", 0x0010, 0x0020, 4) + b"4711" + struct.pack("<HHL", 0x7FE0, 0x0010, 5 * MIB)
    assert values(raw(data + bytes(5 * MIB)), DEFLATED)[0] == ("4711",)


# --- slices ---------------------------------------------------------------------------------------------------------


def nested(depth: int, inner: bytes) -> bytes:
    opening = struct.pack("<HH2sxxL", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closing = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return opening * depth + inner + closing * depth


LEVELS = {
    "flat": HEAD + element(0x00091010, b"LO", b"") * 50 + BEHIND,
    "nested": HEAD + nested(5, HEAD * 10) + nested(1, b"") + BEHIND,
    "fragments": HEAD
    + struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OB", 0xFFFFFFFF)
    + item(b"") * 40
    + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0),
}


@pytest.mark.parametrize("slice_bytes", [1, 7, 8, 64, 1000])
@pytest.mark.parametrize("data", LEVELS.values(), ids=LEVELS.keys())
def test_a_walk_in_slices_finds_the_same(data: bytes, slice_bytes: int) -> None:
    view = memoryview(data)
    walker = Walker(view, 0, len(view), EXPLICIT_LITTLE, EVERY)
    while not walker.go_on(min(walker.position + slice_bytes, len(view))):
        pass
    assert walker.found == walk(view, 0, len(view), EXPLICIT_LITTLE, EVERY)


@pytest.mark.parametrize("depth", [0, 1, 100])
def test_a_walk_gives_way_after_each_slice(depth: int) -> None:
    data = memoryview(nested(depth, element(0x00091010, b"LO", b"") * 100_000))
    steps = 0
    walked = walking(data, 0, len(data), EXPLICIT_LITTLE, selection_of(frozenset()))
    while True:
        try:
            next(walked)
        except StopIteration:
            break
        steps += 1
    assert steps >= 100_000 * 8 // SLICE_BYTES - 2


def test_items_that_are_read_give_way() -> None:
    many = b"".join(item(element(0x00089007, b"CS", b"AB")) for _ in range(5000))
    data = memoryview(element(0x52009230, b"SQ", many))
    one = memoryview(
        struct.pack("<HH2sxxL", 0x5200, 0x9230, b"SQ", 0xFFFFFFFF)
        + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        + element(0x00091010, b"LO", b"") * 50_000
        + struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    )
    assert sum(1 for _ in scanning(data, EXPLICIT, WANTED)) >= 30
    assert sum(1 for _ in scanning(one, EXPLICIT, WANTED)) >= 3 * (50_000 * 8 // SLICE_BYTES - 2)
    assert len(at_once(scanning(data, EXPLICIT, WANTED)).values(WANTED_PATH) or ()) == 5000


WANTED_PATH = parse("PerFrameFunctionalGroupsSequence[*].FrameType")


def test_levels_that_are_reported_whole_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dataset.walk.MOST_ELEMENTS", 2_500)
    data = memoryview(element(0x00091010, b"LO", b"") * 2_600)
    with pytest.raises(Refusal, match="more than 2500 elements at one level"):
        walk(data, 0, len(data), EXPLICIT_LITTLE, EVERY)
    assert walk(data, 0, len(data), EXPLICIT_LITTLE, selection_of(frozenset())) == []


def test_the_memory_of_a_scan_is_given_back_when_it_is_given_up() -> None:
    steps = scanning(memoryview(deflate([SHORT])), DEFLATED, WANTED)
    next(steps)
    assert _Kept.held_bytes > 0
    steps.close()
    assert _Kept.held_bytes == 0
    with Inflating(memoryview(deflate([SHORT]))) as inflating:
        walked = inflating.walking(IMPLICIT_LITTLE, selection_of(frozenset()), lambda _: 0)
        with pytest.raises(Unreadable):
            at_once(walked)
    assert _Kept.held_bytes == 0
