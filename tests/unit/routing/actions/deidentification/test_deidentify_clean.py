"""Cleaned text: what goes, what stays."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from gateway.routing.actions.deidentification.clean import MAX_TEXT_CHARACTERS, cleaned, words_of
from tests.support.deidentify import action, decode, deidentified, encode
from tests.support.effort import processor_time_below

WORDS = words_of(["Doe^Jane^Mary=DOE^ジェーン", "4711-X", "Saint Elsewhere Hospital", "山", "B", "Müller^Zoë"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT chest with contrast", "CT chest with contrast"),
        ("T1 SE axial 3 mm", "T1 SE axial 3 mm"),
        ("DOE JANE chest", "chest"),
        ("chest (doe, jane)", "chest (, )"),
        ("Doesn't matter", "Doesn't matter"),
        ("Protocol of Saint Elsewhere", "Protocol of"),
        ("ID 4711", "ID"),
        ("山 chest", "chest"),
        ("ジェーン", ""),
        ("series B", "series B"),
        ("Muller ZOE chest", "chest"),
        ("Mu\u0308ller chest", "chest"),
        ("Mull chest", "Mull chest"),
        ("seen 12.03.2020 and 2020-03-12 and 3/12/20", "seen and and"),
        ("on 12 March 2020 or Mar 12, 2020", "on or"),
        ("since 1987", "since"),
        ("at 12:30 and 08:15:59.123", "at and"),
        ("call +49 (89) 123-4567 now", "call now"),
        ("case 0012345", "case"),
        ("MRN: AB123456", "MRN:"),
        ("to a.b@example.org", "to"),
        ("see https://example.org/x?y=1", "see"),
        ("referred by Dr. House", "referred by"),
        ("Prof Gregory House says", "says"),
        ("SMITH^JOHN head", "head"),
        ("", ""),
        ("..., --", "..., --"),
        ("Jane, Doe; ()", ""),
        ("x" * MAX_TEXT_CHARACTERS, "x" * MAX_TEXT_CHARACTERS),
        ("x " * MAX_TEXT_CHARACTERS, ""),
    ],
    ids=lambda text: text[:30] or "empty",
)
def test_what_stays_of_a_text(text: str, left: str) -> None:
    assert cleaned(text, WORDS) == left


@pytest.mark.parametrize(
    "text",
    ["1" * 60_000, "a@" * 30_000, "a^" * 30_000, "dr " * 20_000, "1." * 30_000, "mar 1" * 12_000, "+(" * 30_000],
    ids=lambda text: text[:5],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    with processor_time_below(2):
        cleaned(text, WORDS)


def report() -> Dataset:
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.SOPInstanceUID = "1.2.3"
    data_set.PatientName = "Doe^Jane"
    data_set.PatientID = "4711"
    data_set.StudyDescription = "Chest of JANE DOE"
    data_set.SeriesDescription = "Doe 4711"
    data_set.ProtocolName = "Thorax"
    data_set.ImageComments = "Größe unverändert, Frau Doe"
    reason = Dataset()
    reason.CodeValue, reason.CodingSchemeDesignator, reason.CodeMeaning = "1234567", "99X", "Cough of Jane"
    data_set.ReasonForRequestedProcedureCodeSequence = [reason]
    text, name, code = Dataset(), Dataset(), Dataset()
    for item, value_type in ((text, "TEXT"), (name, "PNAME"), (code, "CODE")):
        item.RelationshipType, item.ValueType = "CONTAINS", value_type
        concept = Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = "121071", "DCM", "Finding"
        item.ConceptNameCodeSequence = [concept]
    text.TextValue = "A nodule that Dr. House saw in somebody"
    name.PersonName = "House^Gregory"
    code.ConceptCodeSequence = [reason]
    data_set.ContentSequence = [text, name, code]
    return data_set


def test_descriptors_lose_what_identifies_and_nothing_else() -> None:
    before = report()
    after = decode(deidentified(encode(before), action(options=["clean-descriptors"])))

    assert after.StudyDescription == "Chest of"
    assert "SeriesDescription" not in after
    assert after.ProtocolName == "Thorax"
    assert after.ImageComments == "Größe unverändert,"
    (code,) = after.ReasonForRequestedProcedureCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("1234567", "99X", "Cough of")


def test_structured_content_keeps_codes_and_structure() -> None:
    after = decode(deidentified(encode(report()), action(options=["clean-structured-content"])))
    text, name, code = after.ContentSequence

    assert text.TextValue == "ANONYMIZED"
    assert name.PersonName == "ANONYMIZED"
    assert [item.ValueType for item in after.ContentSequence] == ["TEXT", "PNAME", "CODE"]
    assert text.ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert (code.ConceptCodeSequence[0].CodeValue, code.ConceptCodeSequence[0].CodeMeaning) == ("1234567", "Cough of")


def test_content_of_the_basic_profile_is_dummies_in_the_old_structure() -> None:
    after = decode(deidentified(encode(report()), action()))
    text, name, code = after.ContentSequence

    assert [item.ValueType for item in after.ContentSequence] == ["TEXT", "PNAME", "CODE"]
    assert {text.TextValue, str(name.PersonName), code.ConceptCodeSequence[0].CodeMeaning} == {"ANONYMIZED"}
    assert text.ConceptNameCodeSequence[0].CodeValue == "ANONYMIZED"


def test_a_defined_term_that_is_a_name_becomes_a_dummy() -> None:
    data_set = report()
    data_set.ContentSequence[0].ValueType = "DOE"

    after = decode(deidentified(encode(data_set), action()))

    assert after.ContentSequence[0].ValueType == "ANONYMIZED"


def test_texts_with_characters_that_cannot_be_read_are_not_cleaned_but_gone() -> None:
    data_set = report()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    encoded = encode(data_set).replace("Größe".encode(), b"Gr\xff\xff\xfe\xfee")

    after = decode(deidentified(encoded, action(options=["clean-descriptors"])))

    assert "ImageComments" not in after
