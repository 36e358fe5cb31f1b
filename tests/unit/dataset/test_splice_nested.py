"""Edits inside sequences of any shape: the bytes are those of the edited tree, written anew by a second writer.

The tree is the model: elements by tag, items with their own elements, and of each sequence and item whether its length
is defined. What no edit names keeps its shape; what edits add has defined lengths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dataset.splice import splice
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal
from gateway.routing.language.attribute_path import parse
from tests.support.data_set_writer import BIG, DEFLATED, ENCODINGS, EXPLICIT, IMPLICIT, Write, packed, unpacked
from tests.support.quick_run import QUICK_RUN

TEXTS = {parse(name).tag: vr for name, vr in (("CodeValue", "SH"), ("CodeMeaning", "LO"), ("PatientID", "LO"))}
SEQUENCES = [parse(name).tag for name in ("ReferencedStudySequence", "RequestAttributesSequence")]


@dataclasses.dataclass
class Items:
    """A sequence."""

    items: list[Tree]
    is_defined: bool = True


@dataclasses.dataclass
class Tree:
    """A data set or an item."""

    elements: dict[int, str | Items]
    is_defined: bool = True


class TooFar(Exception):
    """An item behind the next one."""


def encoded(tree: Tree, write: Write) -> bytes:
    return b"".join(
        write.sequence(tag, *(_item(item, write) for item in value.items), is_defined=value.is_defined)
        if isinstance(value, Items)
        else write.element(tag, TEXTS[tag], value)
        for tag, value in sorted(tree.elements.items())
    )


def _item(item: Tree, write: Write) -> bytes:
    return write.item(encoded(item, write), is_defined=item.is_defined)


def edit_tree(tree: Tree, edit: Edit, depth: int = 0) -> None:
    """Changes `tree` as `edit` says. Raises TooFar."""
    if depth == len(edit.path.steps):
        _give(tree, edit.path.tag, edit)
        return
    tag, index = edit.path.steps[depth]
    is_adding = edit.value is not None and edit.where != "present"
    known = tree.elements.get(tag)
    items = known.items if isinstance(known, Items) else []
    if index is None:
        for item in items:
            edit_tree(item, edit, depth + 1)
        return
    if index < len(items):
        edit_tree(items[index], edit, depth + 1)
        return
    if not is_adding:
        return
    if index > len(items):
        raise TooFar
    added = Tree({})
    edit_tree(added, edit, depth + 1)
    if isinstance(known, Items):
        known.items.append(added)
    else:
        tree.elements[tag] = Items([added])


def _give(tree: Tree, tag: int, edit: Edit) -> None:
    known = tree.elements.get(tag)
    is_filled = bool(known.items if isinstance(known, Items) else known)
    if (edit.where == "present" and known is None) or (edit.where == "missing" and is_filled):
        return
    if edit.value is None:
        tree.elements.pop(tag, None)
    else:
        tree.elements[tag] = Items([]) if tag in SEQUENCES else "\\".join(edit.value)


def trees(depth: int) -> st.SearchStrategy[Tree]:
    texts = st.dictionaries(st.sampled_from(sorted(TEXTS)), st.sampled_from(["", "A", "AB", "ABC"]), max_size=3)
    if depth == 0:
        return st.builds(Tree, texts, st.booleans())
    below = st.builds(Items, st.lists(trees(depth - 1), max_size=3), st.booleans())
    nested = st.dictionaries(st.sampled_from(SEQUENCES), below, max_size=2)
    return st.builds(lambda one, other, is_defined: Tree({**one, **other}, is_defined), texts, nested, st.booleans())


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    count = draw(st.integers(0, 2))
    index = st.none() | st.integers(0, 3)
    steps = tuple((draw(st.sampled_from(SEQUENCES)), draw(index)) for _ in range(count))
    tag = draw(st.sampled_from([*TEXTS, *SEQUENCES]))
    value = draw(st.sampled_from([None, ()]) if tag in SEQUENCES else st.sampled_from([None, (), ("X",), ("XYZ",)]))
    where = draw(st.sampled_from(["always", "always", "present", "missing"]))
    return Edit(AttributePath(tag, steps, "x"), value, where)  # type: ignore[arg-type]


def changed(tree: Tree, some: list[Edit]) -> Iterator[Tree]:
    """`tree` after all edits; nothing when one of them is too far."""
    try:
        for edit in some:
            edit_tree(tree, edit)
    except TooFar:
        return
    yield tree


@pytest.mark.parametrize(
    "syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED], ids=["explicit", "implicit", "big-endian", "deflated"]
)
@settings(max_examples=QUICK_RUN.examples(200), deadline=None)
@given(trees(2), st.lists(edits(), min_size=1, max_size=5))
def test_the_bytes_are_those_of_the_edited_tree(syntax: str, tree: Tree, some: list[Edit]) -> None:
    write = Write(ENCODINGS[syntax])
    before = packed(encoded(tree, write), syntax)
    expected = [encoded(after, write) for after in changed(tree, some)]
    if not expected:
        with pytest.raises(Refusal, match="the sequence has"):
            splice(memoryview(before), syntax, some)
        return
    after = b"".join(splice(memoryview(before), syntax, some))
    assert unpacked(after, syntax) == expected[0]
