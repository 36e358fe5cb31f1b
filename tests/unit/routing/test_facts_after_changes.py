"""Facts after changes say what a scan of the changed bytes says: both decide alike."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dataset.scan import scan
from gateway.dataset.scanned_level import WantedElements
from gateway.dataset.splice import splice
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import KEEP, REMOVE, Alteration, Change, Edit, Recode, RewriteElement
from gateway.ports.errors import Refusal
from gateway.routing.facts import ObjectFacts
from gateway.routing.language.attribute_path import parse
from tests.support.corpus import Part10
from tests.support.data_set_writer import ENCODINGS, EXPLICIT, REAL, REAL_NAMES, Write
from tests.support.quick_run import QUICK_RUN
from tests.unit.routing.build import ASSOCIATION, NOW

READ = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "Rows",
    "RequestAttributesSequence",
    "RequestAttributesSequence[*].AccessionNumber",
    "RequestAttributesSequence[0].ScheduledProtocolCodeSequence[*].CodeMeaning",
    "ReferencedImageSequence[*].ReferencedSOPInstanceUID",
    "00090010",
    "00091001",
    "00290010",
)
PATHS = tuple(map(parse, READ))


@dataclass(frozen=True)
class Rules:
    """A rewrite by tag."""

    by_tag: dict[int, Change]
    other: Change = KEEP
    tags: frozenset[int] | None = None

    def __call__(self, element: RewriteElement) -> Change:
        return self.by_tag.get(element.tag, self.other if element.tag >> 16 & 1 else KEEP)


@dataclass(frozen=True)
class Shown:
    """A rewrite that answers with what it was shown, so that every difference shows."""

    tags: frozenset[int] | None = field(default_factory=lambda: frozenset(path.tag for path in PATHS))

    def __call__(self, element: RewriteElement) -> Change:
        if element.vr in ("LO", "SH", "PN"):
            shown = f"{element.vr} {len(element.path)} {element.private_creator[:4]} {element.length_bytes}"
            return (shown[:16],)
        return KEEP


def facts_of(data: bytes, syntax: str) -> ObjectFacts:
    level = scan(memoryview(data), syntax, WantedElements(PATHS)).level
    return ObjectFacts(ASSOCIATION, "1.2.3", "4.5.6", syntax, len(data), NOW, level)


def values_of(facts: ObjectFacts) -> dict[str, tuple[str, ...] | None]:
    return {path.text: facts.values(path) for path in PATHS}


def check(data: bytes, syntax: str, changes: list[Alteration]) -> None:
    try:
        after = b"".join(splice(memoryview(data), syntax, changes))
    except Refusal:
        return
    before = facts_of(data, syntax)
    known = values_of(before)
    changed = before.edited(changes)
    assert values_of(changed) == values_of(facts_of(after, syntax))
    assert values_of(before) == known
    for name, found in (("SOPClassUID", changed.sop_class_uid), ("SOPInstanceUID", changed.sop_instance_uid)):
        expected = changed.values(parse(name)) or ("1.2.3" if name == "SOPClassUID" else "4.5.6",)
        assert found == expected[0]


REWRITES: dict[str, list[Alteration]] = {
    "names": [Rules({0x00100010: ("NEW^NAME",), 0x00080104: ("new",)})],
    "private-gone": [Rules({}, REMOVE)],
    "uids": [Rules({0x00080018: ("9.8.7",), 0x00080016: ("9.9",), 0x00081155: ("9.8.7",), 0x0020000D: ("9.1",)})],
    "sequences-gone": [Rules({0x00081140: REMOVE, 0x00400275: ()})],
    "empty": [Rules({0x00100010: (), 0x00100030: (), 0x00280010: ()})],
    "as-shown": [Shown()],
    "after-an-edit": [Edit(parse("PatientName"), ("Edited^Name",)), Shown()],
    "before-an-edit": [
        Rules({0x00400275: REMOVE}),
        Edit(parse("RequestAttributesSequence[0].AccessionNumber"), ("X",)),
    ],
    "character-set": [Recode(("ISO_IR 192",), ("ISO_IR 100",)), Edit(parse("PatientName"), ("Ωmega",))],
}


@pytest.mark.parametrize("changes", REWRITES.values(), ids=REWRITES)
def test_of_real_objects(changes: list[Alteration]) -> None:
    for part in REAL:
        check(part.data_set, part.transfer_syntax_uid, changes)


WRITE = Write(ENCODINGS[EXPLICIT])


def made(codes: int) -> bytes:
    item = WRITE.item(
        WRITE.element("AccessionNumber", "SH", "1")
        + WRITE.sequence(0x00400008, *[WRITE.item(WRITE.element("CodeMeaning", "LO", f"c{n}")) for n in range(codes)])
    )
    return (
        WRITE.element("Modality", "CS", "MR")
        + WRITE.element(0x00090010, "LO", "ACME")
        + WRITE.element(0x00091001, "LO", "private")
        + WRITE.element("PatientName", "PN", "A^B")
        + WRITE.element("PatientID", "LO", "42")
        + WRITE.sequence("RequestAttributesSequence", item, WRITE.item(b""))
    )


answers = st.sampled_from([KEEP, REMOVE, (), ("NEW",), ("A", "B")])
rewrites = st.builds(
    Rules,
    st.dictionaries(
        st.sampled_from([path.tag for path in PATHS] + [0x00080050, 0x00080104, 0x00400008]), answers, max_size=5
    ),
    answers,
)
edits = st.builds(
    Edit,
    st.sampled_from([path for path in PATHS if path.text.startswith(("Patient", "Request")) and path.steps != ()])
    | st.just(parse("PatientID")),
    st.sampled_from([None, (), ("E",)]),
    st.sampled_from(["always", "present", "missing"]),
)


@settings(max_examples=QUICK_RUN.examples(300), deadline=None)
@given(st.lists(rewrites | edits | st.just(Shown()), max_size=4), st.integers(0, 2))
def test_of_any_changes(changes: list[Alteration], codes: int) -> None:
    check(made(codes), EXPLICIT, changes)


CYRILLIC = bytes((0xB8, 0xD2, 0xD0, 0xDD))
UNDECLARED = Recode(("ISO_IR 192",), ("ISO_IR 144",))
"""What the object leaves open is not the default of whoever reads it."""


@pytest.mark.parametrize("own_set", [b"", b"ISO_IR 6", b"ISO_IR 100"])
@pytest.mark.parametrize(
    "more",
    [
        (),
        (Edit(parse("RequestAttributesSequence[*].AccessionNumber"), ("1",)), Edit(parse("PatientID"), ("2",))),
        (Edit(parse("RequestAttributesSequence[1].AccessionNumber"), ("1",)), Rules({0x00090010: REMOVE})),
        (UNDECLARED,),
    ],
    ids=["alone", "then edits", "then an item and a rewrite", "twice"],
)
def test_text_without_a_character_set_is_read_as_the_recoding_reads_it(
    own_set: bytes, more: tuple[Alteration, ...]
) -> None:
    codes = WRITE.sequence(0x00400008, WRITE.item(WRITE.element("CodeMeaning", "LO", CYRILLIC)))
    of_item = WRITE.element("SpecificCharacterSet", "CS", own_set) if own_set else b""
    data = (
        WRITE.element("PatientName", "PN", CYRILLIC)
        + WRITE.element("PatientID", "LO", CYRILLIC)
        + WRITE.sequence(
            "RequestAttributesSequence",
            WRITE.item(of_item + WRITE.element("AccessionNumber", "SH", CYRILLIC) + codes),
            WRITE.item(WRITE.element("AccessionNumber", "SH", CYRILLIC)),
        )
    )
    check(data, EXPLICIT, [UNDECLARED, *more])
    assert facts_of(data, EXPLICIT).edited([UNDECLARED]).values(parse("PatientName")) == ("Иван",)


def test_a_rewrite_is_shown_what_an_edit_gave() -> None:
    shown: list[RewriteElement] = []

    class Looking:
        tags = frozenset({0x00100020})

        def __call__(self, element: RewriteElement) -> Change:
            shown.append(element)
            return KEEP

    changes: list[Alteration] = [Edit(parse("PatientID"), ("12345",)), Looking()]
    splice(memoryview(made(0)), EXPLICIT, changes)
    facts_of(made(0), EXPLICIT).edited(changes)
    on_bytes, on_facts = shown
    assert (on_facts.values, on_facts.vr, on_facts.length_bytes) == (on_bytes.values, on_bytes.vr, 6)
    assert on_bytes.length_bytes == 6


@pytest.mark.parametrize("part", REAL, ids=REAL_NAMES)
def test_elements_are_shown_alike(part: Part10) -> None:
    """Of the bytes and of the scan: VR, creator, values, length."""
    if part.path.name == "DICOMDIR-nooffset":
        return
    on_bytes: dict[int, tuple[object, ...]] = {}

    class Looking:
        tags = None

        def __call__(self, element: RewriteElement) -> Change:
            told = (element.vr, element.private_creator, element.values, element.length_bytes)
            if not element.path:
                on_bytes.setdefault(element.tag, told)
            return KEEP

    splice(memoryview(part.data_set), part.transfer_syntax_uid, [Looking()])
    paths = [AttributePath(tag) for tag in on_bytes]
    level = scan(memoryview(part.data_set), part.transfer_syntax_uid, WantedElements(paths)).level
    for path in paths:
        one = level.shown(path.tag, ())
        assert (one.vr, one.private_creator, one.values, one.length_bytes) == on_bytes[path.tag], hex(path.tag)


def seconds_to_edit(count: int) -> float:
    """Of so many items, each by an edit of its own, as actions on ``[*]`` make them."""
    path = parse("RequestAttributesSequence[*].AccessionNumber")
    item = WRITE.item(WRITE.element("AccessionNumber", "SH", "1"))
    facts = facts_of(WRITE.sequence("RequestAttributesSequence", item * count), EXPLICIT)
    edits = [Edit(replace(path, steps=((path.steps[0][0], index),)), (str(index),)) for index in range(count)]
    started = time.thread_time()
    after = facts.edited(edits)
    seconds = time.thread_time() - started
    assert after.values(path) == tuple(map(str, range(count)))
    assert facts.values(path) == ("1",) * count
    return seconds


@pytest.mark.campaign
def test_an_edit_an_item_costs_the_same_however_many_items_there_are() -> None:
    few = min(seconds_to_edit(5_000) for _ in range(3))
    many = min(seconds_to_edit(80_000) for _ in range(2))
    assert many < 16 * 5 * few  # 16 times as many; in the square it would be 256
