"""The writer of data elements: as pydicom writes them, and where a value is too long for its VR."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset

from gateway.dataset.elements import ITEM_END, LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED
from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.writer import (
    delimiter,
    element_header,
    is_too_long,
    item_header,
    padded,
    prepared_header,
    vr_for_length,
    vr_in_context,
)

ENCODINGS = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, Encoding(is_implicit=True, is_big_endian=True)]
TEXT = sorted((SHORT_VRS | {"UC", "UR", "UT"}) - {"AT", "FD", "FL", "SL", "SS", "UL", "US", "DS", "IS"})
BYTES = ["OB", "UN"]


def of_pydicom(encoding: Encoding, element: DataElement) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = encoding.is_implicit, not encoding.is_big_endian
    write_data_element(file, element)
    return file.getvalue()


@given(
    encoding=st.sampled_from(ENCODINGS),
    tag=st.integers(0x00080000, 0xFFFCFFFF),
    vr=st.sampled_from(TEXT),
    value=st.integers(0, 40) | st.just(0xFFFE),
)
def test_text_is_written_as_pydicom_does(encoding: Encoding, tag: int, vr: str, value: int) -> None:
    text = "1" * value
    raw = padded(text.encode(), vr)
    expected = of_pydicom(encoding, DataElement(tag, vr, text, validation_mode=0))
    assert element_header(encoding, tag, vr, len(raw)) + raw == expected


@given(
    encoding=st.sampled_from(ENCODINGS),
    tag=st.integers(0x00080000, 0xFFFCFFFF),
    vr=st.sampled_from(BYTES),
    raw=st.binary(max_size=70_000) | st.just(bytes(70_001)),
)
def test_bytes_are_written_as_pydicom_does(encoding: Encoding, tag: int, vr: str, raw: bytes) -> None:
    if vr == "UN":
        tag |= 0x00010000  # a private one: pydicom gives any other UN the VR of its dictionary
    even = padded(raw, vr)
    expected = of_pydicom(encoding, DataElement(tag, vr, even))
    assert element_header(encoding, tag, vr, len(even)) + even == expected
    assert len(even) == len(raw) + len(raw) % 2
    assert even[len(raw) :] in (b"", b"\0")


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("is_undefined", [False, True], ids=["defined", "undefined"])
def test_items_and_delimiters_are_written_as_pydicom_does(encoding: Encoding, is_undefined: bool) -> None:
    item = Dataset()
    item.PatientID = "P1"
    item.is_undefined_length_sequence_item = is_undefined
    whole = Dataset()
    whole.ReferencedStudySequence = [item]
    whole["ReferencedStudySequence"].is_undefined_length = is_undefined
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = encoding.is_implicit, not encoding.is_big_endian
    write_dataset(file, whole)
    content = element_header(encoding, 0x00100020, "LO", 2) + b"P1"
    items = item_header(encoding, UNDEFINED if is_undefined else len(content)) + content
    items += delimiter(encoding, ITEM_END) if is_undefined else b""
    length = UNDEFINED if is_undefined else len(items)
    end = delimiter(encoding, SEQUENCE_END) if is_undefined else b""
    assert element_header(encoding, 0x00081110, "SQ", length) + items + end == file.getvalue()


@given(
    encoding=st.sampled_from(ENCODINGS),
    tag=st.integers(0, 0xFFFFFFFF),
    vr=st.sampled_from(sorted(SHORT_VRS | LONG_VRS)),
    length=st.integers(0, 0xFFFF),
)
def test_a_prepared_header_is_the_header(encoding: Encoding, tag: int, vr: str, length: int) -> None:
    start, written = prepared_header(encoding, tag, vr)
    assert start + written.pack(length) == element_header(encoding, tag, vr, length)


@pytest.mark.parametrize(
    ("encoding", "vr", "length", "expected"),
    [
        (EXPLICIT_LITTLE, "LO", 0xFFFE, False),
        (EXPLICIT_LITTLE, "LO", 0x10000, True),
        (EXPLICIT_BIG, "UI", 0x10000, True),
        (EXPLICIT_LITTLE, "UT", 0x10000, False),
        (IMPLICIT_LITTLE, "LO", 0x10000, False),
    ],
)
def test_what_is_too_long(encoding: Encoding, vr: str, length: int, expected: bool) -> None:
    assert is_too_long(encoding, vr, length) is expected
    assert vr_for_length(vr, length) == ("UN" if vr != "UT" and length > 0xFFFE else vr)
    if expected:
        with pytest.raises(struct.error):
            element_header(encoding, 0x00100020, vr, length)


@pytest.mark.parametrize(
    ("choices", "is_signed", "expected"),
    [
        ("US or SS", False, "US"),
        ("US or SS", True, "SS"),
        ("US or SS or OW", True, "SS"),
        ("OB or OW", True, "OW"),
        ("US or OW", False, "OW"),
    ],
)
def test_one_of_several_vrs(choices: str, is_signed: bool, expected: str) -> None:
    assert vr_in_context(choices, lambda: is_signed) == expected
