"""Remembered headers make reading quick and change nothing: whatever comes is read as by the walk, or refused as by
it."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence

import pytest

from gateway.dataset.elements import SLICE_BYTES
from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE, encodings_of
from gateway.dataset.header_memory import LEARNING_COSTS, MOST_CREDIT, MOST_PATTERNS, HeaderMemory, KnownHeaders
from gateway.dataset.header_pattern import MOST_COMPARED_BYTES, MOST_HEADERS, HeaderFit
from gateway.dataset.inflation import InflationSteps
from gateway.dataset.scan import Scanned, at_once, scanning, scanning_body
from gateway.dataset.scanned_level import Level, WantedElements
from gateway.dataset.splice import splice
from gateway.ports.edits import Edit
from gateway.ports.errors import GatewayError
from gateway.spool.body import InMemoryDataSet
from tests.support.corpus import Part10
from tests.support.data_set_mutation import mutated
from tests.support.data_set_writer import (
    BIG,
    DEFLATED,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    REAL,
    UNDEFINED,
    Write,
    packed,
    paths,
    put,
    removed,
)
from tests.support.splicing import SHAPES

WANTED = WantedElements(
    paths(
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "PatientName", "PatientID", "Rows", "PixelData"),
        *("ReferencedImageSequence", "ReferencedImageSequence[*].ReferencedSOPInstanceUID", "SmallestImagePixelValue"),
        *("RequestAttributesSequence[0].ScheduledProcedureStepID", "00191001", "(0019,[ACME],02)", "ImageComments"),
    )
)


def parts(level: Level) -> object:
    """All that a level holds, and every text that it gives."""
    raw = [(tag, level._raw[tag], level._long.get(tag)) for tag in level._raw]
    items = {tag: [parts(item) for item in items] for tag, items in level.items.items()}
    texts = {tag: level.text(tag) for tag in level.present()}
    return level.encoding, level.encoding.notes, sorted(raw), texts, items


def outcome(data: bytes, syntax: str, known: KnownHeaders | None, *, is_strict: bool = False) -> object:
    return outcome_of(scanning(memoryview(data), syntax, WANTED, is_strict=is_strict, known=known))


def outcome_of(scan: InflationSteps[Scanned]) -> object:
    """All that a scan says of a data set, or the error that it raises."""
    try:
        scanned = at_once(scan)
    except GatewayError as error:
        return type(error), str(error)
    return parts(scanned.level), dict(scanned.oddities)


def unknown_sequence(write: Write, number: int, *, is_defined: bool) -> bytes:
    """A private sequence as UN: implicit VR little endian inside, whatever is outside (PS3.5 §6.2.2)."""
    inner = Write(IMPLICIT_LITTLE)
    sequence = inner.sequence(0x00191002, *[inner.item(b"", is_defined=is_defined)] * number, is_defined=is_defined)
    length = len(sequence) - 8 if is_defined else UNDEFINED
    return write.header(0x00191002, "UN", length) + sequence[8:]


def image(syntax: str, number: int, *, is_defined: bool, pixel_bytes: int = 300) -> bytes:
    """One of a series: its UID, its position and its pixels are its own."""
    write = Write(ENCODINGS[syntax])
    step = write.element("ScheduledProcedureStepID", "SH", f"STEP{number % 3}")
    references = [write.element("ReferencedSOPInstanceUID", "UI", f"1.2.3.{n}") for n in range(number % 4)]
    content = [
        write.element("SpecificCharacterSet", "CS", "ISO_IR 100"),
        write.element("SOPClassUID", "UI", "1.2.840.10008.5.1.4.1.1.4"),
        write.element("SOPInstanceUID", "UI", f"1.2.3.{number}"),
        *(write.element(0x00090010 + n, "LO", f"BLOCK {n}") for n in range(20)),
        write.sequence("ReferencedImageSequence", *(write.item(one, is_defined=is_defined) for one in references)),
        write.element("PatientName", "PN", "Doe^Jane"),
        write.element("PatientID", "LO", f"P{number // 3}"),
        write.element(0x00190010, "LO", "ACME"),
        write.element(0x00191001, "UN", bytes([number])),
        unknown_sequence(write, number, is_defined=is_defined),
        write.element("StudyInstanceUID", "UI", "1.2.3"),
        write.element("ImagePositionPatient", "DS", f"-12.5\\3\\{number * 2.5}"),
        write.element("ImageComments", "LT", "x" * 70),
        write.number("Rows", "US", "H", 8),
        write.number("PixelRepresentation", "US", "H", 1),
        write.number("SmallestImagePixelValue", "SS", "h", -number),
        write.sequence("RequestAttributesSequence", write.item(step, is_defined=is_defined), is_defined=is_defined),
        write.element("PixelData", "OW", bytes([number]) * pixel_bytes),
    ]
    return packed(b"".join(content), syntax)


EDITS = [
    put("PatientName", "New^Name"),
    put("StationName", "X1"),
    removed("ImageComments"),
    put("RequestAttributesSequence[0].ScheduledProcedureStepID", "NEW"),
    put("(0019,[ACME],01)", "Z"),
    put("SmallestImagePixelValue", "-3"),
]
ALONE = [[one] for one in EDITS]


def edited(data: bytes, syntax: str, edits: Sequence[Edit], fit: HeaderFit | None) -> object:
    """The edited data set, or the error."""
    try:
        return b"".join(splice(memoryview(data), syntax, edits, fit))
    except GatewayError as error:
        return type(error), str(error)


STRICT = pytest.mark.parametrize("is_strict", [False, True], ids=["tolerant", "strict"])


@SHAPES
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_mutated_objects_are_edited_as_by_the_walk(syntax: str, *, is_defined: bool) -> None:
    chance, known, fitted = random.Random(3), KnownHeaders(), 0
    for number in range(120):
        data = image(syntax, number % 12, is_defined=is_defined)
        if number > 5 and number % 3:
            data = mutated(data, encodings_of(syntax)[0], chance)
        fit = known.fitting(memoryview(data), len(data))
        fitted += fit is not None
        if fit is None:
            outcome(data, syntax, known)
            continue
        for edits in (*ALONE, EDITS, EDITS[:3]):
            assert edited(data, syntax, edits, fit) == edited(data, syntax, edits, None)
    assert fitted > 30


@STRICT
@SHAPES
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("pixel_bytes", [300, 40_000], ids=["read-at-once", "read-in-steps"])
def test_mutated_objects_are_read_as_by_the_walk(
    syntax: str, pixel_bytes: int, *, is_defined: bool, is_strict: bool
) -> None:
    chance, known, fitted = random.Random(1), KnownHeaders(), 0
    encoding = encodings_of(syntax)[0]
    for number in range(250):
        data = image(syntax, number % 12, is_defined=is_defined, pixel_bytes=pixel_bytes)
        if number > 5 and number % 5:
            data = mutated(data, encoding, chance)
        fitted += known.fitting(memoryview(data), len(data)) is not None
        assert outcome(data, syntax, known, is_strict=is_strict) == outcome(data, syntax, None, is_strict=is_strict)
    assert fitted > 50


SMALL = [part for part in REAL if len(part.data_set) < 200_000]


@pytest.mark.parametrize("part", SMALL, ids=[f"{index}-{part.path.name}" for index, part in enumerate(SMALL)])
def test_real_objects_and_mutated_ones(part: Part10) -> None:
    chance, known, syntax = random.Random(2), KnownHeaders(), part.transfer_syntax_uid
    encoding = encodings_of(syntax)[0]
    for number in range(24):
        data = part.data_set if number < 3 or number % 4 == 0 else mutated(part.data_set, encoding, chance)
        assert outcome(data, syntax, known) == outcome(data, syntax, None)


@pytest.mark.parametrize("part", SMALL, ids=[f"{index}-{part.path.name}" for index, part in enumerate(SMALL)])
def test_the_first_piece_says_nothing_else_than_all_of_them(part: Part10) -> None:
    """Real objects and mutated ones, with a long last element, cut wherever."""
    chance, known, syntax = random.Random(3), KnownHeaders(), part.transfer_syntax_uid
    if syntax == DEFLATED:
        return
    encoding = encodings_of(syntax)[0]
    wanted = WantedElements(paths("SOPInstanceUID", "PatientID", "PatientName", "ReferencedImageSequence[0].Rows"))
    for number in range(16):
        data = part.data_set if number < 3 or number % 3 else mutated(part.data_set, encoding, chance)
        padding = bytes(SLICE_BYTES + 2 * chance.randrange(3))
        data += Write(encoding).element(0xFFFCFFFC, "OB", padding)
        cut = chance.randrange(len(data)) if number % 2 else len(data) - chance.randrange(SLICE_BYTES)
        body = InMemoryDataSet([data[:cut], data[cut:]])
        of_body = scanning_body(body, syntax, wanted, known=known)
        assert outcome_of(of_body) == outcome_of(scanning(memoryview(data), syntax, wanted))


def test_where_the_first_piece_says_enough_the_others_are_not_looked_at() -> None:
    known, wanted = KnownHeaders(), WantedElements(paths("SOPInstanceUID", "ReferencedImageSequence[0].Rows"))
    joined = []
    for number in range(8):
        data = image(EXPLICIT, number, is_defined=True, pixel_bytes=2 * SLICE_BYTES)
        body = InMemoryDataSet([data[:-1000], data[-1000:]])
        scanned = at_once(scanning_body(body, EXPLICIT, wanted, known=known))
        assert outcome_of(scanning(memoryview(data), EXPLICIT, wanted)) == (parts(scanned.level), {})
        joined.append(len(list(body.chunks(len(data)))) == 1)
    assert joined[0]
    assert joined[-4:] == [False] * 4, "the headers are known by now"
    assert scanned.fit is not None
    last = WantedElements(paths("SOPInstanceUID", "PixelData"))
    whole = at_once(scanning_body(body, EXPLICIT, last, known=known))
    assert outcome_of(scanning(memoryview(data), EXPLICIT, last)) == (parts(whole.level), {})


def test_most_real_objects_fit_what_was_learned_of_them() -> None:
    fitted = 0
    for part in SMALL:
        known = KnownHeaders()
        for _ in range(2):
            outcome(part.data_set, part.transfer_syntax_uid, known)
        fitted += known.fitting(memoryview(part.data_set), len(part.data_set)) is not None
    assert fitted > 0.8 * len(SMALL)


def test_values_are_those_of_the_new_object() -> None:
    known = KnownHeaders()
    for number in range(8):
        data = image(EXPLICIT, number, is_defined=True)
        scanned = at_once(scanning(memoryview(data), EXPLICIT, WANTED, known=known))
        found = [scanned.values(path) for path in paths("SOPInstanceUID", "SmallestImagePixelValue", "PatientID")]
        assert found == [(f"1.2.3.{number}",), (str(-number),), (f"P{number // 3}",)]


def test_the_first_object_of_a_kind_leaves_nothing_behind() -> None:
    known, data = KnownHeaders(), image(EXPLICIT, 1, is_defined=True)
    outcome(data, EXPLICIT, known)
    assert known.fitting(memoryview(data), len(data)) is None
    outcome(data, EXPLICIT, known)
    assert known.fitting(memoryview(data), len(data)) is not None


def test_deflated_objects_leave_nothing_behind() -> None:
    known, data = KnownHeaders(), image(DEFLATED, 1, is_defined=True)
    for _ in range(3):
        assert outcome(data, DEFLATED, known) == outcome(data, DEFLATED, None)
    assert known.fitting(memoryview(data), len(data)) is None


def test_what_is_only_tolerated_leaves_nothing_behind() -> None:
    known, data = KnownHeaders(), image(IMPLICIT, 1, is_defined=True)
    for _ in range(3):
        outcome(data, EXPLICIT, known)  # called explicit, and is not
    assert known.fitting(memoryview(data), len(data)) is None


def test_two_sorts_by_turns_fit_both() -> None:
    known = KnownHeaders()
    sorts = [image(EXPLICIT, 1, is_defined=True), Write(ENCODINGS[EXPLICIT]).element("PatientID", "LO", "X")]
    for data in sorts * 3:
        outcome(data, EXPLICIT, known)
    assert all(known.fitting(memoryview(data), len(data)) is not None for data in sorts)


def test_objects_that_are_always_others_are_seldom_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def count(*args: object) -> None:
        nonlocal made
        made += 1

    monkeypatch.setattr("gateway.dataset.header_memory.pattern_of", count)
    known = KnownHeaders()
    for number in range(LEARNING_COSTS * 10):
        outcome(Write(ENCODINGS[EXPLICIT]).element(0x00090010 + number, "LO", "X"), EXPLICIT, known)
    assert made <= MOST_CREDIT / LEARNING_COSTS + 10


def test_memory_is_bounded_in_bytes() -> None:
    """Whatever is sent: the most elements with the longest values that are compared, and always other ones."""
    write, known = Write(ENCODINGS[EXPLICIT]), KnownHeaders()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(MOST_PATTERNS + 2):
            tags = range(0x00110000 + number, 0x00110000 + number + MOST_HEADERS)
            data = b"".join(write.element(tag, "LO", "x" * MOST_COMPARED_BYTES) for tag in tags)
            known.learn(memoryview(data), EXPLICIT_LITTLE)
            known.learn(memoryview(data), EXPLICIT_LITTLE)
        del data
        assert tracemalloc.get_traced_memory()[0] - before < MOST_PATTERNS * MOST_HEADERS * 300
    finally:
        tracemalloc.stop()
    assert len(known._patterns) == MOST_PATTERNS


def test_the_kinds_that_came_last_are_kept() -> None:
    memory = HeaderMemory(most=2)
    first = memory.of("A", "1.2", EXPLICIT)
    second = memory.of("A", "1.2", IMPLICIT)
    assert memory.of("A", "1.2", EXPLICIT) is first
    memory.of("B", "1.2", EXPLICIT)
    assert memory.of("A", "1.2", EXPLICIT) is first
    assert memory.of("A", "1.2", IMPLICIT) is not second
