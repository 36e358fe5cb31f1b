"""What a pattern of headers fits, and what it leaves to the walk."""

from __future__ import annotations

import pytest

from gateway.dataset.elements import TagSelection
from gateway.dataset.encoding import EXPLICIT_LITTLE, Encoding
from gateway.dataset.header_pattern import (
    MOST_COMPARED_BYTES,
    MOST_HEADERS,
    MOST_PLACES,
    MOST_WANTED,
    HeaderPattern,
    pattern_of,
)
from gateway.dataset.scanned_level import Level, WantedElements
from gateway.dataset.walk import place_of, walk
from gateway.ports.errors import Unreadable
from tests.support.data_set_writer import BIG, ENCODINGS, EXPLICIT, IMPLICIT, Write, paths

WRITE = Write(EXPLICIT_LITTLE)
FIRST = 0x00090010


def elements(*values: bytes | str, write: Write = WRITE, vr: str = "LO") -> bytes:
    return b"".join(write.element(FIRST + number, vr, value) for number, value in enumerate(values))


def learned(*data_sets: bytes, encoding: Encoding = EXPLICIT_LITTLE) -> HeaderPattern:
    """One pattern of all these."""
    patterns: list[HeaderPattern] = []
    for data in data_sets:
        made = pattern_of(memoryview(data), encoding, patterns)
        assert made is not None
        assert made[1] == len(patterns) - 1
        patterns = [made[0]]
    return patterns[0]


def fits(pattern: HeaderPattern, data: bytes) -> bool:
    return pattern.fit(memoryview(data), len(data)) is not None


ONE = elements("A1", "B1", "C1")

FITS = {
    "the same": (ONE,),
    "another value after it was seen to change": (ONE, elements("A1", "B2", "C1")),
    "another length after it was seen to change": (ONE, elements("A1", "BB22", "C1")),
    "the last length": (ONE, elements("A1", "B1", "CCCCCC")),
    "all at once": (ONE, elements("AAAA", "B2", "C1"), elements("A1", "B1", "CCCCCC"), elements("", "", "")),
}


@pytest.mark.parametrize("data_sets", FITS.values(), ids=FITS)
def test_all_that_it_was_made_of_fits(data_sets: tuple[bytes, ...]) -> None:
    pattern = learned(*data_sets)
    assert all(fits(pattern, data) for data in data_sets)


