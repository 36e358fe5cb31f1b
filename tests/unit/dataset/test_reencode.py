"""Native data sets from one encoding to another: by hand where every byte is known, and every real object."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from gateway.dataset.codecs import is_native
from gateway.dataset.elements import selection_of
from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.inflation import inflate
from gateway.dataset.reencode import MAX_LEVELS, reencode
from gateway.dataset.scan import parse
from gateway.ports.errors import Refusal, Unreadable
from tests.support.corpus import Part10
from tests.support.data_set_writer import DEFLATED, REAL, REAL_NAMES, UNDEFINED, Write

EX, IM, BIG = Write(EXPLICIT_LITTLE), Write(IMPLICIT_LITTLE), Write(EXPLICIT_BIG)
NATIVE = [
    (part, name)
    for part, name in zip(REAL, REAL_NAMES, strict=True)
    if is_native(part.transfer_syntax_uid) and part.path.name != "DICOMDIR-nooffset"
]


def changed(data: bytes, source: Encoding, target: Encoding, **settings: Any) -> bytes:
    return b"".join(reencode(memoryview(data), source, target, **settings))


def grouped(write: Write) -> bytes:
    """A group with its length, and an element behind it."""
    group = write.element("Modality", "CS", "CT") + write.sequence("ReferencedImageSequence")
    return write.number(0x00080000, "UL", "L", len(group)) + group + write.element("PatientID", "LO", "1")


def both(text: str, tag: int | str, vr: str, value: bytes | str) -> Any:
    return pytest.param(EX.element(tag, vr, value), IM.element(tag, vr, value), id=text)


@pytest.mark.parametrize(
    ("explicit", "implicit"),
    [
        both("short text", "PatientName", "PN", "A^B"),
        both("empty", "PatientName", "PN", ""),
        both("long header", 0x7FE00010, "OW", bytes(10)),
        both("value that is passed as a view", 0x7FE00010, "OW", bytes(10_000)),
        both("unlimited text", "URNCodeValue", "UR", "urn:x"),
        both("private creator", 0x00090010, "LO", "NOBODY"),
        both("private of an unknown vendor", 0x00091001, "UN", b"1234"),
        both("unknown public tag", 0x00081999, "UN", b"12"),
        both("private of a known vendor", 0x00090010, "LO", "GEMS_IDEN_01"),
        both("overlay data", 0x60003000, "OW", bytes(4)),
        both("signed or unsigned, unsigned without more", 0x00280106, "US", b"\1\0"),
        both("LUT of several entries", 0x00283006, "OW", bytes(6)),
        pytest.param(
            EX.element(0x00090010, "LO", "GEMS_IDEN_01") + EX.element(0x00091001, "LO", "GE"),
            IM.element(0x00090010, "LO", "GEMS_IDEN_01") + IM.element(0x00091001, "LO", "GE"),
            id="private element whose vendor told its VR",
        ),
        pytest.param(
            EX.number(0x00280103, "US", "H", 1) + EX.number(0x00280106, "SS", "h", -5),
            IM.number(0x00280103, "US", "H", 1) + IM.number(0x00280106, "SS", "h", -5),
            id="signed, as Pixel Representation says",
        ),
        pytest.param(
            EX.number(0x00280103, "US", "H", 1)
            + EX.sequence(0x00283000, EX.item(EX.number(0x00283002, "SS", "3h", 1, -2, 16))),
            IM.number(0x00280103, "US", "H", 1)
            + IM.sequence(0x00283000, IM.item(IM.number(0x00283002, "SS", "3h", 1, -2, 16))),
            id="signed in an item, as the object's Pixel Representation says",
        ),
        pytest.param(
            EX.sequence(
                0x00283010, EX.item(EX.number(0x00283002, "US", "3H", 1, 0, 16) + EX.number(0x00283006, "US", "H", 7))
            ),
            IM.sequence(
                0x00283010, IM.item(IM.number(0x00283002, "US", "3H", 1, 0, 16) + IM.number(0x00283006, "US", "H", 7))
            ),
            id="LUT of one entry",
        ),
        pytest.param(
            EX.sequence("RequestAttributesSequence", EX.item(EX.element("AccessionNumber", "SH", "A1")), EX.item(b"")),
            IM.sequence("RequestAttributesSequence", IM.item(IM.element("AccessionNumber", "SH", "A1")), IM.item(b"")),
            id="sequence of defined length",
        ),
        pytest.param(
            EX.sequence("RequestAttributesSequence", is_defined=False),
            IM.sequence("RequestAttributesSequence", is_defined=False),
            id="sequence of undefined length without items",
        ),
        pytest.param(
            EX.sequence(
                "RequestAttributesSequence",
                EX.item(EX.sequence("RequestedProcedureCodeSequence", EX.item(EX.element("CodeValue", "SH", "1")))),
                EX.item(EX.element("CodeValue", "SH", "22"), is_defined=False),
                is_defined=False,
            ),
            IM.sequence(
                "RequestAttributesSequence",
                IM.item(IM.sequence("RequestedProcedureCodeSequence", IM.item(IM.element("CodeValue", "SH", "1")))),
                IM.item(IM.element("CodeValue", "SH", "22"), is_defined=False),
                is_defined=False,
            ),
            id="lengths defined and undefined, inside each other",
        ),
        pytest.param(
            EX.sequence(0x00091002, EX.item(EX.element("CodeValue", "SH", "1")), is_defined=False),
            IM.sequence(0x00091002, IM.item(IM.element("CodeValue", "SH", "1")), is_defined=False),
            id="unknown private sequence of undefined length",
        ),
        pytest.param(
            grouped(EX),
            grouped(IM),
            id="group length",
        ),
        pytest.param(
            EX.number(0x00080001, "UL", "L", len(EX.element(0x7FE00010, "OW", bytes(4))))
            + EX.element(0x7FE00010, "OW", bytes(4)),
            IM.number(0x00080001, "UL", "L", len(IM.element(0x7FE00010, "OW", bytes(4))))
            + IM.element(0x7FE00010, "OW", bytes(4)),
            id="length to end",
        ),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_explicit_and_implicit_say_the_same(explicit: bytes, implicit: bytes) -> None:
    assert changed(explicit, EXPLICIT_LITTLE, IMPLICIT_LITTLE) == implicit
    assert changed(implicit, IMPLICIT_LITTLE, EXPLICIT_LITTLE) == explicit


@pytest.mark.parametrize(
    ("explicit", "implicit"),
    [
        pytest.param(
            EX.header(0x00091002, "UN", UNDEFINED)
            + IM.item(IM.element("CodeValue", "SH", "1"))
            + EX.tag(0xFFFEE0DD)
            + bytes(4),
            IM.sequence(0x00091002, IM.item(IM.element("CodeValue", "SH", "1")), is_defined=False),
            id="sequence hidden in UN",
        ),
        pytest.param(EX.element(0x7FE00010, "OB", b"12"), IM.element(0x7FE00010, "OB", b"12"), id="OB"),
        pytest.param(
            EX.number(0x00090010, "UL", "L", 7), IM.number(0x00090010, "UL", "L", 7), id="creator with another VR"
        ),
    ],
)
def test_to_implicit_the_vr_is_lost(explicit: bytes, implicit: bytes) -> None:
    assert changed(explicit, EXPLICIT_LITTLE, IMPLICIT_LITTLE) == implicit


ROWS, SMALLEST = 0x00280010, 0x00280106
READ_THE_SAME = {
    "text of another kind": (EX.element("PatientID", "SH", "1"), IM.element("PatientID", "LO", "1")),
    "bytes": (EX.element(ROWS, "OB", b"\x08\0"), IM.element(ROWS, "US", b"\x08\0")),
    "UN": (EX.element(ROWS, "UN", b"\x08\0"), IM.element(ROWS, "US", b"\x08\0")),
    "one of several": (EX.number(SMALLEST, "SS", "h", -1), IM.number(SMALLEST, "SS", "h", -1)),
    "signed, and not negative": (EX.number(ROWS, "SS", "h", 512), IM.number(ROWS, "US", "H", 512)),
    "no value": (EX.element(ROWS, "LO", ""), IM.element(ROWS, "US", b"")),
}


@pytest.mark.parametrize(("explicit", "implicit"), READ_THE_SAME.values(), ids=READ_THE_SAME)
def test_another_vr_that_reads_the_same(explicit: bytes, implicit: bytes) -> None:
    assert changed(explicit, EXPLICIT_LITTLE, IMPLICIT_LITTLE) == implicit


READ_OTHERWISE = {
    "text of a number": EX.element(ROWS, "LO", "8"),
    "a number of text": EX.number("PatientID", "US", "H", 0x3131),
    "a longer number": EX.number(ROWS, "UL", "L", 8),
    "a negative number": EX.number(ROWS, "SS", "h", -8),
    "the second one negative": EX.number(0x00189302, "SS", "2h", 8, -8) + EX.number(ROWS, "SS", "2h", 8, -8),
    "in an item": EX.sequence("RequestAttributesSequence", EX.item(EX.element(ROWS, "IS", "8"))),
}


@pytest.mark.parametrize("explicit", READ_OTHERWISE.values(), ids=READ_OTHERWISE)
def test_another_vr_that_would_be_read_as_another_value_is_refused(explicit: bytes) -> None:
    """The receiver of implicit VR takes the dictionary's."""
    with pytest.raises(Refusal, match="in implicit VR it would be read as another value"):
        changed(explicit, EXPLICIT_LITTLE, IMPLICIT_LITTLE)


