"""Edits on bytes: what changes is what was asked for, and nothing else."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Sequence

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from gateway.dataset.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal, Unreadable
from gateway.routing.language.attribute_path import parse
from tests.support.corpus import Part10
from tests.support.data_set_writer import (
    BIG,
    DEFLATED,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    REAL,
    REAL_NAMES,
    Read,
    Write,
    emptied,
    packed,
    put,
    read_level,
    removed,
    unpacked,
)
from tests.support.splicing import SHAPES, SYNTAXES, spliced, values

# --- real objects, element by element ---

BROKEN_INSIDE = {"DICOMDIR-nooffset"}
"""An item that ends behind its sequence."""

EDITS = {
    "set": [put("PatientID", "EDITED-1"), put("InstitutionName", "North")],
    "set-new": [put("ClinicalTrialProtocolID", "T-1"), put("00400253", "STEP")],
    "set-first-and-last": [put("InstanceCreationDate", "20260102"), put("FFFCFFFC", "0")][:1],
    "numbers": [put("Rows", "77"), put("PatientWeight", "70.5"), put("ExposureTime", "12")],
    "remove": [removed("PatientName"), removed("StudyID"), removed("StationName")],
    "empty": [emptied("PatientName"), emptied("PatientBirthDate"), emptied("InstitutionName")],
    "sequence-removed": [removed("ReferencedStudySequence"), removed("OtherPatientIDsSequence")],
    "item-added": [put("RequestAttributesSequence[0].ScheduledProcedureStepID", "SPS")],
    "uid": [put("SOPInstanceUID", "1.2.3.4"), put("StudyInstanceUID", "1.2.3.4.5")],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("part", REAL, ids=REAL_NAMES)
def test_only_the_edited_elements_of_real_objects_change(part: Part10, edits: list[Edit]) -> None:
    encoding = scan(memoryview(part.data_set), part.transfer_syntax_uid, WantedElements(())).encoding
    after_bytes = spliced(part.data_set, part.transfer_syntax_uid, *edits)
    before = read_level(unpacked(part.data_set, part.transfer_syntax_uid), encoding)
    after = read_level(unpacked(after_bytes, part.transfer_syntax_uid), encoding)
    edited = {edit.path.steps[0][0] if edit.path.steps else edit.path.tag for edit in edits}
    lengths = {tag & 0xFFFF0000 for tag in edited} | {0x00080001}
    assert _untouched(after, edited | lengths) == _untouched(before, edited | lengths)
    _check_group_lengths(before, after, lengths)
    oracle = _read_by_pydicom(after_bytes, part.transfer_syntax_uid, encoding)
    present = {tag for tag, _raw in before}
    for edit in edits:
        _check(oracle, edit, was_present=edit.path.tag in present)


def _untouched(elements: Read, edited: set[int]) -> Read:
    return [(tag, raw) for tag, raw in elements if tag not in edited]


def _check_group_lengths(before: Read, after: Read, tags: set[int]) -> None:
    """One that was right is right again."""
    for tag, raw in before:
        if tag in tags and tag != 0x00080001 and _group_bytes(before, tag) == struct.unpack("<L", raw[-4:])[0]:
            assert _group_bytes(after, tag) == struct.unpack("<L", dict(after)[tag][-4:])[0]


def _group_bytes(elements: Read, group_length: int) -> int:
    return sum(len(raw) for tag, raw in elements if tag >> 16 == group_length >> 16 and tag != group_length)


def _read_by_pydicom(data: bytes, syntax: str, encoding: Encoding) -> pydicom.Dataset:
    plain = io.BytesIO(unpacked(data, syntax))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(plain, encoding.is_implicit, not encoding.is_big_endian)


def _check(data_set: pydicom.Dataset, edit: Edit, *, was_present: bool) -> None:
    for sequence, index in edit.path.steps:
        data_set = data_set[sequence].value[index]
    if edit.value is None or (not edit.value and not was_present):
        assert edit.path.tag not in data_set
        return
    element = data_set[edit.path.tag]
    if not edit.value:
        assert element.VM == 0
        return
    found = element.value if element.VM > 1 else [element.value]
    assert tuple(str(getattr(one, "original_string", one)) for one in found) == edit.value


@pytest.mark.parametrize("part", REAL, ids=REAL_NAMES)
def test_no_edit_is_no_copy(part: Part10) -> None:
    view = memoryview(part.data_set)
    assert splice(view, part.transfer_syntax_uid, ())[0] is view
    nothing = [removed("00189999"), emptied("00189998"), emptied("00189997[*].CodeMeaning")]
    if values(part.data_set, part.transfer_syntax_uid, "PatientID"):
        nothing.append(Edit(parse("PatientID"), ("1",), where="missing"))
    pieces = splice(view, part.transfer_syntax_uid, nothing)
    assert len(pieces) == 1
    assert pieces[0] is view


@pytest.mark.parametrize("part", REAL, ids=REAL_NAMES)
def test_edits_in_every_item_of_real_sequences(part: Part10) -> None:
    """Every sequence of every real object gets a new element in each item; nothing else changes, at any depth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(io.BytesIO(part.path.read_bytes()))
        sequences = {int(e.tag): len(e.value) for e in data_set if e.VR == "SQ" and e.tag.group > 2 and len(e.value)}
    edits = [Edit(AttributePath(0x00420012, ((tag, None),), "x"), ("text/xml",)) for tag in sequences]
    if part.path.name in BROKEN_INSIDE:
        with pytest.raises(Unreadable):
            spliced(part.data_set, part.transfer_syntax_uid, *edits)
        return
    after_bytes = spliced(part.data_set, part.transfer_syntax_uid, *edits)
    encoding = scan(memoryview(part.data_set), part.transfer_syntax_uid, WantedElements(())).encoding
    before = read_level(unpacked(part.data_set, part.transfer_syntax_uid), encoding)
    after = read_level(unpacked(after_bytes, part.transfer_syntax_uid), encoding)
    lengths = {tag & 0xFFFF0000 for tag in sequences} | {0x00080001}
    assert _untouched(after, {*sequences, *lengths}) == _untouched(before, {*sequences, *lengths})
    oracle = _read_by_pydicom(after_bytes, part.transfer_syntax_uid, encoding)
    for tag, count in sequences.items():
        assert [item[0x00420012].value for item in oracle[tag].value] == ["text/xml"] * count
    undone = spliced(after_bytes, part.transfer_syntax_uid, *[Edit(edit.path, None) for edit in edits])
    assert unpacked(undone, part.transfer_syntax_uid) == unpacked(part.data_set, part.transfer_syntax_uid)


