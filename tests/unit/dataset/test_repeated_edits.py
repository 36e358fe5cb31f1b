"""Edits that come again and again give the bytes that they give when they are made anew, whatever the data sets are."""

from __future__ import annotations

import contextlib
import random

import pytest

from gateway.dataset.encoding import encodings_of
from gateway.dataset.header_memory import KnownHeaders
from gateway.dataset.header_pattern import HeaderFit
from gateway.dataset.repeated_edits import MOST_BYTES, NOTHING, repeated
from gateway.dataset.scan import at_once, scanning
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.ports.edits import Edit
from gateway.ports.errors import GatewayError
from tests.support.corpus import Part10
from tests.support.data_set_mutation import mutated
from tests.support.data_set_writer import (
    BIG,
    DEFLATED,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    REAL,
    Write,
    emptied,
    paths,
    put,
    removed,
)
from tests.support.splicing import SYNTAXES

WANTED = WantedElements(paths("SOPInstanceUID"))
ROUNDS = 10


class Editing:
    """Data sets of one kind, edited with the remembered headers and without them."""

    def __init__(self, syntax: str) -> None:
        self.syntax = syntax
        self.known = KnownHeaders()
        self.repeated = 0
        """How often edits that were known were not made anew."""
        self.repeated_in_pieces = 0

    def check(self, data: bytes, edits: tuple[Edit, ...]) -> None:
        """Both ways give the same bytes, or the same error."""
        fit = None
        with contextlib.suppress(GatewayError):
            fit = at_once(scanning(memoryview(data), self.syntax, WANTED, known=self.known)).fit
        made, elements = (fit is not None and fit.pattern.repeated) or NOTHING
        self.repeated += made == edits and bool(elements)
        pieces: list[object] = []
        for way in (fit, None):
            try:
                pieces.append(b"".join(splice(memoryview(data), self.syntax, edits, way)))
            except GatewayError as error:
                pieces.append((type(error), str(error)))
        assert pieces[0] == pieces[1]
        if fit is not None:
            self.check_in_pieces(memoryview(data), edits, fit, pieces[1])

    def check_in_pieces(self, view: memoryview, edits: tuple[Edit, ...], fit: HeaderFit, edited: object) -> None:
        """Wherever the first piece ends: the same bytes, or none where an element to be replaced does not lie in it."""
        for cut in (0, len(view) // 2, len(view) - 100, len(view)):
            same = repeated(view[:cut], edits, fit, [view[cut:]])
            assert same is None or b"".join(same) == edited
            self.repeated_in_pieces += same is not None


def image(syntax: str, number: int, *, charset: str = "ISO_IR 100", signed: int = 1, group_length: int = 0) -> bytes:
    """One of a series; `group_length` for group 0008, where there is one."""
    write = Write(ENCODINGS[syntax])
    return b"".join(
        [
            write.number(0x00080000, "UL", "L", group_length) if group_length else b"",
            write.element("SpecificCharacterSet", "CS", charset),
            write.element("SOPInstanceUID", "UI", f"1.2.3.{number}"),
            write.element("InstitutionName", "LO", "A" * (number % 4)),
            write.element("PatientID", "LO", f"P{number}"),
            write.element(0x00190010, "LO", "ACME"),
            write.element(0x00191001, "LO", f"{number}"),
            write.element("StudyInstanceUID", "UI", "1.2.3"),
            write.sequence("ReferencedImageSequence", write.item(write.element("PatientID", "LO", f"{number}"))),
            write.number("PixelRepresentation", "US", "H", signed),
            write.number("SmallestImagePixelValue", "SS", "h", -number),
            write.element("PixelData", "OW", bytes([number]) * 300),
        ]
    )


REPEATED = {
    "one of varying length": (put("InstitutionName", "Nörd"),),
    "one of the same length": (put("StudyInstanceUID", "1.2.4"),),
    "a new one": (put("StationName", "CT1"),),
    "the first and one before the pixels": (put("InstanceCreationDate", "20260101"), put("PixelDataProviderURL", "x")),
    "several, in no order": (
        put("PatientID", "X"),
        put("InstitutionName", ""),
        put("PatientName", "Doe^Jané"),
        put("Rows", "1"),
    ),
    "empty ones": (put("InstitutionName"), put("PatientName")),
    "an SS or US": (put("SmallestImagePixelValue", "-7"),),
}


@SYNTAXES
@pytest.mark.parametrize("edits", REPEATED.values(), ids=REPEATED)
def test_constant_edits_are_repeated(syntax: str, edits: tuple[Edit, ...]) -> None:
    editing = Editing(syntax)
    for number in range(ROUNDS):
        editing.check(image(syntax, number), edits)
    assert (editing.repeated > 0) is (editing.repeated_in_pieces > editing.repeated) is (syntax != DEFLATED)


ANEW = {
    "a private one": (put("(0019,[ACME],01)", "Z"),),
    "a private one by its tag": (put("00191001", "Z"),),
    "one in a sequence": (put("ReferencedImageSequence[0].PatientID", "NEW"),),
    "where it is there": (emptied("PatientID"),),
    "removed": (removed("InstitutionName"), put("StationName", "CT1")),
    "the character set": (put("SpecificCharacterSet", "ISO_IR 192"), put("PatientName", "Doe^Jané")),
    "more than is remembered": (put("ImageComments", "x" * MOST_BYTES),),
    "twice": (put("PatientID", "X"), put("PatientID", "Y")),
}


@pytest.mark.parametrize("edits", ANEW.values(), ids=ANEW)
def test_others_are_made_anew(edits: tuple[Edit, ...]) -> None:
    editing = Editing(EXPLICIT)
    for number in range(ROUNDS):
        editing.check(image(EXPLICIT, number), edits)
    assert editing.repeated == 0


def test_what_an_element_is_encoded_by_is_looked_at() -> None:
    for edits in ((put("PatientName", "Doe^Jané"),), (put("SmallestImagePixelValue", "40000"),)):
        editing = Editing(EXPLICIT)
        for number in range(4 * ROUNDS):
            charset, signed = ("ISO_IR 100", "ISO_IR 192", "ISO_IR 144")[number // 5 % 3], number // 3 % 2
            editing.check(image(EXPLICIT, number, charset=charset, signed=signed), edits)


def test_lengths_of_groups_follow() -> None:
    editing, edits = Editing(EXPLICIT), (put("InstitutionName", "North Hospital"),)
    for number in range(ROUNDS):
        editing.check(image(EXPLICIT, number, group_length=1000), edits)
    assert editing.repeated == 0
    for number in range(ROUNDS):
        editing.check(image(EXPLICIT, number, group_length=1000), (put("PatientID", "X"),))
    assert editing.repeated > 0, "another group has no length"


def test_edits_that_change_are_not_taken_for_others() -> None:
    editing = Editing(EXPLICIT)
    for number in range(4 * ROUNDS):
        editing.check(image(EXPLICIT, number), (put("InstitutionName", f"N{number // 4 % 3}"),))
    assert 0 < editing.repeated < 3 * ROUNDS


TOP = (
    "InstitutionName",
    "PatientName",
    "PatientID",
    "StationName",
    "Rows",
    "SeriesNumber",
    "ImageComments",
    "Modality",
)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_real_objects_and_mutated_ones(syntax: str) -> None:
    chance = random.Random(4)

    def check_all(part: Part10) -> int:
        editing = Editing(syntax)
        edits = tuple(put(keyword, str(chance.randrange(99))) for keyword in chance.sample(TOP, 3))
        for number in range(8):
            is_changed = number > 3 and number % 2
            editing.check(
                mutated(part.data_set, encodings_of(syntax)[0], chance) if is_changed else part.data_set, edits
            )
        return editing.repeated

    small = [part for part in REAL if part.transfer_syntax_uid == syntax and len(part.data_set) < 100_000]
    counts = [check_all(part) for part in small]
    assert small
    assert sum(map(bool, counts)) >= len(small) // 3