def test_from_big_endian_too() -> None:
    assert changed(BIG.number(ROWS, "SS", "h", 512), EXPLICIT_BIG, IMPLICIT_LITTLE) == IM.number(ROWS, "US", "H", 512)
    with pytest.raises(Refusal, match="Rows has VR SS, which is US in the dictionary"):
        changed(BIG.number(ROWS, "SS", "h", -8), EXPLICIT_BIG, IMPLICIT_LITTLE)


def test_a_value_that_its_vr_cannot_hold_in_explicit_is_unknown() -> None:
    text = "1\\" * 40_000
    assert changed(IM.element("ContourData", "DS", text), IMPLICIT_LITTLE, EXPLICIT_LITTLE) == EX.element(
        "ContourData", "UN", text
    )


def test_a_private_value_that_is_no_sequence_after_all_is_unknown() -> None:
    creator = IM.element(0x00290010, "LO", "SIEMENS CSA HEADER")
    sequence = IM.element(0x00291140, "SQ", b"not items at all")  # the vendor's dictionary says SQ
    assert changed(creator + sequence, IMPLICIT_LITTLE, EXPLICIT_LITTLE).endswith(
        EX.element(0x00291140, "UN", b"not items at all")
    )


@pytest.mark.parametrize(
    ("vr", "layout", "value"),
    [
        ("US", "2H", (1, 0xABCD)),
        ("SS", "h", (-2,)),
        ("UL", "L", (0x01020304,)),
        ("SL", "l", (-3,)),
        ("FL", "f", (1.5,)),
        ("FD", "d", (2.5,)),
        ("AT", "2H", (0x0010, 0x0020)),
        ("OW", "3H", (1, 2, 3)),
        ("OF", "2f", (1.0, -1.0)),
        ("OL", "L", (7,)),
        ("OD", "d", (1e300,)),
        ("OV", "Q", (2**60,)),
        ("SV", "q", (-(2**60),)),
        ("UV", "Q", (2**63,)),
    ],
)
@pytest.mark.parametrize("target", [EX, IM], ids=["explicit", "implicit"])
def test_numbers_are_turned_from_big_endian(target: Write, vr: str, layout: str, value: tuple[float, ...]) -> None:
    tag = 0x00091001
    big = BIG.number(tag, vr, layout, *value)
    assert changed(big, EXPLICIT_BIG, target.encoding) == target.number(tag, vr, layout, *value)


