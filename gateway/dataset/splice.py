"""Edits made on the bytes of an encoded data set: what no edit names keeps its bytes.

A new element goes where its tag belongs in the order of the bytes; an element that is there twice is written once.
Lengths of the enclosing items and sequences, group lengths (gggg,0000) of edited groups and Length to End (0008,0001)
follow the edits. An edit inside a sequence that has one item less than the edit's index adds that item.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from gateway.dataset.dictionary import (
    PIXEL_REPRESENTATION,
    SPECIFIC_CHARACTER_SET,
    creator_of,
    is_private,
    name_of,
)
from gateway.dataset.elements import EVERY, SEQUENCE_VRS, Element, Item, TagSelection, inside, selection_of
from gateway.dataset.encoding import DEFLATED, Encoding, deflate
from gateway.dataset.header_pattern import HeaderFit
from gateway.dataset.inflation import inflate
from gateway.dataset.items import items, may_hold_items
from gateway.dataset.level import (
    LENGTH_TO_END,
    NEVER_EMPTY,
    EncodedLevel,
    Replacement,
    length_of,
)
from gateway.dataset.original import recorded
from gateway.dataset.private import (
    creators_of_group,
    found_tags,
    here,
    no_block_left,
    placed,
    possible_tags,
    takes_away,
    with_block,
)
from gateway.dataset.recode import recoded
from gateway.dataset.repeated_edits import note, repeated
from gateway.dataset.rewrite import rewritten
from gateway.dataset.scan import parse
from gateway.dataset.walk import walk
from gateway.dataset.writer import Pieces, item_header
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import Alteration, Edit, OriginalAttributes, Recode
from gateway.ports.errors import Refusal, Unreadable

PIXELS = 0x7FE00000
"""The first tag of pixels; elements of higher groups follow."""


def splice(
    view: memoryview, transfer_syntax_uid: str, changes: Sequence[Alteration], fit: HeaderFit | None = None
) -> Pieces:
    """The pieces of the edited data set, in order: views of the original and new bytes.

    Edits that follow each other are made in one pass, every rewrite in one of its own. Without an effective change the
    only piece is `view`. A deflated data set is inflated and deflated again. `fit` is of `view`, and spares a walk.

    Raises:
        Refusal: a value that its VR or the character set cannot hold, an unknown VR, an item that is not there.
        Unreadable: the bytes are not a data set in this transfer syntax.
    """
    if not changes:
        return [view]
    if fit is not None and (same := repeated(view, changes, fit)) is not None:
        return same
    is_deflated = transfer_syntax_uid in DEFLATED
    plain = inflate(view, is_tolerant=True) if is_deflated else view
    passes = list(_passes(changes))
    edits = _edits(passes[0][1])
    is_one_pass = edits and len(passes) == 1
    selection = _selection(edits, 0) if is_one_pass else EVERY
    if is_one_pass and fit is not None:
        found, encoding = fit.found(selection), fit.encoding
    else:
        plain, found, encoding = parse(plain, transfer_syntax_uid, selection)
    make = partial(_in_one_pass, fit=fit) if is_one_pass else _in_passes
    try:
        pieces = make(plain, found, encoding, passes)
    except Unreadable:  # inside a sequence
        if encoding.is_tolerant:
            raise
        pieces = make(plain, found, encoding.tolerant(), passes)
    if pieces is None:
        return [view]
    if is_one_pass and fit is not None:
        note(view, changes, fit)
    if encoding.notes and "zeros_behind" in encoding.notes and length_of(pieces) % 2:
        pieces[-1] = pieces[-1][:-1]  # a zero that made the length even, which it does not any more
    return [deflate(pieces)] if is_deflated else pieces


Pass = tuple[int, Sequence[Alteration]]
"""Position of the first, and the changes that are made together."""
Parts = tuple[memoryview, ...]
"""The parts of one data set: the bytes before the pixel data, and the rest, so that pixels are not copied pass by pass.
"""


def _in_one_pass(
    plain: memoryview, found: list[Element], encoding: Encoding, passes: Sequence[Pass], fit: HeaderFit | None
) -> Pieces | None:
    level = _EditedLevel(plain, found, 0, len(plain), encoding, None)
    level.fit = fit
    return level.edited(_edits(passes[0][1]), 0)


def _in_passes(plain: memoryview, found: list[Element], encoding: Encoding, passes: Sequence[Pass]) -> Pieces | None:
    at = _pixels_at(found, len(plain))
    parts: Parts = (plain[:at], plain[at:]) if at < len(plain) else (plain,)
    snapshots: dict[int, Parts] = {}
    pieces: list[Pieces] = [[part] for part in parts]
    is_changed = False
    for position, some in passes:
        snapshots[position] = parts
        before = snapshots[position - some[0].since] if isinstance(some[0], OriginalAttributes) else parts
        changed = _changed(parts, encoding, some, before)
        if changed == [None] * len(parts):
            continue
        is_changed = True
        pieces = [old if new is None else new for old, new in zip(pieces, changed, strict=True)]
        if position != passes[-1][0]:
            both = zip(parts, changed, strict=True)
            parts = tuple(part if new is None else memoryview(b"".join(new)) for part, new in both)
    return [piece for some_pieces in pieces for piece in some_pieces] if is_changed else None


def _pixels_at(found: Sequence[Element], end: int) -> int:
    """The start of the group of pixel data, when only it and later elements lie behind; else `end`."""
    if any(element.tag == LENGTH_TO_END for element in found):
        return end
    behind = [element for element in found if element.tag >= PIXELS]
    in_order = found[len(found) - len(behind) :] == behind
    return behind[0].start if behind and in_order else end


def _edits(changes: Sequence[Alteration]) -> list[Edit]:
    return [change for change in changes if isinstance(change, Edit)]


def _passes(changes: Sequence[Alteration]) -> Iterator[tuple[int, Sequence[Alteration]]]:
    """(position of the first, changes that are made together). A pass begins where a record looks back to, and with an
    edit of a sequence that edits before it went into."""
    begins = {
        position - change.since for position, change in enumerate(changes) if isinstance(change, OriginalAttributes)
    }
    start = 0
    entered: set[tuple[int, ...]] = set()
    for position, change in enumerate(changes):
        goes_on = isinstance(change, Edit) and isinstance(changes[start], Edit) and position not in begins
        if position > start and not (goes_on and _tags(change) not in entered):
            yield start, changes[start:position]
            start = position
            entered = set()
        if isinstance(change, Edit) and change.path.steps:
            tags = _tags(change)
            entered |= {tags[:depth] for depth in range(1, len(tags))}
    if changes:
        yield start, changes[start:]


def _tags(change: Alteration) -> tuple[int, ...]:
    """The tags of the sequences that an edit goes into, and of the elements that it edits there."""
    assert isinstance(change, Edit)
    return (*(tag for tag, _index in change.path.steps), change.path.tag)


def _changed(parts: Parts, encoding: Encoding, some: Sequence[Alteration], before: Parts) -> list[Pieces | None]:
    """The pieces of each part after one pass; None when it does not change. `before` is what a record compares with."""
    edits = _edits(some)
    if edits:
        return _edited(parts, encoding, edits)
    (change,) = some
    levels = _levels(parts, encoding)
    match change:
        case OriginalAttributes():
            return [recorded(_levels(before, encoding)[0], levels[0], change), *[None] * (len(parts) - 1)]
        case Recode():
            return [recoded(level, change) for level in levels]
        case Edit():
            return [None] * len(parts)
    return [rewritten(level, change) for level in levels]


def _levels(parts: Parts, encoding: Encoding) -> list[EncodedLevel]:
    """The levels with all their own elements; the first part's character set holds for the others."""
    levels: list[EncodedLevel] = []
    for part in parts:
        found = walk(part, 0, len(part), encoding, EVERY)
        levels.append(EncodedLevel(part, found, 0, len(part), encoding, levels[0] if levels else None))
    return levels


