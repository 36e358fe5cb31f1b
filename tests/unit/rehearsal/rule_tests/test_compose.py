"""Objects made of attributes: pydicom reads what was written; what cannot be written is told with its place."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from gateway.model.problem import SettingPath
from gateway.rehearsal.rule_tests.compose import DEFAULTS, Uncomposable, compose

SYNTAXES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "big endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
}

ATTRIBUTES: dict[str, object] = {
    "SOPClassUID": "CTImageStorage",
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Müller^Jörg",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "PatientID": None,
    "Rows": 512,
    "SliceThickness": "1.50",
    "PixelRepresentation": 1,
    "SmallestImagePixelValue": -5,
    "RequestAttributesSequence": [{"ScheduledProcedureStepID": "7"}, {}],
    "ProcedureCodeSequence": {"CodeValue": "A"},
    "(0009,[ACME],01)": "private",
    "(0009,[OTHER],02)": [{"CodeValue": "B"}],
    "PixelData": "0102 0304",
}


def read(data: bytes, syntax: str) -> Dataset:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = b"\2\0\x10\0UI" + len(value).to_bytes(2, "little") + value
    return dcmread(io.BytesIO(bytes(128) + b"DICM" + meta + data))


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_what_is_written_is_read(syntax: str) -> None:
    image = read(compose(ATTRIBUTES, syntax), syntax)
    assert image.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert image.StudyInstanceUID == DEFAULTS["StudyInstanceUID"]
    assert str(image.PatientName) == "Müller^Jörg"
    assert list(image.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert image.PatientID in ("", None)
    assert (image.Rows, str(image.SliceThickness), image.SmallestImagePixelValue) == (512, "1.50", -5)
    assert [item.get("ScheduledProcedureStepID") for item in image.RequestAttributesSequence] == ["7", None]
    assert image.ProcedureCodeSequence[0].CodeValue == "A"
    assert image[0x0009, 0x0010].value == "ACME"
    assert image[0x0009, 0x0011].value == "OTHER"
    assert image[0x7FE0, 0x0010].value == b"\1\2\3\4"
    tags = list(image.keys())
    assert tags == sorted(tags)


@pytest.mark.parametrize(
    ("attributes", "path", "message"),
    [
        ({"PatientNam": "A"}, ("PatientNam",), "did you mean `PatientName`"),
        ({"Rows": 70000}, ("Rows",), "a whole number from 0 to 65535"),
        ({"StudyDate": "tomorrow"}, ("StudyDate",), "a date as YYYYMMDD"),
        ({"PatientName": {"a": "b"}}, ("PatientName",), "expected a text"),
        ({"PatientName": True}, ("PatientName",), "expected a text"),
        ({"PatientName": "Müller"}, ("PatientName",), "not in the object's character set"),
        ({"PixelData": "pixels"}, ("PixelData",), "hexadecimal"),
        ({"RequestAttributesSequence": "a"}, ("RequestAttributesSequence",), "a list of mappings"),
        (
            {"RequestAttributesSequence": [{}, {"Rows": "many"}]},
            ("RequestAttributesSequence", 1, "Rows"),
            "a whole number",
        ),
        ({"RequestAttributesSequence[0].CodeValue": "A"}, ("RequestAttributesSequence[0].CodeValue",), "one an item"),
        ({"PatientID": "1", "00100020": "2"}, ("00100020",), "the same attribute"),
        ({"SOPClassUID": "CTImageStorag"}, ("SOPClassUID",), "did you mean `CTImageStorage`"),
    ],
    ids=str,
)
def test_what_cannot_be_written(attributes: dict[str, object], path: SettingPath, message: str) -> None:
    with pytest.raises(Uncomposable) as caught:
        compose(attributes, SYNTAXES["explicit"])
    assert caught.value.path == path
    assert message in str(caught.value)