# --- places ---


@SYNTAXES
def test_new_elements_go_where_their_tags_belong(syntax: str) -> None:
    write = Write(ENCODINGS[syntax])
    old = [write.element("Modality", "CS", "MR"), write.element("PatientID", "LO", "X")]
    edits = [put("StudyID", "last"), put("PatientName", "mid"), put("StudyDate", "20260101"), put("PatientSex", "O")]
    after = spliced(packed(b"".join(old), syntax), syntax, *edits)
    assert unpacked(after, syntax) == b"".join(
        [
            write.element("StudyDate", "DA", "20260101"),
            old[0],
            write.element("PatientName", "PN", "mid"),
            old[1],
            write.element("PatientSex", "CS", "O"),
            write.element("StudyID", "SH", "last"),
        ]
    )


def test_into_an_empty_data_set() -> None:
    after = spliced(b"", EXPLICIT, put("PatientID", "X"))
    assert after == Write(EXPLICIT_LITTLE).element("PatientID", "LO", "X")


def test_one_of_two_equal_tags_is_left() -> None:
    write = Write(EXPLICIT_LITTLE)
    between = write.element("PatientBirthDate", "DA", "")
    data = write.element("PatientID", "LO", "1") + between + write.element("PatientID", "LO", "2")
    assert spliced(data, EXPLICIT, put("PatientID", "3")) == write.element("PatientID", "LO", "3") + between
    assert spliced(data, EXPLICIT, removed("PatientID")) == between


