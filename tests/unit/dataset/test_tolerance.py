"""Data sets that break the standard and that archives take: read, edited and re-encoded."""

from __future__ import annotations

import pytest

from gateway.dataset.encoding import EXPLICIT_LITTLE, IMPLICIT_LITTLE, readings_of
from gateway.dataset.reencode import reencode
from gateway.dataset.scan import at_once, checking_lengths, parse, scan, scanning
from gateway.dataset.scanned_level import wanted
from gateway.dataset.splice import splice
from gateway.ports.edits import KEEP, REMOVE, Change, Edit, RewriteElement
from gateway.ports.errors import Unreadable
from gateway.routing.language.attribute_path import parse as path
from tests.support.odd_objects import EXPLICIT, ITEM_END, METHOD_CODES, SEQUENCE_END, OddObject, odd_objects

OBJECTS = odd_objects()
BY_NAME = {one.name: one for one in OBJECTS}
EVERY_OBJECT = pytest.mark.parametrize("odd", OBJECTS, ids=lambda odd: odd.name)
AT_THE_DOOR = {"odd_length"}
"""Rows that concern the message and not its elements."""


@EVERY_OBJECT
def test_facts_are_read_and_what_is_odd_is_named(odd: OddObject) -> None:
    scanned = scan(memoryview(odd.data), odd.transfer_syntax_uid, wanted((path("PatientID"), path("SOPInstanceUID"))))
    assert scanned.values(path("PatientID")) == ("PID1",)
    assert scanned.values(path("SOPInstanceUID")) == (odd.sop_instance_uid,)
    assert sorted(scanned.oddities) == [kind for kind in odd.kinds if kind not in AT_THE_DOOR]


@EVERY_OBJECT
def test_read_in_steps_it_is_the_same(odd: OddObject) -> None:
    """As large objects are."""
    pixels = b"\xe0\x7f\x10\x00" + (b"OB\0\0" if odd.transfer_syntax_uid == EXPLICIT else b"") + b"\0\x80\0\0"
    if b"\xe0\x7f\x10\x00" in odd.data or "behind" in odd.name:
        pytest.skip("nothing can be put behind it")
    data = odd.data + pixels + bytes(0x8000)
    scanned = at_once(scanning(memoryview(data), odd.transfer_syntax_uid, wanted((path("PatientID"),))))
    assert scanned.values(path("PatientID")) == ("PID1",)
    assert sorted(scanned.oddities) == [kind for kind in odd.kinds if kind not in AT_THE_DOOR]


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("nothing odd", True),
        ("VR of two spaces", False),
        ("VR of the future", False),
        ("end of an item behind", False),
        ("zeros behind", False),
    ],
)
def test_to_the_letter(name: str, is_taken: bool) -> None:
    odd = BY_NAME[name]
    reading = scanning(memoryview(odd.data), odd.transfer_syntax_uid, wanted((path("PatientID"),)), is_strict=True)
    if is_taken:
        assert not at_once(reading).oddities
        return
    with pytest.raises(Unreadable, match="byte"):
        at_once(reading)


def test_lengths_to_the_letter() -> None:
    at_once(checking_lengths(memoryview(BY_NAME["nothing odd"].data), EXPLICIT_LITTLE))
    with pytest.raises(Unreadable, match="odd length"):
        at_once(checking_lengths(memoryview(BY_NAME["two odd values"].data), EXPLICIT_LITTLE))


@pytest.mark.parametrize("name", ["nothing odd", "nothing odd (implicit)"])
@pytest.mark.parametrize("place", [b"", b"\x10\x00\x20\x00", b"\x20\x00\x0d\x00"], ids=["first", "before", "behind"])
@pytest.mark.parametrize("ends", [ITEM_END, ITEM_END + SEQUENCE_END, ITEM_END * 2], ids=["item", "both", "two"])
@pytest.mark.parametrize("more", [0, 0x8000], ids=["small", "in steps"])
def test_elements_behind_an_end_of_an_item_are_not_taken(name: str, place: bytes, ends: bytes, more: int) -> None:
    """dcmtk and pydicom pass over them without a word, Orthanc refuses the object."""
    odd = BY_NAME[name]
    at = odd.data.index(place)
    pixels = b"\xe0\x7f\x10\x00" + (b"OB\0\0" if odd.transfer_syntax_uid == EXPLICIT else b"")
    data = odd.data[:at] + ends + odd.data[at:] + (pixels + more.to_bytes(4, "little") + bytes(more) if more else b"")
    with pytest.raises(Unreadable):
        scan(memoryview(data), odd.transfer_syntax_uid, wanted((path("PatientID"),)))


def test_a_vr_that_is_none_is_read_by_the_dictionary() -> None:
    for name in ("VR of two spaces", "VR of the future"):
        odd = BY_NAME[name]
        scanned = scan(memoryview(odd.data), odd.transfer_syntax_uid, wanted((path("PatientAge"),)))
        assert scanned.values(path("PatientAge")) == ("012Y",)
        assert "(0010,1010)" in scanned.oddities["unknown_vr"]


