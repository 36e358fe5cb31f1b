"""Identifiers: bytes to values and back, held against pydicom."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from gateway.dataset import charset
from gateway.dataset.dictionary import tag_of
from gateway.ports.errors import Unreadable
from gateway.query import identifier
from gateway.query.identifier import IdentifierEncoder, read_identifier
from gateway.query.typed import TypedValue
from tests.support.identifiers import attributes

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = {"explicit": EXPLICIT, "implicit": IMPLICIT, "big endian": BIG, "deflated": DEFLATED}


def decoded(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    """With pydicom."""
    if transfer_syntax_uid == DEFLATED:
        encoded, transfer_syntax_uid = zlib.decompress(encoded, -15), EXPLICIT
    return read_dataset(BytesIO(encoded), transfer_syntax_uid == IMPLICIT, transfer_syntax_uid != BIG)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_written_is_read_by_us_and_by_pydicom(syntax: str) -> None:
    values = attributes(
        QueryRetrieveLevel="STUDY",
        PatientName="Doe^John",
        ImageType="A\\B",
        StudyInstanceUID="1.2.3",
        Rows="512",
        NumberOfStudyRelatedInstances="12",
        StudyDescription="",
        RequestAttributesSequence=[{"RequestedProcedureID": "7"}, {"ScheduledProcedureStepID": ""}],
    )
    encoded = IdentifierEncoder(SYNTAXES[syntax])(values)
    assert len(encoded) % 2 == 0
    assert read_identifier(encoded, SYNTAXES[syntax]) == values
    dataset = decoded(encoded, SYNTAXES[syntax])
    assert (dataset.PatientName, dataset.Rows, list(dataset.ImageType)) == ("Doe^John", 512, ["A", "B"])
    assert dataset.RequestAttributesSequence[0].RequestedProcedureID == "7"


CHARACTER_SETS = {
    "ASCII needs none": ((), "Doe^John", None),
    "ASCII needs none, whatever is asked": (("ISO_IR 100",), "Doe^John", None),
    "Latin-1 without a wish": ((), "Müller", "ISO_IR 100"),
    "as asked": (("ISO_IR 192",), "Müller", "ISO_IR 192"),
    "Greek as asked": (("ISO_IR 126",), "Διονυσιος", "ISO_IR 126"),
    "more than was asked for": (("ISO_IR 100",), "山田", "ISO_IR 192"),
    "neither asked nor Latin-1": ((), "山田", "ISO_IR 192"),
    "code extensions": (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎", ["", "ISO 2022 IR 87"]),
    "unknown character set": (("ISO_IR 999",), "Müller", "ISO_IR 100"),
}


@pytest.mark.parametrize("name", CHARACTER_SETS)
def test_the_character_set_of_the_request_is_kept_where_it_can_be(name: str) -> None:
    asked, patient_name, expected = CHARACTER_SETS[name]
    values = attributes(PatientName=patient_name, PatientID="1")
    encoded = IdentifierEncoder(EXPLICIT, asked)(values)
    dataset = decoded(encoded, EXPLICIT)
    assert dataset.get("SpecificCharacterSet") == expected
    assert str(dataset.PatientName) == patient_name
    found = read_identifier(encoded, EXPLICIT)
    assert found[tag_of("PatientName")] == (patient_name,)


OWN_SETS = {
    # asked for, the source's own, the name, what is answered
    "kept": ((), ("ISO_IR 110",), "Ķīlis", "ISO_IR 110"),
    "kept for ASCII": ((), ("ISO_IR 110",), "Kilis", "ISO_IR 110"),
    "kept with code extensions": ((), ("", "ISO 2022 IR 87"), "Yamada=山田", ["", "ISO 2022 IR 87"]),
    "not kept where another is asked for": (("ISO_IR 192",), ("ISO_IR 110",), "Ķīlis", "ISO_IR 192"),
    "not declared for ASCII where another is asked for": (("ISO_IR 100",), ("ISO_IR 110",), "Kilis", None),
    "kept where the one that is asked for cannot": (("ISO_IR 100",), ("ISO_IR 110",), "Ķīlis", "ISO_IR 110"),
    "too small": ((), ("ISO_IR 110",), "山田", "ISO_IR 192"),
    "ASCII": ((), ("ISO_IR 6",), "Müller", "ISO_IR 100"),
    "unknown": ((), ("ISO_IR 999",), "Müller", "ISO_IR 100"),
}


@pytest.mark.parametrize("name", OWN_SETS)
def test_the_character_set_of_the_source_is_kept_where_it_can_be(name: str) -> None:
    asked, own, patient_name, expected = OWN_SETS[name]
    values = attributes(PatientName=patient_name, PatientID="1") | {tag_of("SpecificCharacterSet"): own}
    encoded = IdentifierEncoder(EXPLICIT, asked)(values)
    dataset = decoded(encoded, EXPLICIT)
    assert dataset.get("SpecificCharacterSet") == expected
    assert str(dataset.PatientName) == patient_name


def test_pydicoms_identifiers_are_read() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.PatientName = "Jörg*"
    dataset.StudyInstanceUID = ["1.2", "1.3"]
    dataset.StudyDate = ""
    item = Dataset()
    item.ScheduledProcedureStepID = "x"
    dataset.RequestAttributesSequence = [item]
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, True
    write_dataset(stream, dataset)
    found = read_identifier(stream.getvalue(), IMPLICIT)
    assert found == attributes(
        SpecificCharacterSet="ISO_IR 100",
        QueryRetrieveLevel="STUDY",
        PatientName="Jörg*",
        StudyInstanceUID="1.2\\1.3",
        StudyDate="",
        RequestAttributesSequence=[{"ScheduledProcedureStepID": "x"}],
    )


BROKEN = {
    "cut in a header": b"\x08\x00\x52",
    "cut in a value": b"\x08\x00\x52\x00CS\x06\x00STU",
    "no VR": b"\x08\x00\x52\x00\xff\xff\x06\x00STUDY ",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(Unreadable):
        read_identifier(BROKEN[name], EXPLICIT)


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(Unreadable, match="more than"):
        read_identifier(bytes(identifier.MAX_BYTES + 2), EXPLICIT)


def test_what_is_nested_too_deep_is_refused() -> None:
    content = b""
    for _ in range(identifier.MAX_DEPTH + 2):
        item = b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content
        content = b"\x40\x00\x75\x02SQ\0\0" + len(item).to_bytes(4, "little") + item
    with pytest.raises(Unreadable, match="nested"):
        read_identifier(content, EXPLICIT)


def test_a_value_that_its_vr_cannot_hold_goes_out_empty() -> None:
    encoded = IdentifierEncoder(EXPLICIT)(attributes(Rows="many", PatientComments="x" * 70000))
    assert read_identifier(encoded, EXPLICIT) == attributes(Rows="", PatientComments="")


ODD_TEXTS: dict[str, tuple[dict[str, Any], str, str, int]] = {
    # attributes, PatientName in the answer, its character set, values replaced
    "undecodable": ({"PatientName": "M\ufffdller"}, "M?ller", "", 1),
    "undecodable beside others": ({"PatientName": "Mü\ufffdler", "PatientID": "ł"}, "Mü?ler", "ISO_IR 192", 1),
    "an escape sequence": ({"PatientName": "Zhang=\x1b$)A张"}, "Zhang=?$)A张", "ISO_IR 192", 1),
    "half a character": ({"PatientName": "A\ud800"}, "A?", "", 1),
    "a code that is not ASCII": ({"PatientName": "A", "Modality": "CÜ"}, "A", "", 1),
    "too long": ({"PatientName": "A", "PatientID": "x" * 70_000}, "A", "", 1),
    "no number": ({"PatientName": "A", "Rows": "many"}, "A", "", 1),
    "three of them": ({"PatientName": "\ufffd", "PatientID": "\ufffd", "Rows": "many", "Columns": "7"}, "?", "", 3),
    "none": ({"PatientName": "Zhang=张"}, "Zhang=张", "ISO_IR 192", 0),
}


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_what_cannot_be_written_is_replaced_and_counted(name: str) -> None:
    given, patient_name, character_set, replaced = ODD_TEXTS[name]
    encode = IdentifierEncoder(EXPLICIT, ("ISO_IR 100",))
    dataset = decoded(encode(attributes(StudyInstanceUID="1.2.3", **given)), EXPLICIT)
    assert str(dataset.PatientName) == patient_name
    assert dataset.StudyInstanceUID == "1.2.3"
    assert dataset.get("SpecificCharacterSet", "") == character_set
    assert encode.replaced == replaced
    encode(attributes(PatientName="next"))
    assert encode.replaced == replaced


# --- values that the dictionary does not say enough about -------------------------------------------------------------


def strange() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.add_new(0x00090010, "LO", "ACME")
    dataset.add_new(0x00091001, "OB", b"\x00\x01\x20\x00")
    dataset.add_new(0x00091002, "LO", "M\u00fcller")
    dataset.add_new(0x00091003, "US", [513, 2])
    dataset.add_new(0x00091004, "UN", b"\x01\xff\x00 ")
    dataset.add_new(0x00091005, "SQ", [Dataset()])
    dataset[0x00091005].value[0].add_new(0x00091006, "FD", 0.5)
    dataset.add_new(0x00280120, "SS", -1)
    icon = Dataset()
    icon.add_new(0x00280106, "US", 40000)
    icon.add_new(0x7FE00010, "OW", b"\x01\x02\x03\x04")
    dataset.IconImageSequence = [icon]
    return dataset


def written(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, transfer_syntax_uid != BIG
    write_dataset(file, dataset)
    return file.getvalue()


@pytest.mark.parametrize("there", [EXPLICIT, BIG])
@pytest.mark.parametrize("here", [EXPLICIT, BIG, DEFLATED])
def test_what_no_dictionary_knows_leaves_as_it_came(here: str, there: str) -> None:
    encode = IdentifierEncoder(here, ("ISO_IR 100",))
    left = decoded(encode(read_identifier(written(strange(), there), there)), here)
    expected = decoded(written(strange(), there), there)
    if here != there and BIG in (here, there):  # pydicom swaps no words of OW
        expected.IconImageSequence[0][0x7FE00010].value = b"\x02\x01\x04\x03"
    assert left == expected
    assert encode.replaced == 0


def test_what_no_dictionary_knows_leaves_with_its_bytes_in_implicit() -> None:
    """There nothing says a VR."""
    values = read_identifier(written(strange(), EXPLICIT), EXPLICIT)
    left = decoded(IdentifierEncoder(IMPLICIT, ("ISO_IR 100",))(values), IMPLICIT)
    assert left[0x00091001].value == b"\x00\x01\x20\x00"
    assert left[0x00091003].value == b"\x01\x02\x02\x00"
    assert left[0x00091004].value == b"\x01\xff\x00 "
    assert left.IconImageSequence[0].PixelData == b"\x01\x02\x03\x04"


TEXTS = ("", "A", "AB", "A^B", "1", "12", "1.2", "\x1b(B", "a\\b", "x" * 0xFFFD, "x" * 0xFFFE, "x" * 0x10001)
TAGS_BY_VR = {
    "UI": 0x0020000D,
    "CS": 0x00080060,
    "PN": 0x00100010,
    "DA": 0x00080020,
    "LO": 0x00081030,
    "UT": 0x00081200,
    "US": 0x00280010,
    "FD": 0x00189461,
    "AT": 0x00280009,
    "SQ": 0x00400275,
    "none": 0x00091001,
}


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big endian"])
@pytest.mark.parametrize("vr", TAGS_BY_VR)
def test_the_short_way_of_usual_texts_writes_what_the_long_one_does(vr: str, syntax: str) -> None:
    tag = TAGS_BY_VR[vr]
    for value in ((), *((text,) for text in TEXTS), ("A", "B"), (TypedValue.of("A", "LO"),)):
        usual, other = IdentifierEncoder(SYNTAXES[syntax]), IdentifierEncoder(SYNTAXES[syntax])
        assert usual({tag: value}) == other._element(tag, value, charset.DEFAULT), value
        assert usual.replaced == other._replaced_in_this, value