def test_elements_out_of_order_stay_where_they_are() -> None:
    write = Write(EXPLICIT_LITTLE)
    first, second = write.element("PatientID", "LO", "X"), write.element("Modality", "CS", "MR")
    after = spliced(first + second, EXPLICIT, put("PatientName", "N"), put("Modality", "CT"))
    assert after == write.element("PatientName", "PN", "N") + first + write.element("Modality", "CS", "CT")


# --- order and conditions of edits ---

SEQUENCE = "ReferencedImageSequence"
ORDERED = {
    "last-wins": ([put("PatientID", "1"), put("PatientID", "2")], "PatientID", ("2",)),
    "set-then-removed": ([put("PatientID", "1"), removed("PatientID")], "PatientID", None),
    "removed-then-set": ([removed("PatientID"), put("PatientID", "1")], "PatientID", ("1",)),
    "removed-then-emptied": ([removed("PatientID"), emptied("PatientID")], "PatientID", None),
    "missing-but-there": ([Edit(parse("PatientID"), ("1",), where="missing")], "PatientID", ("old",)),
    "missing-after-removal": ([removed("PatientID"), Edit(parse("PatientID"), ("1",), "missing")], "PatientID", ("1",)),
    "missing-and-empty": ([Edit(parse("StudyID"), ("1",), where="missing")], "StudyID", ("1",)),
    "present-but-absent": ([emptied("PatientName")], "PatientName", None),
    "item-then-sequence-removed": ([put(f"{SEQUENCE}[0].CodeMeaning", "x"), removed(SEQUENCE)], SEQUENCE, None),
    "sequence-removed-then-item": (
        [removed(SEQUENCE), put(f"{SEQUENCE}[0].CodeMeaning", "x")],
        f"{SEQUENCE}[*].CodeMeaning",
        ("x",),
    ),
    "every-then-first": (
        [put(f"{SEQUENCE}[*].CodeMeaning", "all"), put(f"{SEQUENCE}[0].CodeMeaning", "first")],
        f"{SEQUENCE}[*].CodeMeaning",
        ("first", "all"),
    ),
    "first-then-every": (
        [put(f"{SEQUENCE}[0].CodeMeaning", "first"), put(f"{SEQUENCE}[*].CodeMeaning", "all")],
        f"{SEQUENCE}[*].CodeMeaning",
        ("all", "all"),
    ),
    "missing-in-some-items": (
        [Edit(parse(f"{SEQUENCE}[*].CodeMeaning"), ("new",), where="missing")],
        f"{SEQUENCE}[*].CodeMeaning",
        ("old", "new"),
    ),
    "every-item-then-one-more": (
        [put(f"{SEQUENCE}[*].CodeMeaning", "all"), put(f"{SEQUENCE}[2].CodeMeaning", "third")],
        f"{SEQUENCE}[*].CodeMeaning",
        ("all", "all", "third"),
    ),
    "two-items-added": (
        [put(f"{SEQUENCE}[2].CodeMeaning", "third"), put(f"{SEQUENCE}[3].CodeMeaning", "fourth")],
        f"{SEQUENCE}[*].CodeMeaning",
        ("old", "third", "fourth"),
    ),
}


def _ordered_data(syntax: str, *, is_defined: bool = True) -> bytes:
    write = Write(ENCODINGS[syntax])
    items = [write.item(write.element("CodeMeaning", "LO", "old"), is_defined=is_defined), write.item(b"")]
    sequence = write.sequence(SEQUENCE, *items, is_defined=is_defined)
    return packed(sequence + write.element("PatientID", "LO", "old") + write.element("StudyID", "SH", ""), syntax)