def _edited(parts: Parts, encoding: Encoding, edits: list[Edit]) -> list[Pieces | None]:
    pieces: list[Pieces | None] = []
    first: EncodedLevel | None = None
    for index, part in enumerate(parts):
        own = [edit for edit in edits if len(parts) == 1 or (_tag_at(edit, 0) >= PIXELS) is (index > 0)]
        found = walk(part, 0, len(part), encoding, _selection(own or edits, 0))
        level = _EditedLevel(part, found, 0, len(part), encoding, first)
        first = first or level
        pieces.append(level.edited(own, 0) if own else None)
    return pieces


class _EditedLevel(EncodedLevel):
    """A level that edits are made in."""

    def edited(self, edits: Sequence[Edit], depth: int) -> Pieces | None:
        """All bytes of the level after `edits`; None when nothing changes."""
        by_tag: dict[int, list[Edit]] = {}
        for edit in self._by_tag(edits, depth):
            by_tag.setdefault(_tag_at(edit, depth), []).append(edit)
        changes: list[Replacement] = []
        for tag in sorted(by_tag):  # private creators come before what they name
            pieces = self._element(tag, by_tag[tag], depth)
            if pieces is not None:
                changes += self.placed(tag, pieces)
        if not changes:
            return None
        return self.joined([*changes, *self.lengths(changes)])

    # --- private creators ---

    def _by_tag(self, edits: Sequence[Edit], depth: int) -> Sequence[Edit]:
        """Edits by private creator with the tag that this level has for it; a creator that is set but not there gets a
        free block (PS3.5 §7.8.1)."""
        if not any(edit.path.is_by_creator for edit in edits):
            return edits
        added: dict[int, str] = {}
        placed_edits: list[Edit] = []
        for edit in edits:
            tag, creator = here(edit.path, depth)
            if not creator:
                placed_edits.append(edit)
                continue
            blocks = found_tags(tag, creator, {*self.first, *added}, lambda one: added.get(one) or self.creator_in(one))
            found = next(iter(blocks), None)
            if takes_away(edit) and len(edit.path.steps) == depth:
                placed_edits += [dataclasses.replace(edit, path=placed(edit.path, depth, one)) for one in blocks]
                continue
            if found is None:
                is_for_items = len(edit.path.steps) > depth and edit.path.steps[depth][1] is None
                if edit.value is None or edit.where == "present" or is_for_items:
                    continue
                element = self._free_creator(tag, added)
                added[element] = creator
                placed_edits.append(Edit(AttributePath(element, edit.path.steps[:depth]), (creator,)))
                found = with_block(tag, element & 0xFF)
            placed_edits.append(dataclasses.replace(edit, path=placed(edit.path, depth, found)))
        return placed_edits

    def _free_creator(self, tag: int, added: Mapping[int, str]) -> int:
        for element in creators_of_group(tag):
            block = TagSelection(element & 0xFFFF0000 | (element & 0xFF) << 8 | low for low in range(0x100))
            is_free = element not in self.first and element not in added
            if is_free and not walk(self.view, self.start, self.end, self.encoding, block):
                return element
        raise no_block_left(tag)

    # --- one element ---

    def _element(self, tag: int, edits: list[Edit], depth: int) -> Pieces | None:
        """The element after its edits, no pieces when it is gone, None when it stays as it is."""
        before = self.first.get(tag)
        values: tuple[str, ...] | None = None
        is_changed = False
        inner: list[Edit] = []
        for edit in edits:
            if len(edit.path.steps) > depth:
                inner.append(edit)
                continue
            if edit.where != "always":
                current = values if is_changed else self.values(before)
                if current is None if edit.where == "present" else any(current or ()):
                    continue
            values, is_changed, inner = edit.value, True, []
        if inner:
            base = None if is_changed else before
            rebuilt = self._sequence(tag, base, inner, depth)
            if rebuilt is not None or not is_changed:
                return rebuilt
        if not is_changed or (values is None and before is None):
            return None
        if values is None:
            if depth == 0 and tag in NEVER_EMPTY:
                raise Refusal(f"{name_of(tag)} cannot be removed: an object must carry it")
            return []
        return self.written(tag, before, values, depth)

    # --- sequences ---

    def _sequence(self, tag: int, before: Element | None, edits: list[Edit], depth: int) -> Pieces | None:
        """The sequence with its items edited, None when none of them changes."""
        if before is not None and before.vr not in SEQUENCE_VRS:
            raise Refusal(f"{name_of(tag)} is no sequence in this object (its VR is {before.vr})")
        encoding = self.encoding if before is None else inside(before, self.encoding)
        pieces: Pieces = []
        is_changed = False
        count = 0
        by_item = _by_item(edits, depth)
        position = before.value if before is not None else 0
        for item in self._items(tag, before, encoding, edits):
            position = item.end
            edited = self._item(item, encoding, by_item.get(count, by_item[None]), depth)
            pieces += edited if edited is not None else [self.view[item.start : item.end]]
            is_changed = is_changed or edited is not None
            count += 1
        for of_item in _added(tag, edits, depth, count):
            added = _EditedLevel(self.view, [], 0, 0, encoding, self).edited(of_item, depth + 1) or []
            pieces += [item_header(encoding, length_of(added)), *added]
            is_changed = True
        if not is_changed:
            return None
        behind = [self.view[position : before.stop]] if before is not None and position < before.stop else []
        return self.enclosed(tag, before, [*pieces, *behind])

    def _items(
        self, tag: int, before: Element | None, encoding: Encoding, edits: list[Edit]
    ) -> Iterator[Item] | list[Item]:
        """The items of the sequence. An absent one has none, and so has an element that should be one and is not: where
        there are no items, nothing can be taken away."""
        if before is None:
            return []
        if not encoding.is_tolerant or may_hold_items(self.view, before, encoding):
            return items(self.view, before, encoding)
        if all(takes_away(edit) for edit in edits):
            return []
        raise Unreadable(f"{name_of(tag)} is no sequence in this object: there are no items in it")

    def _item(self, item: Item, encoding: Encoding, edits: list[Edit], depth: int) -> Pieces | None:
        if not edits:
            return None
        found = walk(self.view, item.value, item.stop, encoding, _selection(edits, depth + 1))
        level = _EditedLevel(self.view, found, item.value, item.stop, encoding, self)
        edited = level.edited(edits, depth + 1)
        if edited is None:
            return None
        if item.end != item.stop:  # undefined length: header and delimiter stay
            return [self.view[item.start : item.value], *edited, self.view[item.stop : item.end]]
        return [item_header(encoding, length_of(edited)), *edited]


