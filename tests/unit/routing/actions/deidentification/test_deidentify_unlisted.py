"""Attributes that Table E.1-1 does not name: what identifies by its VR goes as well, and references still meet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag

from gateway.routing.actions.pseudonym import NOT_OF_INSTANCES
from gateway.routing.language.pseudonym import hashed_uid, shifted
from tests.support.data_set_writer import ENCODINGS, Write
from tests.support.deidentify import ENCODABLE, EXPLICIT, IMPLICIT, KEY, action, decode, deidentified, encode

VALUES = {"PN": "Doe^Jane", "UI": "1.2.826.77", "DA": "20200229", "DT": "20200229101112", "TM": "101112"}
LISTED = {tag for _row, tag in ENCODABLE}
UNLISTED = {
    tag: row[0] for tag, row in DicomDictionary.items() if row[0] in VALUES and tag >> 16 > 8 and tag not in LISTED
}
UNKNOWN = 0x00101234
"""A tag that no dictionary has."""


def before() -> Dataset:
    """Every one of them, and an unknown one, at the top and in a sequence that no row names."""
    top, inner = Dataset(), Dataset()
    for level in (top, inner):
        for tag, vr in UNLISTED.items():
            level.add_new(tag, vr, VALUES[vr])
        level.add_new(UNKNOWN, "LO", "Doe")
        level.SliceThickness = "1.5"
    top.SharedFunctionalGroupsSequence = [inner]
    top.PatientID = "42"
    return top


def after(*options: str, syntax: str = EXPLICIT) -> Sequence[Dataset]:
    chosen = {"options": list(options)} if options else {}
    raw = deidentified(encode(before(), syntax), action(**chosen), transfer_syntax_uid=syntax)
    top = decode(raw, syntax)
    return top, top.SharedFunctionalGroupsSequence[0]


def of_vr(level: Dataset, *vrs: str) -> list[str]:
    """Keywords of the unlisted attributes of these VRs that are there."""
    return [keyword_for_tag(tag) for tag, vr in UNLISTED.items() if vr in vrs and tag in level]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_names_and_dates_go(syntax: str) -> None:
    for level in after(syntax=syntax):
        assert of_vr(level, "PN", "DA", "DT", "TM") == []
        assert level.SliceThickness == 1.5


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_what_nobody_knows_goes(syntax: str) -> None:
    assert [UNKNOWN in level for level in after(syntax=syntax)] == [False, False]


def test_uids_of_instances_become_what_listed_ones_become() -> None:
    for level in after():
        for tag, vr in UNLISTED.items():
            if vr == "UI":
                expected = VALUES["UI"] if tag in NOT_OF_INSTANCES else hashed_uid(KEY, VALUES["UI"])
                assert level[tag].value == expected, keyword_for_tag(tag)
        assert level.TargetFrameOfReferenceUID == hashed_uid(KEY, VALUES["UI"])


def test_uids_stay_with_their_option() -> None:
    for level in after("retain-uids"):
        assert {level[tag].value for tag, vr in UNLISTED.items() if vr == "UI"} == {VALUES["UI"]}


def test_dates_stay_with_full_dates() -> None:
    for level in after("retain-longitudinal-full"):
        assert {level[tag].value for tag, vr in UNLISTED.items() if vr == "DA"} == {VALUES["DA"]}


def test_dates_move_with_modified_dates() -> None:
    raw = deidentified(encode(before()), action(options=["retain-longitudinal-modified"], shift_days=[-7, -7]))
    top = decode(raw)
    for level in (top, top.SharedFunctionalGroupsSequence[0]):
        found = {level[tag].value for tag, vr in UNLISTED.items() if vr in ("DA", "DT")}
        assert found == {shifted(VALUES["DA"], "DA", -7), shifted(VALUES["DT"], "DT", -7)}


def test_the_site_may_keep_one() -> None:
    (name,) = [keyword_for_tag(tag) for tag in UNLISTED if keyword_for_tag(tag) == "EvaluatorName"]
    top = decode(deidentified(encode(before()), action(keep=[name])))
    assert top[name].value == VALUES["PN"]
    assert "SecondaryReviewerName" not in top


WRITE = Write(ENCODINGS[EXPLICIT])
NAMES = WRITE.item(WRITE.element("PatientName", "PN", "Doe^Jane"))
FRAMES = "SharedFunctionalGroupsSequence"
DISGUISED = {
    "sequence as bytes": WRITE.element(FRAMES, "OB", NAMES),
    "sequence as text": WRITE.element("AnatomicRegionSequence", "LO", "Doe"),
    "number as text": WRITE.element("Rows", "LT", "of Jane Doe"),
    "code as text": WRITE.element("ScanningSequence", "UT", "of Jane Doe"),
    "number as sequence": WRITE.sequence("SliceThickness", NAMES),
    "file meta": WRITE.element(0x00020016, "AE", "DOE"),
    "directory": WRITE.element(0x00041130, "CS", "DOE"),
    "sequence of unknown VR": WRITE.element(FRAMES, "UN", Write(ENCODINGS[IMPLICIT]).item(b"\x10\0\x10\0\4\0\0\0Doe ")),
}


@pytest.mark.parametrize("element", DISGUISED.values(), ids=DISGUISED)
@pytest.mark.parametrize("is_inside", [False, True], ids=["top", "inside"])
def test_nothing_hides_behind_another_vr(element: bytes, *, is_inside: bool) -> None:
    raw = WRITE.sequence("XRay3DFrameTypeSequence", WRITE.item(element)) if is_inside else element
    after = deidentified(raw, action(options=["retain-safe-private", "clean-descriptors", "retain-device"]))
    assert b"doe" not in after.lower()


def test_other_vrs_of_the_same_sort_stay() -> None:
    raw = WRITE.element("ScanningSequence", "CS", "SE") + WRITE.element("SequenceName", "LO", "fl3d")
    assert raw in deidentified(raw, action())
