"""Rewrites on bytes: every element is asked about at every level; what is kept keeps its bytes."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from gateway.dataset.encoding import Encoding
from gateway.dataset.rewrite import MAX_LEVELS
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import KEEP, REMOVE, Alteration, Change, Repainted, RewriteElement
from gateway.ports.errors import Refusal, Unreadable
from tests.support.corpus import Part10
from tests.support.data_set_writer import (
    BIG,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    REAL,
    REAL_NAMES,
    Write,
    packed,
    put,
    read_level,
    unpacked,
)
from tests.support.effort import processor_time_below
from tests.support.quick_run import QUICK_RUN
from tests.support.splicing import SHAPES, SYNTAXES, spliced

Answer = Callable[[RewriteElement], Change]

NAMES = frozenset({0x00100010, 0x00080090, 0x00081070, 0x0040A123, 0x00081050})
UIDS = frozenset({0x00081155, 0x0020000D, 0x00080018, 0x00080014})
PIXEL_DATA = 0x7FE00010


@dataclass
class Answers:
    """A rewrite that remembers what it was asked."""

    answer: Answer
    tags: frozenset[int] | None = None
    seen: list[RewriteElement] = field(default_factory=list)

    def __call__(self, element: RewriteElement) -> Change:
        self.seen.append(element)
        return self.answer(element)


def keep(element: RewriteElement) -> Change:
    return KEEP


# --- real objects, against pydicom ---


def without_private(element: RewriteElement) -> Change:
    return REMOVE if element.tag >> 16 & 1 else KEEP


def new_names(element: RewriteElement) -> Change:
    return ("NEW^NAME",) if element.tag in NAMES else KEEP


def new_uids(element: RewriteElement) -> Change:
    return ("1.2.3.4",) if element.tag in UIDS else KEEP


def empty_dates(element: RewriteElement) -> Change:
    return () if element.vr in ("DA", "TM") else KEEP


def without_sequences_below(element: RewriteElement) -> Change:
    return REMOVE if element.vr == "SQ" and element.path else KEEP


def only_patient_and_pixels(element: RewriteElement) -> Change:
    is_kept = element.tag >> 16 in (0x0010, 0x0028, 0x7FE0) or element.tag in (0x00080016, 0x00080018, 0x0020000D)
    return KEEP if is_kept or element.path or element.tag == 0x0020000E else REMOVE


EXPECTED: dict[str, tuple[Answer, frozenset[int] | None, Callable[[int, str, bytes, int], bytes | None]]] = {
    "remove-private": (without_private, None, lambda tag, vr, raw, depth: None if tag >> 16 & 1 else raw),
    "set-names": (new_names, NAMES, lambda tag, vr, raw, depth: b"NEW^NAME" if tag in NAMES else raw),
    "set-uids": (new_uids, UIDS, lambda tag, vr, raw, depth: b"1.2.3.4\0" if tag in UIDS else raw),
    "empty-dates": (empty_dates, None, lambda tag, vr, raw, depth: b"" if vr in ("DA", "TM") else raw),
}
"""(the rewrite's answer, its tags, what pydicom is to read then: tag, VR, value before, depth → value after)."""

Tree = list[tuple[int, str, Any]]


def tree(data_set: pydicom.Dataset, change: Callable[[int, str, bytes, int], bytes | None], depth: int = 0) -> Tree:
    """What pydicom reads: (tag, VR, raw value or items); group lengths aside."""
    found: Tree = []
    for tag in sorted(data_set.keys()):
        if tag.element == 0 or int(tag) == 0x00080001:
            continue
        raw: Any = data_set.get_item(tag)
        vr = raw.VR or "UN"
        if vr == "UN" and pydicom.datadict.dictionary_has_tag(tag):
            vr = pydicom.datadict.dictionary_VR(tag)
        if isinstance(raw.value, pydicom.Sequence) or vr == "SQ":
            items = data_set[tag].value
            if change(int(tag), "SQ", b"", depth) is not None:
                found.append((int(tag), "SQ", [tree(item, change, depth + 1) for item in items]))
            continue
        after = change(int(tag), vr, raw.value or b"", depth)
        if after is not None:
            found.append((int(tag), vr, after))
    return found


def read_by_pydicom(data: bytes, syntax: str, encoding: Encoding) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = io.BytesIO(unpacked(data, syntax))
        return read_dataset(plain, encoding.is_implicit, not encoding.is_big_endian)


WHOLE = [part for part in REAL if part.path.name != "DICOMDIR-nooffset"]
"""Without the one whose item ends behind its sequence."""
WHOLE_NAMES = [name for name, part in zip(REAL_NAMES, REAL, strict=True) if part in WHOLE]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("part", WHOLE, ids=WHOLE_NAMES)
def test_pydicom_reads_what_the_rewrite_said(part: Part10, name: str) -> None:
    answer, tags, change = EXPECTED[name]
    syntax = part.transfer_syntax_uid
    encoding = scan(memoryview(part.data_set), syntax, WantedElements(())).encoding
    after = spliced(part.data_set, syntax, Answers(answer, tags))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = tree(read_by_pydicom(part.data_set, syntax, encoding), change)
        assert tree(read_by_pydicom(after, syntax, encoding), lambda tag, vr, raw, depth: raw) == expected
    check_lengths(unpacked(part.data_set, syntax), unpacked(after, syntax), encoding)


def check_lengths(before: bytes, after: bytes, encoding: Encoding) -> None:
    """Group lengths that were right are right; an element whose tree did not change has its bytes."""
    old, new = read_level(before, encoding), read_level(after, encoding)
    for tag, raw in new:
        if tag & 0xFFFF == 0 and group_bytes(old, tag) == struct.unpack("<L", dict(old)[tag][-4:])[0]:
            assert group_bytes(new, tag) == struct.unpack("<L", raw[-4:])[0]


def group_bytes(elements: list[tuple[int, bytes]], group_length: int) -> int:
    return sum(len(raw) for tag, raw in elements if tag >> 16 == group_length >> 16 and tag != group_length)


@pytest.mark.parametrize("part", WHOLE, ids=WHOLE_NAMES)
def test_what_is_kept_is_not_copied(part: Part10) -> None:
    view = memoryview(part.data_set)
    every = Answers(keep)
    pieces = splice(view, part.transfer_syntax_uid, [every])
    assert len(pieces) == 1
    assert pieces[0] is view
    assert every.seen
    same = Answers(lambda element: element.values or KEEP)
    assert spliced(part.data_set, part.transfer_syntax_uid, same) == part.data_set


@pytest.mark.parametrize("part", WHOLE, ids=WHOLE_NAMES)
def test_top_level_elements_that_are_kept_keep_their_bytes(part: Part10) -> None:
    syntax = part.transfer_syntax_uid
    encoding = scan(memoryview(part.data_set), syntax, WantedElements(())).encoding
    before = read_level(unpacked(part.data_set, syntax), encoding)
    after = read_level(unpacked(spliced(part.data_set, syntax, Answers(only_patient_and_pixels)), syntax), encoding)
    kept = {tag for tag, raw in after if tag & 0xFFFF}
    assert [one for one in after if one[0] & 0xFFFF] == [one for one in before if one[0] in kept]
    assert {0x00080016, 0x00080018} <= kept | ({0x00080016, 0x00080018} - {tag for tag, _ in before})


@pytest.mark.parametrize("part", WHOLE, ids=WHOLE_NAMES)
def test_the_values_shown_are_those_of_the_scan(part: Part10) -> None:
    every = Answers(keep)
    splice(memoryview(part.data_set), part.transfer_syntax_uid, [every])
    shown = {element.tag: element.values for element in reversed(every.seen) if not element.path}
    paths = [AttributePath(tag) for tag in shown]
    scanned = scan(memoryview(part.data_set), part.transfer_syntax_uid, WantedElements(paths))
    assert shown == {path.tag: scanned.values(path) for path in paths}


# --- made by hand ---

SEQUENCE, NAME, MEANING = 0x00400275, 0x00100010, 0x00080104


def nested(syntax: str, *, is_defined: bool, name: str = "A^B") -> bytes:
    write = Write(ENCODINGS[syntax])
    inner = write.sequence(
        0x00400008,
        write.item(write.element(MEANING, "LO", name), is_defined=is_defined),
        is_defined=is_defined,
    )
    items = [write.item(write.element(0x00080050, "SH", "1") + inner, is_defined=is_defined)]
    items.append(write.item(b"", is_defined=is_defined))
    content = write.element(NAME, "PN", name) + write.sequence(SEQUENCE, *items, is_defined=is_defined)
    return packed(content, syntax)


@SYNTAXES
@SHAPES
def test_enclosing_lengths_follow(syntax: str, is_defined: bool) -> None:
    longer = Answers(lambda element: ("LONGER^NAME",) if element.tag in (NAME, MEANING) else KEEP)
    after = spliced(nested(syntax, is_defined=is_defined), syntax, longer)
    assert unpacked(after, syntax) == unpacked(nested(syntax, is_defined=is_defined, name="LONGER^NAME"), syntax)


@SYNTAXES
@SHAPES
def test_what_is_shown(syntax: str, is_defined: bool) -> None:
    every = Answers(keep)
    spliced(nested(syntax, is_defined=is_defined), syntax, every)
    outer, inner = (SEQUENCE, 0), (0x00400008, 0)
    assert [(e.path, e.tag, e.vr, e.values) for e in every.seen] == [
        ((), NAME, "PN", ("A^B",)),
        ((), SEQUENCE, "SQ", ()),
        ((outer,), 0x00080050, "SH", ("1",)),
        ((outer,), 0x00400008, "SQ", ()),
        ((outer, inner), MEANING, "LO", ("A^B",)),
    ]
    assert every.seen[0].length_bytes == 4


@SYNTAXES
@SHAPES
@pytest.mark.parametrize("answer", [(), REMOVE], ids=["empty", "remove"])
def test_sequences(syntax: str, is_defined: bool, answer: Change) -> None:
    after = spliced(
        nested(syntax, is_defined=is_defined), syntax, Answers(lambda e: answer if e.tag == SEQUENCE else KEEP)
    )
    write = Write(ENCODINGS[syntax])
    left = write.sequence(SEQUENCE) if answer == () else b""
    assert unpacked(after, syntax) == write.element(NAME, "PN", "A^B") + left


def test_only_the_tags_are_asked_about_at_every_level() -> None:
    some = Answers(keep, frozenset({MEANING}))
    spliced(nested(EXPLICIT, is_defined=True), EXPLICIT, some)
    assert [(len(element.path), element.tag) for element in some.seen] == [(2, MEANING)]


WRITE = Write(ENCODINGS[EXPLICIT])


def test_private_elements_come_with_their_creator() -> None:
    every = Answers(keep)
    spliced(WRITE.element(0x00090010, "LO", "ACME") + WRITE.element(0x00091041, "LO", "x"), EXPLICIT, every)
    assert [(e.tag, e.private_creator) for e in every.seen] == [(0x00090010, ""), (0x00091041, "ACME")]


def test_a_renamed_creator_changes_nothing_about_what_follows() -> None:
    """As everything is decided on the object before."""
    data = WRITE.element(0x00090010, "LO", "ACME") + WRITE.element(0x00091041, "LO", "x")
    rename = Answers(lambda e: ("OTHER",) if e.tag == 0x00090010 else KEEP)
    after = spliced(data, EXPLICIT, rename)
    assert after == WRITE.element(0x00090010, "LO", "OTHER") + WRITE.element(0x00091041, "LO", "x")
    assert rename.seen[1].private_creator == "ACME"


def test_group_lengths_follow_and_go_with_their_group() -> None:
    kept = WRITE.element(NAME, "PN", "A^B")
    data = (
        WRITE.number(0x00090000, "UL", "L", 12)
        + WRITE.element(0x00090010, "LO", "ACME")
        + WRITE.number(0x00100000, "UL", "L", 12 + 10)
        + kept
        + WRITE.element(0x00100020, "LO", "42")
    )
    gone = Answers(lambda e: REMOVE if e.tag in (0x00090010, 0x00100020) else KEEP)
    assert spliced(data, EXPLICIT, gone) == WRITE.number(0x00100000, "UL", "L", 12) + kept
    assert 0x00100000 not in {element.tag for element in gone.seen}


def test_of_equal_tags_the_first_decision_counts() -> None:
    twice = WRITE.element(NAME, "PN", "A^B") + WRITE.element(NAME, "PN", "C^D")
    assert spliced(twice, EXPLICIT, Answers(lambda e: ("N",))) == WRITE.element(NAME, "PN", "N")
    assert spliced(twice, EXPLICIT, Answers(lambda e: REMOVE)) == b""
    late = Answers(lambda e: REMOVE if e.values == ("C^D",) else KEEP)
    assert spliced(twice, EXPLICIT, late) == WRITE.element(NAME, "PN", "A^B")


def test_specific_character_set_is_not_asked_about() -> None:
    data = WRITE.element(0x00080005, "CS", "ISO_IR 100") + WRITE.element(NAME, "PN", b"M\xfcller")
    every = Answers(lambda e: ("Ärger",))
    assert spliced(data, EXPLICIT, every) == (
        WRITE.element(0x00080005, "CS", "ISO_IR 100") + WRITE.element(NAME, "PN", b"\xc4rger")
    )
    assert [element.values for element in every.seen] == [("Müller",)]


FRAGMENTS = (
    WRITE.header(PIXEL_DATA, "OB", 0xFFFFFFFF)
    + WRITE.item(b"")
    + WRITE.item(b"\xff\xd8\xff\xd9")
    + WRITE.tag(0xFFFEE0DD)
    + bytes(4)
)


def test_encapsulated_pixel_data_is_no_sequence() -> None:
    every = Answers(lambda e: ("1",) if e.tag == 0x00280002 else KEEP)
    data = WRITE.number(0x00280002, "US", "H", 3)
    after = spliced(data + FRAGMENTS, "1.2.840.10008.1.2.4.50", every)
    assert after == WRITE.number(0x00280002, "US", "H", 1) + FRAGMENTS
    assert [(e.tag, e.vr, e.path) for e in every.seen] == [(0x00280002, "US", ()), (PIXEL_DATA, "OB", ())]


def test_repainting_changes_bytes_not_lengths() -> None:
    data = WRITE.element(NAME, "PN", "A^B") + WRITE.element(PIXEL_DATA, "OW", bytes(range(8)))
    paint = Repainted(lambda value: [b"\xff\xff", value[2:]])
    after = spliced(data, EXPLICIT, Answers(lambda e: paint if e.tag == PIXEL_DATA else KEEP))
    assert after == data[:-8] + b"\xff\xff" + bytes(range(2, 8))


UNKNOWN_SEQUENCE = Write(ENCODINGS[IMPLICIT]).item(Write(ENCODINGS[IMPLICIT]).element(MEANING, "LO", "old"))


@SYNTAXES
def test_a_sequence_hidden_in_unknown_is_followed(syntax: str) -> None:
    """UN of undefined length is implicit VR little endian inside (PS3.5 §6.2.2)."""
    write = Write(ENCODINGS[syntax])
    end = write.tag(0xFFFEE0DD) + bytes(4) if syntax == IMPLICIT else struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    head = write.element(0x00090010, "LO", "ACME") + write.header(0x00091001, "UN", 0xFFFFFFFF)
    data = packed(head + UNKNOWN_SEQUENCE + end, syntax)
    after = spliced(data, syntax, Answers(lambda e: ("newer",) if e.tag == MEANING else KEEP))
    newer = Write(ENCODINGS[IMPLICIT]).item(Write(ENCODINGS[IMPLICIT]).element(MEANING, "LO", "newer"))
    assert unpacked(after, syntax) == head + newer + end


# --- refusals ---

REFUSED: dict[str, tuple[bytes, Answer, str]] = {
    "needed-removed": (WRITE.element(0x00080018, "UI", "1.2.3"), lambda e: REMOVE, "cannot be removed"),
    "needed-emptied": (WRITE.element(0x0020000D, "UI", "1.2.3"), lambda e: (), "cannot be empty"),
    "too-long": (WRITE.element(0x00080060, "CS", "MR"), lambda e: ("M" * 17,), "at most 16"),
    "not-a-date": (WRITE.element(0x00080020, "DA", "20260101"), lambda e: ("yesterday",), "VR DA"),
    "too-many": (WRITE.element(0x00080060, "CS", "MR"), lambda e: ("MR", "CT"), "takes 1 values"),
    "not-in-the-character-set": (WRITE.element(NAME, "PN", "A"), lambda e: ("Ω",), "character set"),
    "text-for-a-sequence": (WRITE.sequence(SEQUENCE), lambda e: ("x",), "is a sequence"),
    "fragments-repainted": (FRAGMENTS, lambda e: Repainted(lambda value: [value]), "fragments"),
    "another-length": (WRITE.element(PIXEL_DATA, "OW", "12"), lambda e: Repainted(lambda value: []), "length"),
}


@pytest.mark.parametrize(("data", "answer", "reason"), REFUSED.values(), ids=REFUSED)
def test_bad_answers_are_refused_with_a_reason(data: bytes, answer: Answer, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        spliced(data, EXPLICIT, Answers(answer))


# --- hostile input ---


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big-endian"])
@SHAPES
@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 10_000])
def test_deep_nesting_is_refused_in_no_time(syntax: str, is_defined: bool, levels: int) -> None:
    write = Write(ENCODINGS[syntax])
    length = 0
    heads, tails = [], []
    for _ in range(levels):  # from the inside out
        item = write.tag(0xFFFEE000) + struct.pack(write.order + "L", length if is_defined else 0xFFFFFFFF)
        body = length + 8 + (0 if is_defined else 8)
        heads.append(write.header(SEQUENCE, "SQ", body if is_defined else 0xFFFFFFFF) + item)
        if not is_defined:
            tails.append(write.tag(0xFFFEE00D) + bytes(4) + write.tag(0xFFFEE0DD) + bytes(4))
        length = body + (0 if is_defined else 8) + len(write.header(SEQUENCE, "SQ", 0))
    data = b"".join(reversed(heads)) + b"".join(tails)
    with processor_time_below(4), pytest.raises(Unreadable, match="nested"):
        spliced(data, syntax, Answers(keep))


