"""Edits made on the bytes of an encoded data set: what no edit names keeps its bytes.

A new element goes where its tag belongs in the order of the bytes; an element that is there twice is written once.
Lengths of the enclosing items and sequences, group lengths (gggg,0000) of edited groups and Length to End (0008,0001)
follow the edits. An edit inside a sequence that has one item less than the edit's index adds that item.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.dataset import charset
from gateway.dataset.dictionary import (
    PIXEL_REPRESENTATION,
    SEQUENCE,
    SPECIFIC_CHARACTER_SET,
    creator_of,
    is_private,
    is_private_creator,
    name_of,
    private_vr_of,
    takes_count,
    vm_of,
    vr_of,
)
from gateway.dataset.elements import (
    ITEM,
    LONG_VRS,
    SEQUENCE_VRS,
    SHORT_VRS,
    UNDEFINED,
    Element,
    Item,
    Selection,
    inside,
    items,
    place_of,
    selection_of,
    walk,
)
from gateway.dataset.encode import can_hold_text, encode
from gateway.dataset.encoding import DEFLATED, Encoding, deflate, inflate
from gateway.dataset.private import (
    creators_of_group,
    found_tag,
    here,
    no_block_left,
    placed,
    possible_tags,
    with_block,
)
from gateway.dataset.scan import parse
from gateway.dataset.value import texts
from gateway.model import AttributePath
from gateway.ports import Alteration, Edit, Refusal

Pieces = list[bytes | memoryview]

LENGTH_TO_END = 0x00080001
NEVER_EMPTY = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E})
"""SOP Class, SOP Instance, Study Instance and Series Instance UID of the object itself."""


def splice(view: memoryview, transfer_syntax_uid: str, changes: Sequence[Alteration]) -> Pieces:
    """The pieces of the edited data set, in order: views of the original and new bytes.

    Without an effective edit the only piece is `view`. A deflated data set is inflated and deflated again.

    Raises:
        Refusal: a value that its VR or the character set cannot hold, an unknown VR, an item that is not there.
        Unreadable: the bytes are not a data set in this transfer syntax.
    """
    edits = [change for change in changes if isinstance(change, Edit)]
    if not edits:
        return [view]
    is_deflated = transfer_syntax_uid in DEFLATED
    plain = inflate(view) if is_deflated else view
    plain, found, encoding = parse(plain, transfer_syntax_uid, _selection(edits, 0))
    pieces = _Level(plain, found, 0, len(plain), encoding, None).edited(edits, 0)
    if pieces is None:
        return [view]
    return [deflate(pieces)] if is_deflated else pieces


@dataclass(frozen=True, slots=True)
class _Change:
    """Bytes from `start` to `end` become `pieces`."""

    start: int
    end: int
    pieces: Pieces
    tag: int

    @property
    def growth_bytes(self) -> int:
        return _length(self.pieces) - (self.end - self.start)


class _Level:
    """The elements of a data set or of one item, and what writing among them needs to know."""

    def __init__(
        self,
        view: memoryview,
        found: list[Element],
        start: int,
        end: int,
        encoding: Encoding,
        parent: _Level | None,
    ) -> None:
        self.view, self.found, self.start, self.end = view, found, start, end
        self.encoding, self.parent = encoding, parent
        self.first: dict[int, Element] = {}
        for element in found:
            self.first.setdefault(element.tag, element)
        self.creators: dict[int, str] = {}
        """Private creators that edits gave."""

    def edited(self, edits: Sequence[Edit], depth: int) -> Pieces | None:
        """All bytes of the level after `edits`; None when nothing changes."""
        by_tag: dict[int, list[Edit]] = {}
        for edit in self._by_tag(edits, depth):
            by_tag.setdefault(_tag_at(edit, depth), []).append(edit)
        changes: list[_Change] = []
        for tag in sorted(by_tag):  # private creators come before what they name
            pieces = self._element(tag, by_tag[tag], depth)
            if pieces is not None:
                changes += self._placed(tag, pieces)
        if not changes:
            return None
        return self._joined([*changes, *self._lengths(changes)])

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
            found = found_tag(tag, creator, {*self.first, *added}, lambda one: added.get(one) or self._creator_in(one))
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
            block = Selection(element & 0xFFFF0000 | (element & 0xFF) << 8 | low for low in range(0x100))
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
            current = values if is_changed else self._values(before)
            if (edit.where == "present" and current is None) or (edit.where == "missing" and any(current or ())):
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
            return []
        return self._written(tag, before, values, depth)

    def _values(self, element: Element | None) -> tuple[str, ...] | None:
        if element is None:
            return None
        if element.vr == SEQUENCE or element.end != element.stop:
            return ("items",) if element.stop > element.value else ()
        raw = bytes(self.view[element.value : element.stop])
        known = self._vr(element.tag, element)
        return texts(raw, known or "UN", self.codecs(), is_big_endian=self._is_big_endian(element))

    def _written(self, tag: int, before: Element | None, values: tuple[str, ...], depth: int) -> Pieces:
        name = name_of(tag)
        if not any(values) and depth == 0 and tag in NEVER_EMPTY:
            raise Refusal(f"{name} cannot be empty")
        if is_private_creator(tag):
            self.creators[tag] = values[0] if values else ""
        own = before.vr if before is not None else ""
        vr = self._vr(tag, before)
        if not values:
            return [self._header(tag, own or vr or "UN", 0)]
        if vr is None:
            raise Refusal(f"{name} cannot be set: its VR is unknown, as its private creator is missing or unknown")
        if not takes_count(tag, len(values)):
            raise Refusal(f"{name} cannot be set: it takes {vm_of(tag)} values, not {len(values)}")
        try:
            value = encode(values, vr, self.codecs(), is_big_endian=self._is_big_endian(before))
        except Refusal as refusal:
            raise Refusal(f"{name} cannot be set: {refusal}") from None
        return [self._header(tag, own if own == "UN" else vr, len(value)) + value]

    def _vr(self, tag: int, element: Element | None) -> str | None:
        """The VR to write: the element's own when it takes text, else the dictionary's."""
        own = element.vr if element is not None else ""
        if own and own != "UN" and (can_hold_text(own) or own == SEQUENCE):
            return own
        vr = vr_of(tag)
        if vr is None and is_private(tag):
            vr = private_vr_of(tag, self._creator(tag))
        if vr is None or " or " not in vr:
            return vr
        return ("SS" if self.is_signed() else "US") if "SS" in vr else "OW"

    def _creator(self, tag: int) -> str:
        return self._creator_in(creator_of(tag))

    def _creator_in(self, creator: int) -> str:
        """The value of a private creator element; empty when it is absent."""
        if creator in self.creators:
            return self.creators[creator]
        element = self.first.get(creator)
        values = texts(bytes(self.view[element.value : element.stop]), "LO", self.codecs()) if element else ()
        return values[0] if values else ""

    def _is_big_endian(self, element: Element | None) -> bool:
        return self.encoding.is_big_endian and (element is None or element.vr != "UN")

    def codecs(self) -> charset.Encodings:
        element = self.first.get(SPECIFIC_CHARACTER_SET)
        if element is not None:
            return charset.encodings(texts(bytes(self.view[element.value : element.stop]), "CS", charset.DEFAULT))
        return self.parent.codecs() if self.parent is not None else charset.DEFAULT

    def is_signed(self) -> bool:
        element = self.first.get(PIXEL_REPRESENTATION)
        if element is not None:
            return any(self.view[element.value : element.stop])
        return self.parent.is_signed() if self.parent is not None else False

    def _header(self, tag: int, vr: str, length: int) -> bytes:
        order = ">" if self.encoding.is_big_endian else "<"
        group, element = tag >> 16, tag & 0xFFFF
        if self.encoding.is_implicit:
            return struct.pack(order + "HHL", group, element, length)
        if vr in SHORT_VRS:
            if length > 0xFFFE:
                raise Refusal(f"{name_of(tag)} cannot be set: {length} bytes are too long for VR {vr}")
            return struct.pack(order + "HH2sH", group, element, vr.encode(), length)
        assert vr in LONG_VRS
        return struct.pack(order + "HH2sHL", group, element, vr.encode(), 0, length)

    # --- sequences ---

    def _sequence(self, tag: int, before: Element | None, edits: list[Edit], depth: int) -> Pieces | None:
        """The sequence with its items edited, None when none of them changes."""
        if before is not None and before.vr not in SEQUENCE_VRS:
            raise Refusal(f"{name_of(tag)} is no sequence in this object (its VR is {before.vr})")
        encoding = self.encoding if before is None else inside(before, self.encoding)
        pieces: Pieces = []
        is_changed = False
        count = 0
        for item in items(self.view, before, encoding) if before is not None else ():
            edited = self._item(item, encoding, _of_item(edits, depth, count), depth)
            pieces += edited if edited is not None else [self.view[item.start : item.end]]
            is_changed = is_changed or edited is not None
            count += 1
        for of_item in _added(tag, edits, depth, count):
            added = _Level(self.view, [], 0, 0, encoding, self).edited(of_item, depth + 1) or []
            pieces += [_item_header(encoding, _length(added)), *added]
            is_changed = True
        if not is_changed:
            return None
        return self._enclosed(tag, before, pieces)

    def _item(self, item: Item, encoding: Encoding, edits: list[Edit], depth: int) -> Pieces | None:
        if not edits:
            return None
        found = walk(self.view, item.value, item.stop, encoding, _selection(edits, depth + 1))
        level = _Level(self.view, found, item.value, item.stop, encoding, self)
        edited = level.edited(edits, depth + 1)
        if edited is None:
            return None
        if item.end != item.stop:  # undefined length: header and delimiter stay
            return [self.view[item.start : item.value], *edited, self.view[item.stop : item.end]]
        return [_item_header(encoding, _length(edited)), *edited]

    def _enclosed(self, tag: int, before: Element | None, pieces: Pieces) -> Pieces:
        if before is not None and before.end != before.stop:
            return [self.view[before.start : before.value], *pieces, self.view[before.stop : before.end]]
        length = _length(pieces)
        if length >= UNDEFINED:
            raise Refusal(f"{name_of(tag)} grows beyond 4 GiB")
        return [self._header(tag, before.vr if before is not None and before.vr else SEQUENCE, length), *pieces]

    # --- places and lengths ---

    def _placed(self, tag: int, pieces: Pieces) -> list[_Change]:
        same = [element for element in self.found if element.tag == tag]
        if same:
            first, *others = same
            return [_Change(first.start, first.end, pieces, tag)] + [_Change(o.start, o.end, [], tag) for o in others]
        place = place_of(self.view, self.start, self.end, self.encoding, tag)
        return [_Change(place, place, pieces, tag)]

    def _lengths(self, changes: list[_Change]) -> list[_Change]:
        """Group lengths (PS3.5 §7.2) of the groups that changed, and Length to End."""
        growth: dict[int, int] = {}
        for change in changes:
            group_length = change.tag & 0xFFFF0000
            growth[group_length] = growth.get(group_length, 0) + change.growth_bytes
            growth[LENGTH_TO_END] = growth.get(LENGTH_TO_END, 0) + change.growth_bytes
        layout = ">L" if self.encoding.is_big_endian else "<L"
        corrected: list[_Change] = []
        for tag, growth_bytes in growth.items():
            element = self.first.get(tag)
            if element is None or element.stop - element.value != 4 or growth_bytes == 0:
                continue
            (length,) = struct.unpack(layout, self.view[element.value : element.stop])
            value = struct.pack(layout, (length + growth_bytes) % (1 << 32))
            corrected.append(_Change(element.value, element.stop, [value], tag))
        return corrected

    def _joined(self, changes: list[_Change]) -> Pieces:
        pieces: Pieces = []
        position = self.start
        for change in sorted(changes, key=lambda change: (change.start, change.tag)):
            if change.start > position:
                pieces.append(self.view[position : change.start])
            pieces += change.pieces
            position = change.end
        if position < self.end:
            pieces.append(self.view[position : self.end])
        return pieces


def _tag_at(edit: Edit, depth: int) -> int:
    """The element of this level that the edit is about."""
    steps = edit.path.steps
    return edit.path.tag if len(steps) == depth else steps[depth][0]


def _selection(edits: Sequence[Edit], depth: int) -> Selection:
    """What must be found in a level to edit it."""
    tags = {tag for edit in edits for tag in possible_tags(*here(edit.path, depth))}
    creators = {creator_of(tag) for tag in tags if is_private(tag)}
    group_lengths = {tag & 0xFFFF0000 for tag in tags}
    always = {SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION, LENGTH_TO_END}
    return selection_of(frozenset(tags | creators | group_lengths | always))


def _length(pieces: Pieces) -> int:
    return sum(map(len, pieces))


def _item_header(encoding: Encoding, length: int) -> bytes:
    return struct.pack(">HHL" if encoding.is_big_endian else "<HHL", ITEM >> 16, ITEM & 0xFFFF, length)


def _of_item(edits: list[Edit], depth: int, index: int) -> list[Edit]:
    return [edit for edit in edits if edit.path.steps[depth][1] in (None, index)]


def _added(tag: int, edits: list[Edit], depth: int, count: int) -> list[list[Edit]]:
    """For each item that the edits add to `count`: the edit that adds it, and those after it that are about it."""
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