@SYNTAXES
@SHAPES
@pytest.mark.parametrize(("edits", "path", "expected"), ORDERED.values(), ids=ORDERED)
def test_edits_apply_in_order(
    syntax: str, is_defined: bool, edits: list[Edit], path: str, expected: tuple[str, ...] | None
) -> None:
    after = spliced(_ordered_data(syntax, is_defined=is_defined), syntax, *edits)
    assert values(after, syntax, path) == expected


@SYNTAXES
@SHAPES
def test_lengths_around_a_nested_edit_follow(syntax: str, is_defined: bool) -> None:
    write = Write(ENCODINGS[syntax])

    def data(meaning: str) -> bytes:
        code = write.item(write.element("CodeMeaning", "LO", meaning) + write.element("00420012", "LO", "x"))
        inner = write.sequence("PurposeOfReferenceCodeSequence", code, is_defined=is_defined)
        outer = write.item(write.element("ReferencedSOPInstanceUID", "UI", "1.2") + inner, is_defined=is_defined)
        other = write.item(write.element("ReferencedSOPInstanceUID", "UI", "1.3"))
        sequence = write.sequence(SEQUENCE, outer, other, is_defined=is_defined)
        length = write.number(0x00080000, "UL", "L", len(sequence))
        return packed(length + sequence + write.element("PatientID", "LO", "X"), syntax)

    path = f"{SEQUENCE}[0].PurposeOfReferenceCodeSequence[0].CodeMeaning"
    after = spliced(data("short"), syntax, put(path, "a much longer meaning"))
    assert unpacked(after, syntax) == unpacked(data("a much longer meaning"), syntax)


def test_edit_inside_a_sequence_that_is_hidden_in_unknown() -> None:
    write, inside = Write(EXPLICIT_LITTLE), Write(IMPLICIT_LITTLE)

    def data(meaning: str) -> bytes:
        return write.element(0x00081140, "UN", inside.item(inside.element("CodeMeaning", "LO", meaning)))

    assert spliced(data("short"), EXPLICIT, put(f"{SEQUENCE}[0].CodeMeaning", "a longer one")) == data("a longer one")


@SYNTAXES
def test_group_length_and_length_to_end_follow(syntax: str) -> None:
    write = Write(ENCODINGS[syntax])

    def data(name: str, sex: bytes) -> bytes:
        patient = write.element("PatientName", "PN", name) + sex
        groups = write.element("Modality", "CS", "MR") + write.number(0x00100000, "UL", "L", len(patient)) + patient
        return packed(write.number(0x00080001, "UL", "L", len(groups)) + groups, syntax)

    after = spliced(data("A", b""), syntax, put("PatientName", "Longer^Name"), put("PatientSex", "O"))
    assert unpacked(after, syntax) == unpacked(data("Longer^Name", write.element("PatientSex", "CS", "O")), syntax)


# --- VRs ---


def test_own_vr_of_an_explicit_stream_is_kept() -> None:
    write = Write(EXPLICIT_LITTLE)
    assert spliced(write.element("PatientID", "SH", "X"), EXPLICIT, put("PatientID", "Y")) == write.element(
        "PatientID", "SH", "Y"
    )
    assert spliced(write.element("PatientID", "UN", "X"), EXPLICIT, put("PatientID", "Y")) == write.element(
        "PatientID", "UN", "Y"
    )
    pixels = write.element("EncapsulatedDocument", "UN", b"ab")
    assert spliced(pixels, EXPLICIT, emptied("EncapsulatedDocument")) == write.element(
        "EncapsulatedDocument", "UN", b""
    )


def test_own_vr_that_takes_no_text_gives_way_to_the_dictionary() -> None:
    write = Write(EXPLICIT_LITTLE)
    after = spliced(write.element("PatientID", "OB", b"XX"), EXPLICIT, put("PatientID", "Y"))
    assert after == write.element("PatientID", "LO", "Y")


