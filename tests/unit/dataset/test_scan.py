"""What a scan reads, and what it refuses."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.multival import MultiValue

from gateway.dataset.elements import SLICE_BYTES
from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from gateway.dataset.inflation import inflate
from gateway.dataset.scan import Scanned, scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.value import BULK, TEXT_WITH_BACKSLASH
from gateway.model.attribute_path import AttributePath
from gateway.ports.errors import ObjectTooLarge, Unreadable
from gateway.routing.language.attribute_path import parse
from tests.support.corpus import Part10
from tests.support.data_set_writer import (
    BIG,
    DEFLATED,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    REAL,
    REAL_NAMES,
    Write,
    packed,
    paths,
)
from tests.support.splicing import SHAPES, SYNTAXES, values


def scanned(data: bytes, syntax: str, *texts: str) -> Scanned:
    return scan(memoryview(data), syntax, WantedElements(paths(*texts)))


SIZES = pytest.mark.parametrize("ahead_bytes", [0, SLICE_BYTES + 2], ids=["read-at-once", "read-in-steps"])


def ahead(syntax: str, length_bytes: int) -> bytes:
    """An element that makes an object too large to be read at once; nothing for a length of 0."""
    return Write(ENCODINGS[syntax]).element(0x00091011, "LO", bytes(length_bytes)) if length_bytes else b""


VALUES = {
    "text": ("PatientName", "PN", b"Doe^Jane ", ("Doe^Jane",)),
    "several": ("ImageType", "CS", b"DERIVED\\SECONDARY ", ("DERIVED", "SECONDARY")),
    "leading-space": ("PatientWeight", "DS", b" 70.5 ", ("70.5",)),
    "uid": ("StudyInstanceUID", "UI", b"1.2.3\0", ("1.2.3",)),
    "uid-padded-with-space": ("StudyInstanceUID", "UI", b"1.2.3 ", ("1.2.3",)),
    "empty": ("AccessionNumber", "SH", b"", ()),
    "only-padding": ("AccessionNumber", "SH", b"  ", ()),
    "empty-among-several": ("ImageType", "CS", b"A\\\\B ", ("A", "", "B")),
    "backslash-in-long-text": ("AdditionalPatientHistory", "LT", b"a\\b ", ("a\\b",)),
    "text-keeps-leading-space": ("AdditionalPatientHistory", "LT", b" a\\b  ", (" a\\b",)),
    "latin-1-without-character-set": ("PatientName", "PN", b"M\xfcller", ("Müller",)),
}


@SYNTAXES
@pytest.mark.parametrize(("keyword", "vr", "raw", "expected"), VALUES.values(), ids=VALUES)
def test_text_values(syntax: str, keyword: str, vr: str, raw: bytes, expected: tuple[str, ...]) -> None:
    write = Write(ENCODINGS[syntax])
    data = write.element(keyword, vr, raw) + write.element(0x00204000, "LT", "after")
    assert values(packed(data, syntax), syntax, keyword) == expected


NUMBERS = {
    "unsigned-short": ("Rows", "US", "H", (512,), ("512",)),
    "two-shorts": ("OverlayOrigin", "SS", "hh", (-1, 2), ("-1", "2")),
    "long": ("ReferencePixelX0", "SL", "l", (-70000,), ("-70000",)),
    "float": ("RecommendedDisplayFrameRateInFloat", "FL", "f", (2.5,), ("2.5",)),
    "double": ("DiffusionBValue", "FD", "d", (0.1,), ("0.1",)),
    "tag": ("FrameIncrementPointer", "AT", "HH", (0x0018, 0x1063), ("00181063",)),
}


@SYNTAXES
@pytest.mark.parametrize(("keyword", "vr", "layout", "numbers", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_binary_values(
    syntax: str, keyword: str, vr: str, layout: str, numbers: tuple[float, ...], expected: tuple[str, ...]
) -> None:
    path = {"OverlayOrigin": "60000050", "RecommendedDisplayFrameRateInFloat": "00089459"}.get(keyword, keyword)
    data = Write(ENCODINGS[syntax]).number(path, vr, layout, *numbers)
    assert values(packed(data, syntax), syntax, path) == expected


@SYNTAXES
def test_absent_is_none(syntax: str) -> None:
    data = Write(ENCODINGS[syntax]).element("Modality", "CS", "MR")
    assert values(packed(data, syntax), syntax, "PatientID") is None


@pytest.mark.parametrize(("representation", "expected"), [(0, "65535"), (1, "-1")], ids=["unsigned", "signed"])
def test_pixel_representation_decides_us_or_ss_in_implicit(representation: int, expected: str) -> None:
    write = Write(IMPLICIT_LITTLE)
    data = write.number("PixelRepresentation", "US", "H", representation)
    data += write.number("PixelPaddingValue", "SS", "H", 65535)
    assert values(data, IMPLICIT, "PixelPaddingValue") == (expected,)


@SYNTAXES
@SHAPES
def test_sequence_paths(syntax: str, is_defined: bool) -> None:
    write = Write(ENCODINGS[syntax])

    def code(meaning: str) -> bytes:
        return write.item(write.element("CodeMeaning", "LO", meaning), is_defined=is_defined)

    inner = write.sequence("PurposeOfReferenceCodeSequence", code("a"), code("b"), is_defined=is_defined)
    first = write.item(write.element("ReferencedSOPInstanceUID", "UI", "1.2") + inner, is_defined=is_defined)
    second = write.item(write.element("ReferencedSOPInstanceUID", "UI", "1.3"), is_defined=is_defined)
    data = write.element("Modality", "CS", "MR")
    data += write.sequence("ReferencedImageSequence", first, second, is_defined=is_defined)
    data += write.element("PatientID", "LO", "X")
    expected = {
        "ReferencedImageSequence[0].ReferencedSOPInstanceUID": ("1.2",),
        "ReferencedImageSequence[1].ReferencedSOPInstanceUID": ("1.3",),
        "ReferencedImageSequence[2].ReferencedSOPInstanceUID": None,
        "ReferencedImageSequence[*].ReferencedSOPInstanceUID": ("1.2", "1.3"),
        "ReferencedImageSequence[*].PurposeOfReferenceCodeSequence[*].CodeMeaning": ("a", "b"),
        "ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[1].CodeMeaning": ("b",),
        "ReferencedImageSequence[1].PurposeOfReferenceCodeSequence[0].CodeMeaning": None,
        "ReferencedImageSequence": (),
        "RequestAttributesSequence": None,
        "PatientID": ("X",),
    }
    found = scanned(packed(data, syntax), syntax, *expected)
    assert {text: found.values(parse(text)) for text in expected} == expected


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG], ids=["little", "big"])
def test_unknown_of_undefined_length_is_implicit_little_endian_inside(syntax: str) -> None:
    write, inside = Write(ENCODINGS[syntax]), Write(IMPLICIT_LITTLE)
    item = inside.item(inside.element("CodeMeaning", "LO", "deep"), is_defined=False)
    sequence = write.header(0x00081140, "UN", 0xFFFFFFFF) + item + inside.tag(0xFFFEE0DD) + bytes(4)
    data = sequence + write.element("PatientID", "LO", "X")
    found = scanned(data, syntax, "ReferencedImageSequence[0].CodeMeaning", "PatientID")
    assert found.values(parse("ReferencedImageSequence[0].CodeMeaning")) == ("deep",)
    assert found.values(parse("PatientID")) == ("X",)


def test_unknown_of_defined_length_is_read_as_the_dictionary_says() -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element("PatientID", "UN", "X ") + write.element("Rows", "UN", b"\x00\x02")
    found = scanned(data, EXPLICIT, "PatientID", "Rows")
    assert (found.values(parse("PatientID")), found.values(parse("Rows"))) == (("X",), ("512",))


def test_fragments_of_encapsulated_pixel_data_are_hopped_over() -> None:
    write = Write(EXPLICIT_LITTLE)
    fragments = [write.item(b""), write.item(b"\xff\xd8" + b"\xfe\xff\xdd\xe0" * 8), write.item(b"\xff\xd9")]
    data = write.sequence(0x7FE00010, *fragments, is_defined=False, vr="OB") + write.element(0xFFFCFFFC, "OB", b"\0\0")
    assert values(write.element("Modality", "CS", "XA") + data, JPEG_BASELINE, "Modality") == ("XA",)


def test_private_attributes_of_known_creators() -> None:
    creator = b"GEMS_IDEN_01"
    implicit = Write(IMPLICIT_LITTLE)
    data = implicit.element(0x00090010, "LO", creator) + implicit.number(0x00091027, "SL", "l", -7)
    assert values(data, IMPLICIT, "00091027") == ("-7",)
    assert values(implicit.number(0x00091027, "SL", "4s", b"ab c"), IMPLICIT, "00091027") == ("ab c",)  # type: ignore[arg-type]


def test_path_into_private_bytes_that_are_no_sequence_reads_nothing() -> None:
    write = Write(IMPLICIT_LITTLE)
    data = write.element(0x00091001, "UN", b"not items, just bytes ") + write.element("PatientID", "LO", "X")
    found = scanned(data, IMPLICIT, "00091001[0].CodeMeaning", "PatientID")
    assert found.values(parse("00091001[0].CodeMeaning")) is None
    assert found.values(parse("PatientID")) == ("X",)


def test_the_first_of_two_equal_tags_counts() -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element("PatientID", "LO", "first") + write.element("PatientID", "LO", "second")
    assert values(data, EXPLICIT, "PatientID") == ("first",)


def test_elements_out_of_order_are_read() -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element("PatientID", "LO", "X") + write.element("Modality", "CS", "MR")
    assert values(data, EXPLICIT, "Modality") == ("MR",)


@pytest.mark.parametrize(
    ("syntax", "content"),
    [
        ("1.2.3.4", EXPLICIT),
        ("1.2.3.4", IMPLICIT),
        ("1.2.840.113619.5.2", IMPLICIT),
        (EXPLICIT, IMPLICIT),
        (IMPLICIT, EXPLICIT),
    ],
    ids=["private-explicit", "private-implicit", "ge-private", "mislabelled-explicit", "mislabelled-implicit"],
)
@SIZES
def test_private_and_mislabelled_transfer_syntaxes(syntax: str, content: str, ahead_bytes: int) -> None:
    write = Write(ENCODINGS[content])
    data = write.element("Modality", "CS", "MR") + ahead(content, ahead_bytes) + write.element("PatientID", "LO", "X")
    assert values(data, syntax, "PatientID") == ("X",)


# --- character sets ---


def test_item_has_its_own_character_set() -> None:
    write = Write(EXPLICIT_LITTLE)
    name = write.element("PersonName", "PN", "Grün".encode())
    utf8 = write.item(write.element("SpecificCharacterSet", "CS", "ISO_IR 192") + name)
    latin1 = write.item(write.element("PersonName", "PN", "Grün".encode("latin-1")))
    data = write.element("SpecificCharacterSet", "CS", "ISO_IR 100") + write.sequence(
        "PersonIdentificationCodeSequence", utf8, latin1
    )
    assert values(data, EXPLICIT, "PersonIdentificationCodeSequence[*].PersonName") == ("Grün", "Grün")


@pytest.mark.parametrize(
    "name",
    [
        "ISO_IR 192",
        "GB18030",
        "ISO 2022 IR 87",
        "nonsense",
        "ISO_IR 13",
        "\\ISO 2022 IR 149",
        "\\\\",
        "ISO_IR 192\\GBK",
    ],
)
@given(raw=st.binary(max_size=40))
def test_no_bytes_make_a_value_raise(name: str, raw: bytes) -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element("SpecificCharacterSet", "CS", name)
    data += write.element("PatientName", "PN", raw) + write.element("Rows", "US", raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scanned(data, EXPLICIT, "PatientName", "Rows")
        assert isinstance(found.values(parse("PatientName")), tuple)
        assert isinstance(found.values(parse("Rows")), tuple)


# --- what is no data set ---


def small(syntax: str) -> tuple[bytes, list[int]]:
    """A data set with every kind of thing in it, and where its top-level elements end."""
    write = Write(ENCODINGS[syntax])
    undefined = write.item(write.element("CodeMeaning", "LO", "abc"), is_defined=False)
    parts = [
        write.element("Modality", "CS", "MR"),
        write.sequence("ReferencedImageSequence", undefined, write.item(b""), is_defined=False),
        write.sequence("ReferencedStudySequence", undefined),
        write.element("PatientID", "LO", "12345"),
        write.element("PixelData", "OW", bytes(6)),
    ]
    ends = [sum(map(len, parts[:count])) for count in range(len(parts) + 1)]
    return b"".join(parts), ends


@SIZES
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big-endian"])
def test_every_cut_inside_an_element_is_seen(syntax: str, ahead_bytes: int) -> None:
    data, ends = small(syntax)
    before = ahead(syntax, ahead_bytes)
    for length in range(len(data) + 1):
        if length in ends:
            scanned(before + data[:length], syntax, "PatientID")
            continue
        with pytest.raises(Unreadable, match="byte"):
            scanned(before + data[:length], syntax, "PatientID")


@SIZES
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big-endian"])
def test_an_object_that_is_read_at_once_has_the_values_of_one_that_is_read_in_steps(
    syntax: str, ahead_bytes: int
) -> None:
    paths_ = ("Modality", "PatientID", "PixelData", "ReferencedImageSequence[0].CodeMeaning", "ReferencedStudySequence")
    found = scanned(ahead(syntax, ahead_bytes) + small(syntax)[0], syntax, *paths_, "AccessionNumber")
    assert [found.values(parse(path)) for path in paths_] == [("MR",), ("12345",), (), ("abc",), ()]
    assert found.values(parse("AccessionNumber")) is None


def test_every_cut_of_a_deflated_data_set_is_seen() -> None:
    data = packed(small(EXPLICIT)[0], DEFLATED)
    for length in range(len(data) - 1):
        with pytest.raises(Unreadable):
            scanned(data[:length], DEFLATED, "PatientID")


_LITTLE = Write(EXPLICIT_LITTLE)
_IMPLICIT = Write(IMPLICIT_LITTLE)
_IMAGES = "ReferencedImageSequence"
_MODALITY = _LITTLE.element("Modality", "CS", "MR")
_IMPLICIT_MODALITY = _IMPLICIT.element("Modality", "CS", "MR")
BROKEN = {
    "trailing-byte": (EXPLICIT, _MODALITY + b"\0"),
    "many-zeros": (EXPLICIT, _MODALITY + bytes(1024**2 + 2)),
    "zeros-and-more": (EXPLICIT, _MODALITY + bytes(8) + b"\1\0"),
    "stray-item": (EXPLICIT, _MODALITY + _LITTLE.item(b"")),
    "item-end-with-a-length": (EXPLICIT, _MODALITY + _LITTLE.tag(0xFFFEE00D) + b"\2\0\0\0ab"),
    "stray-sequence-end": (EXPLICIT, _MODALITY + _LITTLE.tag(0xFFFEE0DD) + bytes(4)),
    "stray-item-implicit": (IMPLICIT, _IMPLICIT_MODALITY + _IMPLICIT.item(b"")),
    "stray-sequence-end-implicit": (IMPLICIT, _IMPLICIT_MODALITY + _IMPLICIT.tag(0xFFFEE0DD) + bytes(4)),
    "stray-sequence-end-in-item": (
        EXPLICIT,
        _LITTLE.sequence(_IMAGES, _LITTLE.item(_LITTLE.tag(0xFFFEE0DD) + bytes(4), is_defined=False), is_defined=False),
    ),
    "element-where-an-item-belongs": (EXPLICIT, _LITTLE.sequence(_IMAGES, _MODALITY, is_defined=False)),
    "no-vr-and-a-long-length": (EXPLICIT, _MODALITY + _LITTLE.tag(0x00100020) + b"??\0\0\2\0\0\0X "),
    "future-vr-and-a-short-length": (EXPLICIT, _MODALITY + _LITTLE.tag(0x00100020) + b"XY\2\0X "),
    "part-10-file": (EXPLICIT, bytes(128) + b"DICM" + _MODALITY),
    "length-beyond-4-gib": (IMPLICIT, _IMPLICIT_MODALITY + _IMPLICIT.tag(0x00100020) + b"\xfe\xff\xff\xff"),
    "not-deflated": (DEFLATED, _MODALITY),
    "bytes-after-deflated": (DEFLATED, packed(_MODALITY, DEFLATED) + b"\1\2"),
    "text": (EXPLICIT, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
}


@SIZES
@pytest.mark.parametrize(("syntax", "data"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_data_set_is_unreadable(syntax: str, data: bytes, ahead_bytes: int) -> None:
    with pytest.raises(Unreadable):
        scanned(ahead(syntax, ahead_bytes) + data, syntax, "PatientID")


def test_offset_of_the_damage_is_reported() -> None:
    with pytest.raises(Unreadable, match=f"byte {len(_MODALITY)}"):
        scanned(_MODALITY + _LITTLE.element("PatientID", "LO", "12345")[:-2], EXPLICIT, "PatientID")


@pytest.mark.parametrize(("levels", "is_readable"), [(100, True), (10_000, False), (200_000, False)])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_nested_sequences_are_bounded(syntax: str, levels: int, is_readable: bool) -> None:
    write = Write(ENCODINGS[syntax])
    opening = write.header(0x00081140, "SQ", 0xFFFFFFFF) + write.tag(0xFFFEE000) + b"\xff" * 4
    closing = write.tag(0xFFFEE00D) + bytes(4) + write.tag(0xFFFEE0DD) + bytes(4)
    data = opening * levels + closing * levels
    if is_readable:
        assert values(data, syntax, "ReferencedImageSequence") == ()
        return
    with pytest.raises(Unreadable, match="nested"):
        scanned(data, syntax, "ReferencedImageSequence")


def test_deflate_bomb_is_stopped() -> None:
    bomb = packed(bytes(1 << 22), DEFLATED)
    with pytest.raises(ObjectTooLarge, match="inflate to more than 1048576"):
        inflate(memoryview(bomb), limit_bytes=1 << 20)


@given(st.binary(max_size=200), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED, "1.2.3"]))
def test_any_bytes_are_read_or_unreadable(data: bytes, syntax: str) -> None:
    with contextlib.suppress(Unreadable):
        scanned(data, syntax, "PatientID", "ReferencedImageSequence[*].CodeMeaning")


@given(st.data())
def test_damaged_objects_are_read_or_unreadable(data: st.DataObject) -> None:
    content = bytearray(small(data.draw(st.sampled_from([EXPLICIT, IMPLICIT, BIG])))[0])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = scanned(bytes(content), EXPLICIT, "PatientID", "ReferencedImageSequence[*].CodeMeaning")
    except Unreadable:
        return
    found.values(parse("ReferencedImageSequence[*].CodeMeaning"))


def test_values_outlive_the_view() -> None:
    buffer = bytearray(small(EXPLICIT)[0])
    with memoryview(buffer) as view:
        found = scan(view, EXPLICIT, WantedElements(paths("PatientID")))
    buffer[:] = bytes(len(buffer))
    assert found.values(parse("PatientID")) == ("12345",)


# --- pydicom as second opinion, on real objects ---


def test_there_are_real_objects() -> None:
    assert len(REAL) > 100


@pytest.mark.parametrize("part", REAL, ids=REAL_NAMES)
def test_real_objects_read_as_pydicom_reads_them(part: Part10) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(io.BytesIO(part.path.read_bytes()))
        tags = [int(tag) for tag in data_set.keys() if tag.group > 2]  # noqa: SIM118 - the data set's own iteration decodes
        found = scan(memoryview(part.data_set), part.transfer_syntax_uid, WantedElements(map(AttributePath, tags)))
        for tag in tags:
            values = found.values(AttributePath(tag))
            assert values is not None, hex(tag)
            expected = _expected(data_set, tag)
            if expected is not None:
                assert _without_empty_groups(values) == expected, hex(tag)


def _without_empty_groups(values: tuple[str, ...]) -> tuple[str, ...]:
    """pydicom drops `=` at the end of names."""
    return tuple(value.rstrip("=") for value in values)


def _expected(data_set: pydicom.Dataset, tag: int) -> tuple[str, ...] | None:
    try:
        element: Any = data_set[tag]
    except (struct.error, ValueError, NotImplementedError, pydicom.errors.BytesLengthException):
        return None
    if element.VR in BULK or element.VR in ("SQ", "UN"):
        return None
    value = element.value
    if element.VR in TEXT_WITH_BACKSLASH:
        return (str(value).rstrip(" \0"),) if value else ()
    several = list(value) if isinstance(value, MultiValue | list) else [] if value in (None, "") else [value]
    if element.VR == "AT":
        return tuple(f"{int(one):08X}" for one in several)
    written = [getattr(one, "original_string", one) if element.VR in ("DS", "IS") else one for one in several]
    texts = tuple(str(one).strip(" \0").rstrip("=") for one in written)
    return () if texts == ("",) else texts
