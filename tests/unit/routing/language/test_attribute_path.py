"""Attribute paths as text."""

from __future__ import annotations

import pytest

from gateway.model.attribute_path import AttributePath
from gateway.routing.language.attribute_path import parse

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
    "by-creator": (
        "(0029,[SIEMENS CSA HEADER],10)",
        AttributePath(0x00291010, creator="SIEMENS CSA HEADER"),
    ),
    "by-creator-with-dots-and-spaces": (
        "( 0099, [ 1.2.840.113663.1 ], xxFa )",
        AttributePath(0x009910FA, creator="1.2.840.113663.1"),
    ),
    "below-a-private-sequence": (
        "(2005,[Philips MR Imaging DD 005],0e)[*].(2005,[A.(B)],01)",
        AttributePath(0x20051001, ((0x2005100E, None),), creator="A.(B)", step_creators=("Philips MR Imaging DD 005",)),
    ),
    "below-a-standard-sequence": (
        "RequestAttributesSequence[0].(0099,[A],01)",
        AttributePath(0x00991001, ((0x00400275, 0),), creator="A"),
    ),
    "private-sequence": ("00991001[0].StudyID", AttributePath(0x00200010, ((0x00991001, 0),))),
}


@pytest.mark.parametrize(("text", "path"), NAMES.values(), ids=NAMES)
def test_names(text: str, path: AttributePath) -> None:
    assert parse(text) == path
    assert parse(text).text == text


WRONG = {
    "misspelt": ("PatientNme", r"unknown attribute keyword `PatientNme` \(did you mean `PatientName`\?\)"),
    "wrong-case": ("patientname", "did you mean `PatientName`"),
    "far-off": ("Xyzzy", "unknown attribute keyword `Xyzzy`$"),
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
    "creator-in-even-group": ("(0028,[A],10)", r"group 0028 is even"),
    "creator-is-empty": ("(0029,[ ],10)", "no private creator has this name: it is empty"),
    "creator-is-too-long": (f"(0029,[{'x' * 65}],10)", "at most 64 characters"),
    "creator-with-a-whole-element": ("(0029,[A],1010)", r"written as \(0029,\[SIEMENS CSA HEADER\],10\)"),
    "creator-without-brackets": ("(0029,A,10)", r"written as \(0029,\["),
    "creator-of-no-sequence": ("(0029,[SIEMENS CSA HEADER],08)[0].StudyID", "is not a sequence"),
    "creator-not-closed": ("(0029,[A.10)", "not an attribute"),
    "creator-item-at-the-end": ("(0029,[A],10)[0]", r"\(0029,\[A\],10\)\[0\] is an item"),
    "short-tag": ("0010001", "not an attribute"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_are_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)
