"""Attribute paths as text."""

from __future__ import annotations

import pytest

from gateway.model import AttributePath
from gateway.routing.attribute import parse

NAMES = {
    "keyword": ("PatientName", AttributePath(0x00100010)),
    "tag": ("00100010", AttributePath(0x00100010)),
    "tag-in-brackets": ("(0010,0010)", AttributePath(0x00100010)),
    "tag-in-lower-case": ("(7fe0,0010)", AttributePath(0x7FE00010)),
    "private-tag": ("00091027", AttributePath(0x00091027)),
    "keyword-that-looks-like-hex": ("FADEDBEE", AttributePath(0xFADEDBEE)),
    "first-item": ("RequestAttributesSequence[0].StudyID", AttributePath(0x00200010, ((0x00400275, 0),))),
    "every-item": ("RequestAttributesSequence[*].StudyID", AttributePath(0x00200010, ((0x00400275, None),))),
    "by-tags": ("(0040,0275)[2].(0020,0010)", AttributePath(0x00200010, ((0x00400275, 2),))),
    "two-levels": (
        "ReferencedSeriesSequence[*].ReferencedSOPSequence[1].ReferencedSOPInstanceUID",
        AttributePath(0x00081155, ((0x00081115, None), (0x00081199, 1))),
    ),
    "private-sequence": ("00991001[0].StudyID", AttributePath(0x00200010, ((0x00991001, 0),))),
}


@pytest.mark.parametrize(("text", "path"), NAMES.values(), ids=NAMES)
def test_names(text: str, path: AttributePath) -> None:
    assert parse(text) == path
    assert parse(text).text == text


WRONG = {
    "misspelt": ("PatientNme", r"unknown attribute keyword 'PatientNme' \(did you mean 'PatientName'\?\)"),
    "wrong-case": ("patientname", "did you mean 'PatientName'"),
    "far-off": ("Xyzzy", "unknown attribute keyword 'Xyzzy'$"),
    "empty": ("", "not an attribute path"),
    "two-dots": ("A..B", "not an attribute path"),
    "file-meta": ("00020010", "file meta information.*transfer_syntax"),
    "command": ("00000100", "command set"),
    "impossible-group": ("00010010", "group 0001"),
    "delimiter": ("FFFEE000", "group FFFE"),
    "no-index": ("RequestAttributesSequence.StudyID", r"RequestAttributesSequence\[0\] is the first"),
    "no-sequence": ("PatientName[0].StudyID", "PatientName is not a sequence"),
    "index-at-the-end": ("RequestAttributesSequence[0]", "is an item"),
    "negative-index": ("RequestAttributesSequence[-1].StudyID", "not an attribute"),
    "too-deep": (".".join(["ContentSequence[0]"] * 17 + ["TextValue"]), "at most 16"),
    "short-tag": ("0010001", "not an attribute"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_are_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