def _tag_at(edit: Edit, depth: int) -> int:
    """The element of this level that the edit is about."""
    steps = edit.path.steps
    return edit.path.tag if len(steps) == depth else steps[depth][0]


def _selection(edits: Sequence[Edit], depth: int) -> TagSelection:
    """The tags that must be found in a level to edit it."""
    tags = {tag for edit in edits for tag in possible_tags(*here(edit.path, depth))}
    creators = {creator_of(tag) for tag in tags if is_private(tag)}
    group_lengths = {tag & 0xFFFF0000 for tag in tags}
    always = {SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION, LENGTH_TO_END}
    return selection_of(frozenset(tags | creators | group_lengths | always))


def _by_item(edits: list[Edit], depth: int) -> dict[int | None, list[Edit]]:
    """The edits of each item that is named, and under None those of all others, each in order."""
    by_item: dict[int | None, list[Edit]] = {None: []}
    for edit in edits:
        index = edit.path.steps[depth][1]
        if index is None:
            for some in by_item.values():
                some.append(edit)
            continue
        if index not in by_item:
            by_item[index] = list(by_item[None])
        by_item[index].append(edit)
    return by_item


def _of_item(edits: list[Edit], depth: int, index: int) -> list[Edit]:
    return [edit for edit in edits if edit.path.steps[depth][1] in (None, index)]


def _added(tag: int, edits: list[Edit], depth: int, count: int) -> list[list[Edit]]:
    """The edits of each item that they add to `count`: first the edit that adds it, then those that are about it."""
    added: list[list[Edit]] = []
    for position, edit in enumerate(edits):
        index = edit.path.steps[depth][1]
        behind = count + len(added)
        if index is None or index < behind or edit.value is None or edit.where == "present":
            continue
        if index > behind:
            raise Refusal(f"{edit.path.text or name_of(tag)} cannot be set: the sequence has {behind} items")
        added.append(_of_item(edits[position:], depth, index))
    return added