def test_text_in_a_sequence_has_no_items_for_rules() -> None:
    asked = path("DeidentificationMethodCodeSequence[0].CodeValue")
    for name in ("text in a sequence", "text in a sequence (implicit)", "short text in a sequence (implicit)"):
        odd = BY_NAME[name]
        scanned = scan(memoryview(odd.data), odd.transfer_syntax_uid, wanted((asked, path("PatientID"))))
        assert scanned.values(asked) is None
        assert list(scanned.oddities) == ["sequence_without_items"]


@EVERY_OBJECT
def test_an_edit_changes_nothing_else(odd: OddObject) -> None:
    """PID1 and PID9 have the same length: the rest of the bytes stays where it is."""
    edited = b"".join(splice(memoryview(odd.data), odd.transfer_syntax_uid, [Edit(path("PatientID"), ("PID9",))]))
    duplicate = odd.name == "an attribute twice"  # is written once
    assert edited == (
        odd.data.replace(b"PID1", b"PID9")
        if not duplicate
        else odd.data[: odd.data.index(b"PID1")] + b"PID9" + odd.data[odd.data.index(b"PID2") + 4 :]
    )


def test_a_zero_behind_goes_when_it_makes_the_length_odd() -> None:
    odd = BY_NAME["odd value and a zero behind"]
    edited = b"".join(splice(memoryview(odd.data), EXPLICIT, [Edit(path("PatientAge"), ("012Y",))]))
    assert len(edited) % 2 == 0
    assert edited == odd.data[:-1].replace(b"AS\x03\x0012Y", b"AS\x04\x00012Y")


class Renaming:
    """Looks at everything, and changes the patient's ID."""

    tags = None

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []

    def __call__(self, element: RewriteElement) -> Change:
        self.seen.append((element.tag, element.vr))
        return ("PID9",) if element.tag == 0x00100020 and element.values == ("PID1",) else KEEP


@EVERY_OBJECT
def test_a_rewrite_of_the_whole_changes_nothing_else(odd: OddObject) -> None:
    renaming = Renaming()
    edited = b"".join(splice(memoryview(odd.data), odd.transfer_syntax_uid, [renaming]))
    if odd.name == "an attribute twice":  # what is decided on one counts for those after it
        assert edited.count(b"PID9") == 1
        return
    assert edited == odd.data.replace(b"PID1", b"PID9")
    if odd.name.startswith("VR of") and "in an item" in odd.name:
        assert (0x00080100, "SH") in renaming.seen
    if "text in" in odd.name:
        assert (METHOD_CODES, "UN") in renaming.seen


class Removing:
    """Takes one element away."""

    tags = frozenset({METHOD_CODES})

    def __call__(self, element: RewriteElement) -> Change:
        return REMOVE


@pytest.mark.parametrize(
    "odd", [one for one in OBJECTS if "inside" in one.name or "text in" in one.name], ids=lambda odd: odd.name
)
def test_a_rewrite_removes_it(odd: OddObject) -> None:
    edited = b"".join(splice(memoryview(odd.data), odd.transfer_syntax_uid, [Removing()]))
    plain = BY_NAME["nothing odd (implicit)" if "implicit" in odd.name else "nothing odd"]
    assert edited == plain.data.replace(plain.sop_instance_uid.encode(), odd.sop_instance_uid.encode()) or (
        len(plain.sop_instance_uid) != len(odd.sop_instance_uid) and b"113100" not in edited
    )


@EVERY_OBJECT
def test_both_native_forms(odd: OddObject) -> None:
    """What comes out is to the letter, but for odd lengths."""
    view, _, encoding = parse(memoryview(odd.data), odd.transfer_syntax_uid, wanted(()).selection)
    for target, syntax in ((EXPLICIT_LITTLE, EXPLICIT), (IMPLICIT_LITTLE, "1.2.840.10008.1.2")):
        if target == encoding and not encoding.is_tolerant:
            continue
        made = memoryview(b"".join(reencode(view, encoding, target)))
        scanned = at_once(scanning(made, syntax, wanted((path("PatientID"), path("PatientAge"))), is_strict=True))
        assert scanned.values(path("PatientID")) == ("PID1",)
        if b"012Y" in odd.data:
            assert scanned.values(path("PatientAge")) == ("012Y",)


def test_text_in_a_sequence_becomes_unknown() -> None:
    odd = BY_NAME["text in a sequence (implicit)"]
    made = b"".join(reencode(memoryview(odd.data), IMPLICIT_LITTLE, EXPLICIT_LITTLE))
    assert b"\x12\x00\x64\x00UN\0\0\x14\0\0\x00113100 Basic Profile" in made


def test_a_tolerant_reading_is_the_last() -> None:
    assert [one.is_tolerant for one in readings_of(EXPLICIT)] == [False, False, True]
