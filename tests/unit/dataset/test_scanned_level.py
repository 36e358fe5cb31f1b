"""What is wanted of a level, and the values that were read of it."""

import pytest

from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from gateway.dataset.scanned_level import Level, WantedElements, needed_by, wanted
from tests.support.data_set_writer import paths

CHARACTER_SET, PATIENT_NAME, PIXEL_REPRESENTATION = 0x00080005, 0x00100010, 0x00280103
STUDY, SMALLEST, REFERENCED = 0x0020000D, 0x00280106, 0x00081140


@pytest.mark.parametrize(
    ("tag", "needed"),
    [
        (PATIENT_NAME, {CHARACTER_SET}),
        (SMALLEST, {CHARACTER_SET, PIXEL_REPRESENTATION}),
        (0x00091001, {CHARACTER_SET, 0x00090010}),
        (0x000910FF, {CHARACTER_SET, 0x00090010}),
        (0x00090010, {CHARACTER_SET}),
    ],
)
def test_what_a_value_is_not_read_without(tag: int, needed: set[int]) -> None:
    assert needed_by([tag]) == needed


def test_what_is_wanted_of_each_level() -> None:
    compiled = WantedElements(
        paths("PatientName", "ReferencedImageSequence[1].SOPInstanceUID", "ReferencedImageSequence[3].SOPClassUID")
    )
    assert compiled.attributes == {PATIENT_NAME}
    assert set(compiled.inner) == set(compiled.last_item) == {REFERENCED}
    below = compiled.inner[REFERENCED]
    assert below.attributes == {0x00080018, 0x00080016}
    selection = compiled.selection.raw(is_big_endian=True)
    assert {PATIENT_NAME, REFERENCED, CHARACTER_SET, 0x00020010} <= selection
    assert STUDY not in selection


def test_equal_paths_are_compiled_once() -> None:
    assert wanted(paths("PatientID")) is wanted(paths("PatientID"))


def level(**raw: tuple[int, str, bytes]) -> Level:
    made = Level(EXPLICIT_LITTLE)
    for tag, vr, value in raw.values():
        made.add(tag, vr, value)
    return made


def test_text_is_made_with_the_character_set_of_the_level() -> None:
    made = level(charset=(CHARACTER_SET, "CS", b"ISO_IR 192"), name=(PATIENT_NAME, "PN", "Müller".encode()))
    assert made.text(PATIENT_NAME) == ("Müller",)
    assert made.text(STUDY) is None


def test_an_item_without_a_character_set_has_that_of_its_data_set() -> None:
    parent = level(charset=(CHARACTER_SET, "CS", b"ISO_IR 100"))
    item = Level(EXPLICIT_LITTLE, parent)
    item.add(PATIENT_NAME, "PN", b"M\xfcller")
    assert item.text(PATIENT_NAME) == ("Müller",)


def test_the_first_of_two_elements_counts() -> None:
    made = level(one=(PATIENT_NAME, "PN", b"ONE "), two=(PATIENT_NAME, "PN", b"TWO "))
    assert made.text(PATIENT_NAME) == ("ONE",)


def test_what_was_put_is_read_and_what_was_scanned_stays_known() -> None:
    made = level(name=(PATIENT_NAME, "PN", b"ONE "), study=(STUDY, "UI", b"1.2\0"))
    before = made.copy()
    made.put(PATIENT_NAME, ("TWO",))
    made.put(STUDY, None)
    assert (made.text(PATIENT_NAME), made.text(STUDY)) == (("TWO",), None)
    assert made.given([PATIENT_NAME, STUDY, CHARACTER_SET]) == {PATIENT_NAME: ("TWO",), STUDY: None}
    assert made.written([PATIENT_NAME, STUDY]) == (("TWO",), None)
    assert (before.text(PATIENT_NAME), before.text(STUDY)) == (("ONE",), ("1.2",))
    assert before.written([PATIENT_NAME, STUDY]) == (("PN", b"ONE "), ("UI", b"1.2\0"))


@pytest.mark.parametrize(("representation", "expected"), [(b"\0\0", ("65535",)), (b"\1\0", ("-1",))])
def test_pixel_representation_decides_the_sign(representation: bytes, expected: tuple[str, ...]) -> None:
    made = Level(IMPLICIT_LITTLE)
    made.add(PIXEL_REPRESENTATION, "", representation)
    made.add(SMALLEST, "", b"\xff\xff")
    assert made.text(SMALLEST) == expected