def test_as_many_levels_as_are_followed() -> None:
    data = WRITE.element(MEANING, "LO", "deep")
    for _ in range(MAX_LEVELS):
        data = WRITE.sequence(SEQUENCE, WRITE.item(data))
    after = spliced(data, EXPLICIT, Answers(lambda e: ("deeper",) if e.tag == MEANING else KEEP))
    assert len(after) == len(data) + 2
    assert b"deeper" in after


@settings(max_examples=QUICK_RUN.examples(200), deadline=None)
@given(st.data())
def test_damaged_objects_are_rewritten_or_refused(data: st.DataObject) -> None:
    whole = bytearray(nested(EXPLICIT, is_defined=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        after = spliced(bytes(whole), EXPLICIT, Answers(lambda e: REMOVE if e.tag == MEANING else KEEP))
    except Refusal:
        return
    scan(memoryview(after), EXPLICIT, WantedElements(()))


# --- several changes ---


def test_changes_are_made_in_order() -> None:
    data = nested(EXPLICIT, is_defined=True)
    seen = Answers(lambda e: (*e.values, "b")[:1] if e.tag == NAME else KEEP)
    after = spliced(data, EXPLICIT, put("PatientName", "First"), seen, put("PatientName", "Last"))
    assert [element.values for element in seen.seen if element.tag == NAME] == [("First",)]
    assert after == nested(EXPLICIT, is_defined=True).replace(
        WRITE.element(NAME, "PN", "A^B"), WRITE.element(NAME, "PN", "Last")
    )


SEVERAL: list[Alteration] = [
    put("PatientName", "First^Name"),
    Answers(without_private),
    put("PatientID", "SECOND"),
    Answers(lambda e: ("1.2.3.4",) if e.tag in UIDS else KEEP),
    Answers(lambda e: REMOVE if e.tag >> 16 > 0x7FE0 else KEEP),
]


@pytest.mark.parametrize("part", WHOLE, ids=WHOLE_NAMES)
def test_all_at_once_is_one_after_the_other(part: Part10) -> None:
    syntax = part.transfer_syntax_uid
    step_by_step = part.data_set
    for change in SEVERAL:
        step_by_step = spliced(step_by_step, syntax, change)
    at_once = spliced(part.data_set, syntax, *SEVERAL)
    assert unpacked(at_once, syntax) == unpacked(step_by_step, syntax)


BEHIND = WRITE.element(0x7FE10010, "LO", "ACME") + WRITE.element(0xFFFCFFFC, "OB", bytes(8))
PIXELS = WRITE.element(PIXEL_DATA, "OW", bytes(1 << 20))


def test_pixels_are_not_copied_pass_by_pass() -> None:
    data = nested(EXPLICIT, is_defined=True) + PIXELS + BEHIND
    pieces = splice(
        memoryview(data), EXPLICIT, [put("PatientName", "A"), Answers(without_private), put("StudyID", "1")]
    )
    assert b"".join(pieces) == (
        WRITE.element(NAME, "PN", "A")
        + WRITE.element("StudyID", "SH", "1")
        + nested(EXPLICIT, is_defined=True)[len(WRITE.element(NAME, "PN", "A^B")) :]
        + PIXELS
        + WRITE.element(0xFFFCFFFC, "OB", bytes(8))
    )
    longest = max(pieces, key=len)
    assert isinstance(longest, memoryview)
    assert longest.obj is data
    assert len(longest) >= 1 << 20


def test_pixels_and_what_follows_are_changed_in_any_pass() -> None:
    data = WRITE.element(NAME, "PN", "A^B") + PIXELS + BEHIND
    gone = Answers(lambda e: REMOVE if e.tag == PIXEL_DATA else KEEP)
    renamed = Answers(lambda e: ("OTHER",) if e.tag == 0x7FE10010 else KEEP)
    after = spliced(data, EXPLICIT, put("PatientName", "A"), gone, renamed, put("PatientName", "B"))
    assert after == (
        WRITE.element(NAME, "PN", "B")
        + WRITE.element(0x7FE10010, "LO", "OTHER")
        + WRITE.element(0xFFFCFFFC, "OB", bytes(8))
    )


def test_elements_out_of_order_are_found_all_the_same() -> None:
    data = PIXELS + WRITE.element(NAME, "PN", "A^B")
    after = spliced(data, EXPLICIT, Answers(keep), put("PatientName", "B"))
    assert after == PIXELS + WRITE.element(NAME, "PN", "B")