@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, EXPLICIT_BIG], ids=["little", "big"])
def test_pixel_representation_decides_us_or_ss(signed: int, encoding: Encoding) -> None:
    write = Write(encoding)
    syntax = BIG if encoding.is_big_endian else EXPLICIT
    data = write.number("PixelRepresentation", "US", "H", signed)
    added = write.number("SmallestImagePixelValue", *(("SS", "h", -1) if signed else ("US", "H", 65535)))
    value = "-1" if signed else "65535"
    assert spliced(data, syntax, put("SmallestImagePixelValue", value)) == data + added


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=["explicit", "implicit"])
def test_private_attributes_of_known_creators(syntax: str) -> None:
    write = Write(ENCODINGS[syntax])
    creator = write.element(0x00090010, "LO", "GEMS_IDEN_01")
    expected = creator + write.number(0x00091027, "SL", "l", 5)
    assert spliced(creator, syntax, put("00091027", "5")) == expected
    assert spliced(b"", syntax, put("00091027", "5"), put("00090010", "GEMS_IDEN_01")) == expected


# --- character sets ---

CHARACTER_SETS = {
    "latin-1": ("ISO_IR 100", "Müller^Jörg"),
    "latin-2": ("ISO_IR 101", "Łódź"),
    "greek": ("ISO_IR 126", "Διονυσιος"),
    "utf-8": ("ISO_IR 192", "王^小東=山田"),
    "gb18030": ("GB18030", "王^小东"),
    "japanese": ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "korean": ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
}


@SYNTAXES
@pytest.mark.parametrize(("name", "text"), CHARACTER_SETS.values(), ids=CHARACTER_SETS)
def test_values_are_written_in_the_objects_character_set(syntax: str, name: str, text: str) -> None:
    write = Write(ENCODINGS[syntax])
    data = packed(write.element("SpecificCharacterSet", "CS", name), syntax)
    after = spliced(data, syntax, put("PatientName", text))
    assert values(after, syntax, "PatientName") == (text,)
    oracle = _read_by_pydicom(after, syntax, ENCODINGS[syntax])
    assert str(oracle.PatientName) == text


def test_items_are_written_in_their_own_character_set() -> None:
    write = Write(EXPLICIT_LITTLE)
    item = write.item(write.element("SpecificCharacterSet", "CS", "ISO_IR 192"))
    data = write.element("SpecificCharacterSet", "CS", "ISO_IR 100") + write.sequence(SEQUENCE, item, write.item(b""))
    after = spliced(data, EXPLICIT, put(f"{SEQUENCE}[*].CodeMeaning", "ü"))
    assert "ü".encode() in after
    assert "ü".encode("latin-1") + b" " in after
    assert values(after, EXPLICIT, f"{SEQUENCE}[*].CodeMeaning") == ("ü", "ü")


# --- what is refused ---

REFUSED = {
    "too-long": (put("PatientSex", "A" * 17), "at most 16"),
    "lower-case-code": (put("Modality", "mr"), "Modality"),
    "no-date": (put("StudyDate", "20260230"), "YYYYMMDD"),
    "no-number": (put("Rows", "many"), "0 to 65535"),
    "out-of-range": (put("Rows", "65536"), "0 to 65535"),
    "no-uid": (put("StudyInstanceUID", "1.02"), "UID"),
    "control-character": (put("PatientID", "a\x1bb"), "control"),
    "two-values-of-one": (put("PatientID", "a", "b"), "1 values"),
    "character-set": (put("PatientName", "山田"), "character set"),
    "ascii-only": (put("StationAETitle", "Ü"), "AE"),
    "unknown-private": (put("00991001", "x"), "VR is unknown"),
    "unknown-public": (put("00189999", "x"), "VR is unknown"),
    "binary": (put("RedPaletteColorLookupTableData", "x"), "VR OW"),
    "empty-uid": (put("SOPInstanceUID"), "empty"),
    "blank-uid": (put("SOPInstanceUID", ""), "empty"),
    "item-beyond-the-next": (put(f"{SEQUENCE}[1].CodeMeaning", "x"), "0 items"),
    "short-vr-overflow": (put("ImageType", *["A" * 16] * 4000), "too long"),
    "no-sequence-there": (put("ReferencedStudySequence[0].CodeMeaning", "x"), "no sequence"),
}


