"""Original Attributes Sequence: what the changes before it changed, as pydicom reads it."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from datetime import UTC, datetime

import pydicom
import pytest
from pydicom.filereader import read_dataset

from gateway.dataset.encoding import Encoding
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.ports.edits import Alteration, Edit, OriginalAttributes, Recode
from tests.support.corpus import Part10
from tests.support.data_set_writer import (
    ENCODINGS,
    EXPLICIT,
    REAL,
    REAL_NAMES,
    Write,
    emptied,
    packed,
    put,
    removed,
    unpacked,
)
from tests.support.splicing import SYNTAXES, spliced

AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
RECORD = OriginalAttributes("COERCE", "GATEWAY", "CT1", AT)
SEQUENCE = 0x00400275


def read_after(data: bytes, syntax: str, *changes: Alteration) -> pydicom.Dataset:
    after = spliced(data, syntax, *changes)
    encoding = scan(memoryview(data), syntax, WantedElements(())).encoding
    return read(unpacked(after, syntax), encoding)


def read(plain: bytes, encoding: Encoding) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = read_dataset(io.BytesIO(plain), encoding.is_implicit, not encoding.is_big_endian)
        data_set.decode()
        return data_set


def object_in(syntax: str) -> bytes:
    write = Write(ENCODINGS[syntax])
    item = write.item(write.element(0x00080050, "SH", "ACC") + write.element(0x00400009, "SH", "STEP"))
    return packed(
        write.element("Modality", "CS", "MR")
        + write.element("InstitutionName", "LO", "South")
        + write.element("PatientName", "PN", "A^B")
        + write.element("PatientID", "LO", "42")
        + write.sequence(SEQUENCE, item),
        syntax,
    )


def since(count: int) -> OriginalAttributes:
    return replace(RECORD, since=count)


@SYNTAXES
def test_an_item_lists_what_was_replaced_removed_and_added(syntax: str) -> None:
    edits = [put("InstitutionName", "North"), removed("PatientID"), put("StudyID", "new"), put("Modality", "MR")]
    after = read_after(object_in(syntax), syntax, *edits, since(4))
    (item,) = after.OriginalAttributesSequence
    assert item.AttributeModificationDateTime == "20260304050607.000089+0000"
    assert (item.ModifyingSystem, item.SourceOfPreviousValues) == ("GATEWAY", "CT1")
    assert item.ReasonForTheAttributeModification == "COERCE"
    (previous,) = item.ModifiedAttributesSequence
    assert [(element.keyword, element.value) for element in previous] == [
        ("InstitutionName", "South"),
        ("PatientID", "42"),
        ("StudyID", ""),
    ]
    assert (after.InstitutionName, after.StudyID) == ("North", "new")


@SYNTAXES
def test_a_change_inside_a_sequence_keeps_the_whole_sequence(syntax: str) -> None:
    after = read_after(object_in(syntax), syntax, put("RequestAttributesSequence[0].AccessionNumber", "NEW"), since(1))
    previous = after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert [element.keyword for element in previous] == ["RequestAttributesSequence"]
    kept = previous.RequestAttributesSequence[0]
    assert (kept.AccessionNumber, kept.ScheduledProcedureStepID) == ("ACC", "STEP")
    assert after.RequestAttributesSequence[0].AccessionNumber == "NEW"


NOTHING: dict[str, list[Alteration]] = {
    "no-changes": [],
    "the-same-value": [put("PatientID", "42")],
    "nothing-there": [removed("StudyID"), emptied("StudyID")],
    "there-and-back": [put("PatientID", "43"), put("PatientID", "42")],
}


@pytest.mark.parametrize("changes", NOTHING.values(), ids=NOTHING)
def test_without_a_change_there_is_no_item(changes: list[Alteration]) -> None:
    data = object_in(EXPLICIT)
    assert spliced(data, EXPLICIT, *changes, since(len(changes))) == data


@SYNTAXES
def test_items_that_are_there_stay(syntax: str) -> None:
    write = Write(ENCODINGS[syntax])
    for is_defined in (True, False):
        first = write.item(write.element(0x04000563, "LO", "EARLIER"), is_defined=is_defined)
        data = unpacked(object_in(syntax), syntax) + write.sequence(0x04000561, first, is_defined=is_defined)
        after = read_after(packed(data, syntax), syntax, put("PatientID", "43"), since(1))
        assert [item.ModifyingSystem for item in after.OriginalAttributesSequence] == ["EARLIER", "GATEWAY"]


def test_it_looks_back_no_further_than_its_limit() -> None:
    edits: list[Alteration] = [put("InstitutionName", "North"), put("PatientID", "43"), since(1)]
    edits += [put("Modality", "CT"), since(1)]
    after = read_after(object_in(EXPLICIT), EXPLICIT, *edits)
    told = [list(item.ModifiedAttributesSequence[0].keys()) for item in after.OriginalAttributesSequence]
    assert told == [[0x00100020], [0x00080060]]


def test_private_elements_come_with_their_creator() -> None:
    write = Write(ENCODINGS[EXPLICIT])
    data = write.element(0x00090010, "LO", "ACME") + write.element(0x00091001, "LO", "old")
    path = put("00091001", "new").path
    after = read_after(data, EXPLICIT, Edit(path, None), since(1))
    previous = after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert [(int(e.tag), e.value) for e in previous] == [(0x00090010, "ACME"), (0x00091001, "old")]


def test_a_value_that_its_vr_forbids_is_kept_as_bytes() -> None:
    """PS3.3 §C.12.1.1.9: such a value has zero length in Modified Attributes Sequence."""
    data = Write(ENCODINGS[EXPLICIT]).element("StudyDate", "DA", "yesterday!")
    after = read_after(data, EXPLICIT, put("StudyDate", "20260101"), since(1))
    (item,) = after.OriginalAttributesSequence
    assert item.ModifiedAttributesSequence[0]["StudyDate"].is_empty
    (told,) = item[0x04000551].value
    assert (int(told[0x00720026].value), told[0x04000552].value) == (0x00080020, b"yesterday!")


def test_previous_text_keeps_its_character_set() -> None:
    write = Write(ENCODINGS[EXPLICIT])
    data = write.element("SpecificCharacterSet", "CS", "ISO_IR 100") + write.element("PatientName", "PN", b"M\xfcller")
    after = read_after(data, EXPLICIT, Recode(("ISO_IR 192",)), since(1))
    previous = after.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert (previous.SpecificCharacterSet, str(previous.PatientName)) == ("ISO_IR 100", "Müller")
    assert (after.SpecificCharacterSet, str(after.PatientName)) == ("ISO_IR 192", "Müller")


@pytest.mark.parametrize("part", REAL, ids=REAL_NAMES)
def test_what_is_recorded_of_real_objects_is_what_they_held(part: Part10) -> None:
    if part.path.name == "DICOMDIR-nooffset":
        return
    syntax = part.transfer_syntax_uid
    encoding = scan(memoryview(part.data_set), syntax, WantedElements(())).encoding
    before = read(unpacked(part.data_set, syntax), encoding)
    edits = [put("PatientID", "RECORDED"), put("Modality", "OT"), removed("StudyDescription")]
    after = read_after(part.data_set, syntax, *edits, since(3))
    previous = after.OriginalAttributesSequence[-1].ModifiedAttributesSequence[0]
    expected = {
        name: before.get(name) for name in ("PatientID", "Modality", "StudyDescription") if before.get(name) is not None
    }
    found = {name: previous.get(name) for name in expected if name in previous}
    assert {name: value or "" for name, value in found.items()} == {
        name: value or "" for name, value in expected.items() if after.get(name) != value
    }
