"""Private attributes by creator: found in whichever block the object has them."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from gateway.dataset.encoding import EXPLICIT_LITTLE
from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.model.association import AssociationFacts
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal
from gateway.routing.facts import ObjectFacts
from gateway.routing.language.attribute_path import parse
from tests.support.data_set_writer import ENCODINGS, EXPLICIT, IMPLICIT, Write, emptied, packed, put, removed
from tests.support.effort import processor_time_below

SYNTAXES = pytest.mark.parametrize("syntax", ENCODINGS)


def _object(syntax: str) -> bytes:
    """Creator ACME has block 12 at the top, block 10 in the items of its sequence; OTHER is the other way round."""
    write = Write(ENCODINGS[syntax])
    item = write.element(0x00990010, "LO", "ACME") + write.element(0x00991001, "LO", "inner")
    item += write.element(0x00990012, "LO", "OTHER") + write.element(0x00991201, "LO", "inner of other")
    return packed(
        write.element(0x00080060, "CS", "MR")
        + write.element(0x00990010, "LO", "OTHER")
        + write.element(0x00990012, "LO", "ACME ")
        + write.element(0x00991001, "LO", "of other")
        + write.element(0x00991201, "LO", "A\\B")
        + write.element(0x00991202, "SH", "")
        + write.sequence(0x00991203, write.item(item), write.item(b"")),
        syntax,
    )


VALUES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "several": ("(0099,[ACME],01)", ("A", "B")),
    "empty": ("(0099,[ACME],02)", ()),
    "other-creator": ("(0099,[OTHER],01)", ("of other",)),
    "element-is-absent": ("(0099,[ACME],77)", None),
    "creator-is-absent": ("(0099,[NOBODY],01)", None),
    "creator-of-another-group": ("(009B,[ACME],01)", None),
    "case-matters": ("(0099,[acme],01)", None),
    "inside-its-sequence": ("(0099,[ACME],03)[0].(0099,[ACME],01)", ("inner",)),
    "every-item": ("(0099,[ACME],03)[*].(0099,[OTHER],01)", ("inner of other",)),
    "item-without-creators": ("(0099,[ACME],03)[1].(0099,[ACME],01)", None),
    "sequence-of-nobody": ("(0099,[OTHER],03)[0].(0099,[ACME],01)", None),
    "by-block-as-well": ("00991201", ("A", "B")),
}


@SYNTAXES
@pytest.mark.parametrize(("text", "expected"), VALUES.values(), ids=VALUES)
def test_values_by_creator(syntax: str, text: str, expected: tuple[str, ...] | None) -> None:
    path = parse(text)
    together = WantedElements([parse(other) for other, _values in VALUES.values()])
    data = memoryview(_object(syntax))
    assert scan(data, syntax, WantedElements([path])).values(path) == expected
    assert scan(data, syntax, together).values(path) == expected


def test_vr_of_unknown_comes_from_the_creator() -> None:
    write = Write(EXPLICIT_LITTLE)
    data = write.element(0x20050015, "LO", "Philips MR Imaging DD 001")
    data += write.element(0x20051500, "UN", struct.pack("<f", 1.5))
    path = parse("(2005,[Philips MR Imaging DD 001],00)")
    assert scan(memoryview(data), EXPLICIT, WantedElements([path])).values(path) == ("1.5",)


def test_deep_paths_by_creator_cost_nothing() -> None:
    with processor_time_below(2):
        WantedElements([parse("(0099,[ACME],03)[*]." * 16 + "(0099,[ACME],01)")])


PLACES = {
    "top": ("(0099,[ACME],01)", ["(0099,[ACME],01)"]),
    "absent": ("(0099,[NOBODY],01)", []),
    "items": ("(0099,[ACME],03)[*].(0099,[ACME],01)", ["(0099,[ACME],03)[0].(0099,[ACME],01)"]),
    "item": ("(0099,[ACME],03)[0].(0099,[ACME],01)", ["(0099,[ACME],03)[0].(0099,[ACME],01)"]),
    "item-without-it": ("(0099,[ACME],03)[1].(0099,[ACME],01)", []),
    "no-such-item": ("(0099,[ACME],03)[7].(0099,[ACME],01)", []),
}


@pytest.mark.parametrize(("text", "expected"), PLACES.values(), ids=PLACES)
def test_places(text: str, expected: list[str]) -> None:
    path = parse(text)
    scanned = scan(memoryview(_object(EXPLICIT)), EXPLICIT, WantedElements([path]))
    assert scanned.level.places(path) == list(map(parse, expected))


EDITED: dict[str, tuple[list[Edit], dict[str, tuple[str, ...] | None]]] = {
    "removed": ([removed("(0099,[ACME],01)")], {"00991201": None, "00991001": ("of other",), "00990012": ("ACME",)}),
    "removed-of-nobody": ([removed("(0099,[NOBODY],01)")], {"00991001": ("of other",), "00991201": ("A", "B")}),
    "emptied": ([emptied("(0099,[OTHER],01)")], {"00991001": (), "00991201": ("A", "B")}),
    "in-items": (
        [removed("(0099,[ACME],03)[*].(0099,[OTHER],01)")],
        {"00991203[0].00991201": None, "00991203[0].00991001": ("inner",)},
    ),
    "new-creator-takes-a-free-block": (
        [put("(2005,[Philips MR Imaging DD 001],5F)", "NORMAL"), put("(2005,[Philips MR Imaging DD 001],60)", "7")],
        {"20050010": ("Philips MR Imaging DD 001",), "2005105F": ("NORMAL",), "20051060": ("7",), "20050011": None},
    ),
    "two-new-creators": (
        [put("(2005,[Philips MR Imaging DD 001],5F)", "A"), put("(2005,[Philips MR Imaging DD 002],37)", "B")],
        {"20050010": ("Philips MR Imaging DD 001",), "20050011": ("Philips MR Imaging DD 002",), "20051137": ("B",)},
    ),
    "new-creator-in-an-item": (
        [put("RequestAttributesSequence[0].(0019,[SIEMENS MR HEADER],08)", "IMAGE NUM 4")],
        {
            "RequestAttributesSequence[0].00190010": ("SIEMENS MR HEADER",),
            "RequestAttributesSequence[0].00191008": ("IMAGE NUM 4",),
        },
    ),
}


@SYNTAXES
@pytest.mark.parametrize(("edits", "expected"), EDITED.values(), ids=EDITED)
def test_edits_by_creator(syntax: str, edits: list[Edit], expected: dict[str, tuple[str, ...] | None]) -> None:
    paths = list(map(parse, expected))
    before = _object(syntax)
    after = memoryview(b"".join(splice(memoryview(before), syntax, edits)))
    assert {path.text: scan(after, syntax, WantedElements(paths)).values(path) for path in paths} == expected
    facts = ObjectFacts(
        AssociationFacts("A", "B", "::1"), "1.2", "1.2", syntax, 0, datetime(2026, 1, 2, tzinfo=UTC),
        scan(memoryview(before), syntax, WantedElements([*paths, *(edit.path for edit in edits)])).level,
    ).edited(edits)  # fmt: skip
    assert {path.text: facts.values(path) for path in paths} == expected


def test_set_keeps_the_vr_of_an_unknown_creators_element() -> None:
    before = _object(EXPLICIT)
    after = b"".join(splice(memoryview(before), EXPLICIT, [put("(0099,[ACME],01)", "A", "C")]))
    assert after == before.replace(b"A\\B", b"A\\C")


def test_set_refuses_an_unknown_creators_element_without_a_vr() -> None:
    with pytest.raises(Refusal, match="its VR is unknown"):
        splice(memoryview(_object(IMPLICIT)), IMPLICIT, [put("(0099,[ACME],01)", "new")])


def test_a_block_that_elements_use_without_a_creator_is_not_free() -> None:
    write = Write(EXPLICIT_LITTLE)
    orphan = write.element(0x20051033, "LO", "whose?")
    data = b"".join(splice(memoryview(orphan), EXPLICIT, [put("(2005,[Philips MR Imaging DD 001],5F)", "A")]))
    assert data == write.element(0x20050011, "LO", "Philips MR Imaging DD 001") + orphan + write.element(
        0x2005115F, "CS", "A"
    )


def test_a_full_group_refuses() -> None:
    write = Write(EXPLICIT_LITTLE)
    full = b"".join(write.element(0x20050000 + block, "LO", f"B{block}") for block in range(0x10, 0x100))
    with pytest.raises(Refusal, match="group 2005 has no block left"):
        splice(memoryview(full), EXPLICIT, [put("(2005,[Philips MR Imaging DD 001],5F)", "A")])


# --- one creator with two blocks ---

BLOCKS = {"first": (0x00991001,), "second": (0x00991101,), "both": (0x00991001, 0x00991101), "none": ()}
"""Where the element is, of the blocks 10 and 11."""
PATH = parse("(0099,[ACME],01)")


def with_blocks(syntax: str, tags: tuple[int, ...]) -> bytes:
    write = Write(ENCODINGS[syntax])
    level = write.element(0x00990010, "LO", "ACME") + write.element(0x00990011, "LO", "ACME")
    level += b"".join(write.element(tag, "LO", f"in {tag:X}") for tag in tags)
    return packed(write.sequence("RequestAttributesSequence", write.item(level)) + level, syntax)


def values_of(data: bytes, syntax: str, *paths: str) -> list[tuple[str, ...] | None]:
    scanned = scan(memoryview(data), syntax, WantedElements(tuple(map(parse, paths))))
    return [scanned.values(parse(path)) for path in paths]


@SYNTAXES
@pytest.mark.parametrize("tags", BLOCKS.values(), ids=BLOCKS)
def test_the_block_that_has_the_element_counts(syntax: str, tags: tuple[int, ...]) -> None:
    data = with_blocks(syntax, tags)
    expected = (f"in {tags[0]:X}",) if tags else None
    assert values_of(data, syntax, PATH.text, f"RequestAttributesSequence[0].{PATH.text}") == [expected, expected]


@SYNTAXES
@pytest.mark.parametrize("tags", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("left", [None, ()], ids=["removed", "emptied"])
def test_nothing_is_left_in_another_block(syntax: str, tags: tuple[int, ...], left: tuple[str, ...] | None) -> None:
    before = with_blocks(syntax, tags)
    where = "always" if left is None else "present"
    inner = parse(f"RequestAttributesSequence[*].{PATH.text}")
    edits = [Edit(PATH, left, where), Edit(inner, left, where)]  # type: ignore[arg-type]
    after = b"".join(splice(memoryview(before), syntax, edits))
    places = [f"{prefix}{tag:08X}" for prefix in ("", "RequestAttributesSequence[0].") for tag in tags]
    assert values_of(after, syntax, *places) == [left] * len(places)
    level = scan(memoryview(before), syntax, WantedElements((PATH, *map(parse, places)))).level
    now = datetime(2026, 11, 21, tzinfo=UTC)
    facts = ObjectFacts(AssociationFacts("A", "B", "10.0.0.1"), "1.2", "1.3", syntax, len(before), now, level)
    assert facts.edited(edits).values(PATH) == (left if tags else None)