@pytest.mark.parametrize(("edit", "reason"), REFUSED.values(), ids=REFUSED)
def test_values_that_would_make_a_bad_object_are_refused(edit: Edit, reason: str) -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element("SpecificCharacterSet", "CS", "ISO_IR 100") + write.element(0x00081110, "LO", "no items")
    with pytest.raises(Refusal, match=reason) as refusal:
        spliced(data, EXPLICIT, edit)
    assert "山田" not in str(refusal.value)


# --- properties ---

KEYWORDS = [
    "StudyDate",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientSex",
    "StudyID",
    "Rows",
    "ImageComments",
]
TEXTS = {
    "StudyDate": st.dates().map(lambda date: date.strftime("%Y%m%d").zfill(8)),
    "PatientSex": st.sampled_from(["M", "F", "O"]),
    "Rows": st.integers(0, 65535).map(str),
}
WORDS = st.text("abcXYZ 019-_.", min_size=1, max_size=16).map(str.strip).filter(bool)
VRS = dict(zip(KEYWORDS, ["DA", "SH", "PN", "LO", "CS", "SH", "US", "LT"], strict=True))


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, dict[str, tuple[str, ...]]]:
    syntax = draw(st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]))
    chosen = draw(st.lists(st.sampled_from(KEYWORDS), unique=True))
    return syntax, {keyword: (draw(TEXTS.get(keyword, WORDS)),) for keyword in chosen}


@st.composite
def edit_lists(draw: st.DrawFn) -> list[Edit]:
    edits = []
    for keyword in draw(st.lists(st.sampled_from(KEYWORDS), max_size=6)):
        where = draw(st.sampled_from(["always", "present", "missing"]))
        value = draw(st.none() | st.just(()) | TEXTS.get(keyword, WORDS).map(lambda text: (text,)))
        edits.append(Edit(parse(keyword), value, where))  # type: ignore[arg-type]
    return edits


def _encoded(syntax: str, content: dict[str, tuple[str, ...]]) -> bytes:
    write = Write(ENCODINGS[syntax])
    by_tag = sorted((parse(keyword).tag, keyword) for keyword in content)
    parts = []
    for tag, keyword in by_tag:
        value = content[keyword]
        if VRS[keyword] == "US" and value:
            parts.append(write.number(tag, "US", "H", int(value[0])))
        else:
            parts.append(write.element(tag, VRS[keyword], "\\".join(value)))
    return b"".join(parts)


def _model(content: dict[str, tuple[str, ...]], edits: Sequence[Edit]) -> dict[str, tuple[str, ...]]:
    after = dict(content)
    for edit in edits:
        keyword = edit.path.text
        if (edit.where == "present" and keyword not in after) or (
            edit.where == "missing" and any(after.get(keyword, ()))
        ):
            continue
        if edit.value is None:
            after.pop(keyword, None)
        else:
            after[keyword] = edit.value
    return after


@given(objects(), edit_lists())
def test_splicing_is_writing_the_edited_values(made: tuple[str, dict[str, tuple[str, ...]]], edits: list[Edit]) -> None:
    syntax, content = made
    after = spliced(packed(_encoded(syntax, content), syntax), syntax, *edits)
    assert unpacked(after, syntax) == _encoded(syntax, _model(content, edits))
    assert len(after) % 2 == 0
