"""The action: what it sets, what the site may say, what it refuses; problems in its settings."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from gateway.ports.errors import Refusal
from gateway.routing.language.kinds import build_actions
from gateway.routing.language.resources import FileResources
from tests.support.deidentify import KEY, action, decode, deidentified, encode, facts_of


def image(**attributes: Any) -> Dataset:
    data_set = Dataset()
    data_set.SOPClassUID = CTImageStorage
    data_set.SOPInstanceUID = "1.2.3"
    data_set.StudyInstanceUID = "1.2.4"
    data_set.PatientName = "Doe^Jane"
    data_set.PatientID = "4711"
    data_set.PatientSex = "F"
    data_set.PatientAge = "044Y"
    data_set.StudyDate = "20200102"
    data_set.StudyID = "17"
    data_set.Modality = "US"
    data_set.Manufacturer = "Acme"
    data_set.ManufacturerModelName = "Sono 1"
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.Rows, data_set.Columns = 4, 6
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 8, 8, 7, 0
    data_set.PixelData = bytes(range(1, 25))
    for keyword, value in attributes.items():
        setattr(data_set, keyword, value)
    return data_set


def after(data_set: Dataset, /, **settings: Any) -> Dataset:
    encoded = encode(data_set)
    return decode(deidentified(encoded, action(**settings), sop_class_uid=data_set.get("SOPClassUID", CTImageStorage)))


# --- what it says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "codes", "temporal"),
    [
        ([], ["113100"], "REMOVED"),
        (["retain-longitudinal-full"], ["113100", "113106"], "UNMODIFIED"),
        (["retain-longitudinal-modified", "retain-device"], ["113100", "113107", "113109"], "MODIFIED"),
        (["clean-graphics", "clean-descriptors", "retain-uids"], ["113100", "113103", "113105", "113110"], "REMOVED"),
    ],
)
def test_the_object_says_what_was_done(options: list[str], codes: list[str], temporal: str) -> None:
    result = after(image(), **({"options": options} if options else {}))

    assert result.PatientIdentityRemoved == "YES"
    assert result.DeidentificationMethod == "PS3.15 2026c Basic Profile"
    assert [code.CodeValue for code in result.DeidentificationMethodCodeSequence] == codes
    assert {code.CodingSchemeDesignator for code in result.DeidentificationMethodCodeSequence} == {"DCM"}
    assert all(code.CodeMeaning for code in result.DeidentificationMethodCodeSequence)
    assert result.LongitudinalTemporalInformationModified == temporal


def test_an_earlier_deidentification_stays_recorded() -> None:
    earlier = Dataset()
    earlier.CodeValue, earlier.CodingSchemeDesignator, earlier.CodeMeaning = "1", "99SITE", "By hand"
    before = image(DeidentificationMethod=["By hand", "Twice"], DeidentificationMethodCodeSequence=[earlier])

    once = after(before)
    twice = after(once, options=["retain-uids"])

    assert list(once.DeidentificationMethod) == ["By hand", "Twice", "PS3.15 2026c Basic Profile"]
    assert [code.CodeValue for code in once.DeidentificationMethodCodeSequence] == ["1", "113100"]
    assert twice.DeidentificationMethod == once.DeidentificationMethod
    assert [code.CodeValue for code in twice.DeidentificationMethodCodeSequence] == ["1", "113100", "113110"]


def test_the_iod_decides_where_the_table_leaves_a_choice() -> None:
    attributes = {"DeviceSerialNumber": "S1", "ContentDate": "20200102", "ProtocolName": "Thorax"}

    ct = after(image(**attributes))
    enhanced = after(image(**attributes, SOPClassUID=EnhancedCTImageStorage))

    assert "DeviceSerialNumber" not in ct  # Type 3
    assert enhanced.DeviceSerialNumber == "ANONYMIZED"  # Type 1
    assert ct.ContentDate == ""  # Type 2C
    assert enhanced.ContentDate == "19000101"  # Type 1
    assert ct.PatientName == enhanced.PatientName == ""  # Type 2


# --- keys, UIDs, dates ------------------------------------------------------------------------------------------


def test_another_key_makes_other_uids() -> None:
    encoded = encode(image())
    config = [{"deidentify": {"key": "other"}}]
    (other,) = build_actions(config, lambda *problem: pytest.fail(str(problem)), FileResources({"other": b"x" * 32}))

    ours, theirs = decode(deidentified(encoded, action())), decode(deidentified(encoded, other))

    assert ours.SOPInstanceUID != theirs.SOPInstanceUID


def test_facts_know_the_new_identity() -> None:
    deidentify = action()
    facts = facts_of(encode(image()), deidentify, CTImageStorage, "1.2.3", ExplicitVRLittleEndian)

    edited = facts.edited(tuple(deidentify.edits(facts)))

    assert edited.sop_instance_uid == after(image()).SOPInstanceUID != "1.2.3"
    assert edited.study_instance_uid == after(image()).StudyInstanceUID


def test_well_known_uids_stay() -> None:
    assert after(image(FrameOfReferenceUID="1.2.840.10008.1.4.1.1")).FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"
    assert after(image(FrameOfReferenceUID="1.2.3.4")).FrameOfReferenceUID.startswith("2.25.")


def test_dates_of_a_patient_move_together_and_those_of_another_do_not() -> None:
    def study_date(patient_id: str) -> str:
        before = image(PatientID=patient_id)
        return str(after(before, options=["retain-longitudinal-modified"]).StudyDate)

    assert study_date("4711") == study_date("4711") != "20200102"
    assert len({study_date(str(number)) for number in range(8)}) > 4


def test_days_are_out_of_the_range() -> None:
    assert after(image(), options=["retain-longitudinal-modified"], shift_days=[5, 5]).StudyDate == "20200107"


@pytest.mark.parametrize("text", ["2020010", "tomorrow", "20201332"])
def test_a_date_that_is_none_is_treated_as_the_basic_profile_says(text: str) -> None:
    encoded = encode(image(StudyDate="20200102")).replace(b"20200102", text.ljust(8).encode())

    result = decode(deidentified(encoded, action(options=["retain-longitudinal-modified"])))

    assert result.StudyDate == ""


# --- what the site says -----------------------------------------------------------------------------------------


def test_the_site_wins_over_the_table() -> None:
    reference = Dataset()
    reference.PatientID, reference.BodyPartExamined = "4711", "HEAD"
    before = image(BodyPartExamined="HEAD", SharedFunctionalGroupsSequence=[reference])

    result = after(
        before,
        keep=["PatientSex", "SharedFunctionalGroupsSequence[0].PatientID"],
        remove=["PatientID", "SharedFunctionalGroupsSequence[*].BodyPartExamined"],
        empty=["Manufacturer"],
        replace={"PatientName": "Subject-{{ StudyID }}", "InstitutionName": "A site"},
    )

    assert result.PatientSex == "F"
    assert "PatientID" not in result
    assert result.SharedFunctionalGroupsSequence[0].PatientID == "4711"
    assert "BodyPartExamined" not in result.SharedFunctionalGroupsSequence[0]
    assert result.BodyPartExamined == "HEAD"
    assert result.Manufacturer == ""
    assert result.PatientName == "Subject-17"
    assert result.InstitutionName == "A site"


def test_a_sequence_to_keep_is_still_rid_of_what_identifies() -> None:
    item = Dataset()
    item.TextValue, item.PersonName = "A nodule", "Doe^Jane"

    result = after(image(ContentSequence=[item]), keep=["ContentSequence"])

    assert result.ContentSequence[0].TextValue == "A nodule"
    assert result.ContentSequence[0].PersonName == "ANONYMIZED"


def problems(**settings: Any) -> list[tuple[object, str, str]]:
    found: list[tuple[object, str, str]] = []
    config = [{"deidentify": {"key": "test", **settings}}]
    build_actions(config, lambda *problem: found.append(problem), FileResources({"test": KEY}))
    return found


@pytest.mark.parametrize(
    ("settings", "place", "message"),
    [
        ({"key": "tset"}, "key", "did you mean `test`"),
        ({"profile": "advanced"}, "profile", "expected `basic`"),
        ({"options": ["retain-all"]}, "options", "expected `retain-safe-private`, "),
        ({"options": ["retain-longitudinal-full", "retain-longitudinal-modified"]}, "options", "exclude each other"),
        ({"options": ["clean-pixel-data"]}, "options", "needs `regions`"),
        ({"regions": [{"modality": "US"}]}, "regions", "not chosen"),
        ({"keep": ["PatientSex"], "remove": ["PatientSex"]}, "remove", "PatientSex is under `keep` already"),
        ({"keep": ["00100040"], "replace": {"PatientSex": "O"}}, "replace", "under `keep` already"),
        ({"empty": ["PatientIdentityRemoved"]}, "empty", "set by `deidentify` itself"),
        ({"remove": ["SOPInstanceUID"]}, "remove", "cannot be removed"),
        ({"replace": {"StudyDate": "today"}}, "replace", "not a value of VR DA"),
        ({"shift_days": [5, 1]}, "shift_days", "in order"),
        (
            {
                "options": ["clean-pixel-data"],
                "regions": [{"rectangles": [{"left": -1, "top": 0, "width": 1, "height": 1}]}],
            },
            "regions",
            "left must be at least 0",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_problems_in_settings(settings: dict[str, Any], place: str, message: str) -> None:
    found = problems(**settings)

    assert [text for path, _code, text in found if message in text], found
    assert all(place in path for path, _code, _text in found)  # type: ignore[operator]


# --- pixels -----------------------------------------------------------------------------------------------------

REGION = {"modality": "us", "manufacturer": "ACME", "rectangles": [{"left": 1, "top": 0, "width": 4, "height": 2}]}
MASK: dict[str, Any] = {"options": ["clean-pixel-data"], "regions": [REGION]}


def test_identity_in_the_pixels_is_refused() -> None:
    with pytest.raises(Refusal, match="Burned In Annotation"):
        after(image(BurnedInAnnotation="YES"))

    assert after(image(BurnedInAnnotation="YES"), burned_in_annotation="accept").BurnedInAnnotation == "YES"
    assert after(image(BurnedInAnnotation="NO")).BurnedInAnnotation == "NO"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_regions_that_fit_are_painted_over(syntax: str) -> None:
    encoded = encode(image(BurnedInAnnotation="YES"), syntax)

    result = decode(deidentified(encoded, action(**MASK), transfer_syntax_uid=syntax), syntax)

    rows = [result.PixelData[start : start + 6] for start in range(0, 24, 6)]
    assert rows == [b"\1\0\0\0\0\6", b"\7\0\0\0\0\14", bytes(range(13, 19)), bytes(range(19, 25))]
    assert result.BurnedInAnnotation == "NO"
    assert "113101" in [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


def test_all_regions_that_fit_count() -> None:
    more = {"rows": 4, "columns": 6, "model": "sono 1", "rectangles": [{"left": 0, "top": 3, "width": 6, "height": 1}]}

    result = after(image(), options=["clean-pixel-data"], regions=[REGION, more, {"modality": "CT"}])

    assert result.PixelData[18:] == bytes(6)
    assert result.PixelData[1:5] == bytes(4)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"Modality": "CT"}, "none of the `regions` fits"),
        ({"Rows": 5}, "24 bytes are there"),
        ({"BitsAllocated": 12}, "12 bits"),
    ],
    ids=["no region", "too short", "12 bits"],
)
def test_pixels_that_cannot_be_masked_are_refused(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        after(image(**attributes), **MASK)


def test_known_to_show_nothing() -> None:
    assert after(image(Modality="CT", BurnedInAnnotation="NO"), **MASK).PixelData == bytes(range(1, 25))
    assert after(image(), options=["clean-pixel-data"], regions=[{"modality": "US"}]).PixelData == bytes(range(1, 25))


def test_compressed_pixels_must_be_decompressed_before() -> None:
    with pytest.raises(Refusal, match=r"put `transcode: \{to: \[ExplicitVRLittleEndian\]\}` before"):
        deidentified(encode(image()), action(**MASK), transfer_syntax_uid=JPEG2000Lossless)


def test_floating_point_pixels_are_refused() -> None:
    before = image(FloatPixelData=bytes(96))
    del before.PixelData

    with pytest.raises(Refusal, match="floating point"):
        after(before, **MASK)


@pytest.mark.parametrize("value", ["YES", ""])
def test_recognizable_features_must_be_denied(value: str) -> None:
    with pytest.raises(Refusal, match="recognizable visual features"):
        after(image(RecognizableVisualFeatures=value), options=["clean-recognizable-visual"])

    result = after(image(RecognizableVisualFeatures="NO"), options=["clean-recognizable-visual"])
    assert "113102" in [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


def test_an_overlay_in_the_bits_of_the_pixels_is_refused() -> None:
    before = image()
    before.add_new(0x60000100, "US", 16)
    before.add_new(0x60000102, "US", 12)

    with pytest.raises(Refusal, match="an overlay lies in the bits"):
        after(before)


def test_objects_without_pixels_need_no_region() -> None:
    before = image()
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(before, keyword)

    assert after(before, **MASK).PatientIdentityRemoved == "YES"


def test_texts_of_refusals_and_of_the_action_name_no_patient() -> None:
    shown = repr(action(**MASK))
    with pytest.raises(Refusal) as refused:
        after(image(Modality="CT"), **MASK)

    assert "key for the tests" not in shown
    assert "Doe" not in str(refused.value)
    assert "4711" not in str(refused.value)