REFUSED = {
    "another value": elements("A1", "B2", "C1"),
    "another length": elements("A1", "BB", "C1CC"),
    "one more": elements("A1", "B1", "C1", "D1"),
    "one fewer": elements("A1", "B1"),
    "another VR": elements("A1", "B1", "C1", vr="SH"),
    "bytes behind": ONE + b"\0\0",
    "the end is missing": ONE[:-1],
    "nothing": b"",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_left_to_the_walk(data: bytes) -> None:
    assert not fits(learned(ONE), data)


LENGTHS = (elements("A1", "BB22", "C1"), elements("A1", "B1", "C1"))
"""The second length varies."""


@pytest.mark.parametrize("written", [0, 1, 3, 5, 11, 12, 13, 0xFFFF])
def test_a_length_that_leads_elsewhere_does_not_fit(written: int) -> None:
    data = bytearray(LENGTHS[1])
    data[16:18] = written.to_bytes(2, "little")
    assert not fits(learned(*LENGTHS), bytes(data))


def test_an_undefined_length_fits_where_its_end_is_found() -> None:
    def data(*items: bytes) -> bytes:
        return WRITE.sequence(0x00081115, *map(WRITE.item, items), is_defined=False) + elements("A1")

    pattern = learned(data(b""), data(ONE, ONE))
    assert fits(pattern, data(ONE))
    whole = data(ONE)
    assert not fits(pattern, whole.replace(b"\xfe\xff\xdd\xe0", b"\xfe\xff\xdd\xe1"))
    far = data(*[b""] * 10_000)
    assert not fits(pattern, far), "the walk gives way to others meanwhile"


def test_long_values_are_stepped_over() -> None:
    pattern = learned(elements("A" * (MOST_COMPARED_BYTES + 2), "B"))
    assert fits(pattern, elements("X" * (MOST_COMPARED_BYTES + 2), "B"))
    assert not fits(learned(elements("A" * MOST_COMPARED_BYTES, "B")), elements("X" * MOST_COMPARED_BYTES, "B"))


NOT_LEARNED = {
    "too many elements": b"".join(WRITE.element(0x00110000 + n, "LO", "") for n in range(MOST_HEADERS + 1)),
    "an element twice": elements("A") + elements("A"),
    "File Meta Information": WRITE.element(0x00020010, "UI", "1.2") + ONE,
    "far too many fragments": WRITE.sequence(0x7FE00010, *[WRITE.item(bytes(20_000))] * 200, is_defined=False, vr="OB"),
}


@pytest.mark.parametrize("data", NOT_LEARNED.values(), ids=NOT_LEARNED)
def test_what_is_not_learned(data: bytes) -> None:
    assert pattern_of(memoryview(data), EXPLICIT_LITTLE, []) is None


def test_the_most_elements_are_learned() -> None:
    data = b"".join(WRITE.element(0x00110000 + n, "LO", "A") for n in range(MOST_HEADERS))
    assert fits(learned(data), data)


def test_what_the_walk_refuses_is_not_learned() -> None:
    with pytest.raises(Unreadable):
        pattern_of(memoryview(ONE[:-1]), EXPLICIT_LITTLE, [])


def test_others_elements_make_another_pattern() -> None:
    others = [learned(elements("A1", vr="SH")), learned(ONE)]
    made = pattern_of(memoryview(elements("A2", "B1", "C1")), EXPLICIT_LITTLE, others)
    assert made is not None
    assert made[1] == 1
    made = pattern_of(memoryview(elements("A2", "B1")), EXPLICIT_LITTLE, others)
    assert made is not None
    assert made[1] == -1


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_values_are_read_from_the_data_set(syntax: str) -> None:
    write = Write(ENCODINGS[syntax])
    data_sets = [elements("A1", value, "C1", write=write) for value in ("B1", "", "BBBB", "B3")]
    pattern = learned(*data_sets, encoding=ENCODINGS[syntax])
    wanted = WantedElements(paths("00090011", "00090012"))
    for data, value in zip(data_sets, (b"B1", b"", b"BBBB", b"B3"), strict=True):
        fit = pattern.fit(memoryview(data), len(data))
        assert fit is not None
        level = Level(ENCODINGS[syntax])
        assert fit.read(memoryview(data), wanted, level) == []
        read = {tag: raw for tag, (_vr, raw, _length) in level.scanned([FIRST + 1, FIRST + 2]).items()}
        assert read == {FIRST + 1: value, FIRST + 2: b"C1"}


def test_few_selections_are_kept() -> None:
    pattern = learned(ONE)
    fit = pattern.fit(memoryview(ONE), len(ONE))
    assert fit is not None
    for _ in range(3 * MOST_WANTED):
        fit.read(memoryview(ONE), WantedElements(paths("00090011")), Level(EXPLICIT_LITTLE))
        fit.found(TagSelection([FIRST]))
    assert len(pattern._read) <= MOST_WANTED
    assert len(pattern._selected) <= MOST_WANTED
    for tag in range(3 * MOST_PLACES):
        fit.place_of(tag)
    assert len(pattern._places) <= MOST_PLACES


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_all_places_are_those_of_the_walk(syntax: str) -> None:
    encoding = ENCODINGS[syntax]
    write = Write(encoding)

    def data(value: str, *items: bytes) -> bytes:
        sequence = write.sequence(FIRST + 8, *map(write.item, items), is_defined=False)
        return elements("A1", value, "C1", write=write) + sequence + write.element(FIRST - 8, "LO", "not in order")

    data_sets = [data("B1"), data("BBB3", b"", b""), data("", b"")]
    pattern = learned(*data_sets, encoding=encoding)
    for one in data_sets:
        view = memoryview(one)
        fit = pattern.fit(view, len(view))
        assert fit is not None
        for tags in ([], [FIRST], [FIRST + 1, FIRST + 8], range(FIRST - 9, FIRST + 9)):
            assert fit.found(TagSelection(tags)) == walk(view, 0, len(view), encoding, TagSelection(tags))
        for tag in range(FIRST - 10, FIRST + 10):
            assert fit.place_of(tag) == place_of(view, 0, len(view), encoding, tag)