@pytest.mark.parametrize("vr", ["OB", "UN", "LO", "UT"])
def test_bytes_and_text_are_not_turned(vr: str) -> None:
    assert changed(BIG.element(0x00091001, vr, b"1234"), EXPLICIT_BIG, EXPLICIT_LITTLE) == EX.element(
        0x00091001, vr, b"1234"
    )


def test_sequences_of_big_endian() -> None:
    def made(write: Write) -> bytes:
        inner = write.number("ReferencedFrameNumber", "US", "H", 3) + write.sequence(0x00091002, is_defined=False)
        return write.sequence("ReferencedImageSequence", write.item(inner, is_defined=False), write.item(inner))

    assert changed(made(BIG), EXPLICIT_BIG, EXPLICIT_LITTLE) == made(EX)


@pytest.mark.parametrize(("vr", "allocated"), [("OW", 32), ("OB", 16), ("OW", 64)])
def test_big_endian_pixels_that_writers_disagree_on_are_refused(vr: str, allocated: int) -> None:
    data = BIG.number(0x00280100, "US", "H", allocated) + BIG.element(0x7FE00010, vr, bytes(8))
    with pytest.raises(Refusal, match="writers disagree"):
        changed(data, EXPLICIT_BIG, EXPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("data", "source", "error", "text"),
    [
        (BIG.header(0x00091001, "UL", 3) + bytes(3), EXPLICIT_BIG, Refusal, "3 bytes"),
        (EX.sequence(0x7FE00010, EX.item(b""), is_defined=False, vr="OB"), EXPLICIT_LITTLE, Refusal, "encapsulated"),
        (EX.element("PatientName", "PN", "A^B")[:-1], EXPLICIT_LITTLE, Unreadable, "ends at byte"),
    ],
    ids=["length that its VR does not allow", "compressed pixels", "cut"],
)
def test_refusals(data: bytes, source: Encoding, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        changed(data, source, IMPLICIT_LITTLE if source is not IMPLICIT_LITTLE else EXPLICIT_LITTLE)


def test_compressed_pixels_are_copied_when_they_may_be_there() -> None:
    explicit = EX.sequence(0x7FE00010, EX.item(b""), EX.item(b"code"), is_defined=False, vr="OB")
    implicit = IM.sequence(0x7FE00010, IM.item(b""), IM.item(b"code"), is_defined=False)
    assert changed(implicit, IMPLICIT_LITTLE, EXPLICIT_LITTLE, may_be_encapsulated=True) == explicit


@pytest.mark.parametrize("is_defined", [True, False])
def test_nesting_has_an_end(is_defined: bool) -> None:
    def nested(write: Write, levels: int) -> bytes:
        content = write.element("CodeValue", "SH", "1")
        for _ in range(levels):
            content = write.sequence(0x00091002, write.item(content, is_defined=is_defined), is_defined=is_defined)
        return content

    assert changed(nested(EX, MAX_LEVELS), EXPLICIT_LITTLE, IMPLICIT_LITTLE) == nested(IM, MAX_LEVELS)
    with pytest.raises(Refusal, match="nested"):
        changed(nested(EX, MAX_LEVELS + 1), EXPLICIT_LITTLE, IMPLICIT_LITTLE)


def test_large_values_are_not_copied() -> None:
    data = IM.element("PatientID", "LO", "1") + IM.element(0x7FE00010, "OW", bytes(1_000_000))
    pieces = reencode(memoryview(data), IMPLICIT_LITTLE, EXPLICIT_LITTLE)
    assert [type(piece) for piece in pieces] == [bytes, memoryview]
    assert len(pieces[0]) < 100


# --- real objects ---


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def plain(part: Part10) -> tuple[memoryview, Encoding]:
    view = memoryview(part.data_set)
    if part.transfer_syntax_uid == DEFLATED:
        view = inflate(view)
    view, _, encoding = parse(view, part.transfer_syntax_uid, selection_of(frozenset()))
    return view, encoding


def is_ambiguous_big_endian(part: Part10) -> bool:
    return part.path.name.startswith(("rtdose_expb", "SC_rgb_expb_32bit", "SC_rgb_expb_16bit"))


def read(data: bytes | memoryview, encoding: Encoding) -> Dataset:
    return read_dataset(BytesIO(bytes(data)), encoding.is_implicit, not encoding.is_big_endian)


def texts(dataset: Dataset) -> dict[Any, str]:
    """Every public value of every level as pydicom sees it, but for bulk data; private VRs are lost in implicit VR."""
    found: dict[Any, str] = {}
    for element in dataset.iterall():
        if element.tag.element == 0:
            continue
        if element.VR in ("OW", "OB", "UN", "SQ") or element.tag.is_private or element.tag == 0x00283006:
            value = ""
        else:
            value = str(element.value)
        found[len(found)] = f"{element.tag} {value}"
    return found


@pytest.mark.parametrize(("part", "name"), NATIVE, ids=[name for _, name in NATIVE])
def test_pydicom_reads_the_same_values(part: Part10, name: str) -> None:
    view, source = plain(part)
    before = read(view, source)
    for target in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        if is_ambiguous_big_endian(part):
            with pytest.raises(Refusal, match="writers disagree"):
                reencode(view, source, target)
            continue
        after = read(b"".join(reencode(view, source, target)), target)
        assert texts(after) == texts(before)
        if not source.is_big_endian:
            assert after.get("PixelData") == before.get("PixelData")


@pytest.mark.parametrize(("part", "name"), NATIVE, ids=[name for _, name in NATIVE])
def test_there_and_back(part: Part10, name: str) -> None:
    """From implicit nothing is lost in explicit. From explicit, VRs that the dictionary does not know are."""
    view, source = plain(part)
    if source.is_big_endian:
        pytest.skip("nothing is made big endian")
    other = IMPLICIT_LITTLE if source == EXPLICIT_LITTLE else EXPLICIT_LITTLE
    once = b"".join(reencode(view, source, other))
    back = b"".join(reencode(memoryview(once), other, source))
    if source == IMPLICIT_LITTLE:
        assert back == mended(view)
    else:
        again = b"".join(reencode(memoryview(back), source, other))
        assert again == once


def mended(view: memoryview) -> bytes:
    """With group lengths that are right, as some writers' are not; only the walk of the product can put them right."""
    if not any(element.tag.element == 0 for element in read(view, IMPLICIT_LITTLE)):
        return bytes(view)
    explicit = b"".join(reencode(view, IMPLICIT_LITTLE, EXPLICIT_LITTLE))
    return b"".join(reencode(memoryview(explicit), EXPLICIT_LITTLE, IMPLICIT_LITTLE))
