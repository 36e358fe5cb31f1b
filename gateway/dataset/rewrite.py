"""A `gateway.ports.edits.Rewrite` carried out on encoded bytes. It decides on every element; kept elements keep their
bytes.

It does not decide on the elements that frame others: group lengths, Length to End, and Specific Character Set, which
every text depends on. A group length without a group goes. When an element is there twice, the decision on the first
one counts for those after it.
"""

from __future__ import annotations

from typing import Protocol

from gateway.dataset.dictionary import (
    SEQUENCE,
    SPECIFIC_CHARACTER_SET,
    is_private,
    is_private_creator,
    name_of,
    vr_of,
)
from gateway.dataset.elements import EVERY, Element, Item, inside
from gateway.dataset.encoding import Encoding
from gateway.dataset.items import items, may_hold_items
from gateway.dataset.level import (
    LENGTH_TO_END,
    NEVER_EMPTY,
    EncodedLevel,
    Replacement,
    length_of,
)
from gateway.dataset.value import MAX_TEXT_BYTES, texts
from gateway.dataset.walk import walk
from gateway.dataset.writer import Pieces, item_header
from gateway.ports.edits import KEEP, REMOVE, Repainted, Rewrite
from gateway.ports.edits import RewriteElement as ShownElement
from gateway.ports.errors import Refusal, Unreadable

MAX_LEVELS = 32
"""The depth of nested sequences that is followed; deeper ones are refused: no element may be left undecided."""
PIXEL_DATA = 0x7FE00010
_NEVER_SEQUENCES = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})

ItemPath = tuple[tuple[int, int], ...]


def is_frame(tag: int) -> bool:
    """True for elements that no rewrite decides."""
    return tag & 0xFFFF == 0 or tag in (LENGTH_TO_END, SPECIFIC_CHARACTER_SET)


class DecideElement(Protocol):
    """Decides about one element, for `walked`."""

    @property
    def tags(self) -> frozenset[int] | None:
        """The tags that it decides about; None: every element."""
        ...

    def __call__(self, level: EncodedLevel, element: Element, path: ItemPath, *, is_sequence: bool) -> Pieces | None:
        """The new element, no pieces to remove it, None to keep it; the items of a kept one are walked."""
        ...


def rewritten(level: EncodedLevel, rewrite: Rewrite) -> Pieces | None:
    """All bytes of the data set `level`, of which every element was found; None when nothing changes.

    Raises:
        Refusal: of the rewrite itself, or a value that its VR or the character set cannot hold.
        Unreadable: a sequence that is none, or nested more than `MAX_LEVELS` deep.
    """
    return _joined(level, walked(level, _RewriteDecisions(rewrite), ()))


def walked(level: EncodedLevel, decide: DecideElement, path: ItemPath) -> list[Replacement]:
    """The replacements that `decide` makes of elements at every level."""
    tags = decide.tags
    changes: list[Replacement] = []
    decided: set[int] = set()
    for element in level.found:
        tag, vr = element.tag, element.vr
        if tag in decided:
            changes.append(Replacement(element.start, element.end, [], tag))
            continue
        is_decided = tags is None or tag in tags
        if not is_decided and vr not in (SEQUENCE, "UN", ""):
            continue
        is_sequence = _is_sequence(level, element)
        pieces = decide(level, element, path, is_sequence=is_sequence) if is_decided else None
        if pieces is not None:
            decided.add(tag)
        elif is_sequence:
            pieces = _inside(level, element, decide, path)
        if pieces is not None:
            changes.append(Replacement(element.start, element.end, pieces, tag))
    return changes


def _joined(level: EncodedLevel, changes: list[Replacement]) -> Pieces | None:
    if not changes:
        return None
    orphans = _orphans(level, changes)
    lengths = [change for change in level.lengths([*changes, *orphans]) if all(change.tag != o.tag for o in orphans)]
    return level.joined([*changes, *orphans, *lengths])


class _Shown(ShownElement):
    """An element whose text is made when it is first read."""

    __slots__ = ("_element", "_level", "_values")

    def __init__(self, level: EncodedLevel, element: Element, path: ItemPath, vr: str) -> None:
        put = object.__setattr__  # the class is frozen
        put(self, "_level", level)
        put(self, "_element", element)
        put(self, "_values", None)
        put(self, "path", path)
        put(self, "tag", element.tag)
        put(self, "vr", vr)
        is_of_creator = is_private(element.tag) and not is_private_creator(element.tag)
        put(self, "private_creator", level.creator(element.tag) if is_of_creator else "")
        put(self, "length_bytes", element.stop - element.value)

    @property
    def values(self) -> tuple[str, ...]:
        known = self._values
        if known is None:
            element = self._element
            raw = b""
            if self.vr != SEQUENCE and element.end == element.stop:
                raw = bytes(self._level.view[element.value : min(element.stop, element.value + MAX_TEXT_BYTES)])
            is_big_endian = self._level.encoding.is_big_endian and element.vr != "UN"
            known = texts(raw, self.vr, self._level.codecs(), is_big_endian=is_big_endian)
            object.__setattr__(self, "_values", known)
        return known

    _level: EncodedLevel
    _element: Element
    _values: tuple[str, ...] | None


def effective_vr(level: EncodedLevel, element: Element, *, is_sequence: bool) -> str:
    """The VR as encoded; without one there, the dictionary's; ``UN`` when the dictionary has none."""
    if is_sequence:
        return SEQUENCE
    if element.vr and element.vr not in ("UN", SEQUENCE):
        return element.vr
    if element.vr == SEQUENCE:
        return "UN"  # called so, but without items
    if element.end != element.stop:
        return "OW"  # pixel data in fragments
    vr = level.vr(element.tag, element)
    return "UN" if vr is None or vr == SEQUENCE else vr


def _is_sequence(level: EncodedLevel, element: Element) -> bool:
    if element.vr not in (SEQUENCE, "UN", ""):
        return False
    if level.encoding.is_tolerant and not may_hold_items(level.view, element, inside(element, level.encoding)):
        return False
    if element.vr == SEQUENCE:
        return True
    if element.end != element.stop:
        return element.tag not in _NEVER_SEQUENCES
    if not is_private(element.tag):
        return vr_of(element.tag) == SEQUENCE
    return level.vr(element.tag, element) == SEQUENCE and _has_items(level, element)


def _has_items(level: EncodedLevel, element: Element) -> bool:
    """True when a private element, which only a list of known vendors' attributes calls a sequence, can be read as
    items."""
    encoding = inside(element, level.encoding)
    try:
        for item in items(level.view, element, encoding):
            walk(level.view, item.value, item.stop, encoding, EVERY)
    except Unreadable:
        return False
    return True


class _RewriteDecisions:
    """Asks a rewrite."""

    def __init__(self, rewrite: Rewrite) -> None:
        self._rewrite = rewrite
        self.tags = rewrite.tags

    def __call__(self, level: EncodedLevel, element: Element, path: ItemPath, *, is_sequence: bool) -> Pieces | None:
        tag = element.tag
        if is_frame(tag):
            return None
        shown = _Shown(level, element, path, effective_vr(level, element, is_sequence=is_sequence))
        change = self._rewrite(shown)
        if change is KEEP:
            return None
        if change is REMOVE:
            if not path and tag in NEVER_EMPTY:
                raise Refusal(f"{name_of(tag)} cannot be removed: an object must carry it")
            return []
        if isinstance(change, Repainted):
            return _repainted(level, element, change)
        assert isinstance(change, tuple)
        if is_sequence:
            return _emptied(level, element, change)
        if element.stop == element.value and not change:
            return None
        if change and change == shown.values and element.stop - element.value <= MAX_TEXT_BYTES:
            return None
        pieces = level.written(tag, element, change, len(path))
        level.creators.clear()  # what lies in a renamed block is still shown by its old creator
        return pieces


def _emptied(level: EncodedLevel, sequence: Element, change: tuple[str, ...]) -> Pieces | None:
    if change:
        raise Refusal(f"{name_of(sequence.tag)} cannot be set: it is a sequence")
    if sequence.stop == sequence.value:
        return None
    return [level.header(sequence.tag, sequence.vr or SEQUENCE, 0)]


def _repainted(level: EncodedLevel, element: Element, change: Repainted) -> Pieces:
    if element.end != element.stop:
        raise Refusal(f"{name_of(element.tag)} cannot be changed: it is in fragments of a compressed transfer syntax")
    pieces = change.pieces(level.view[element.value : element.stop])
    if length_of(list(pieces)) != element.stop - element.value:
        raise Refusal(f"{name_of(element.tag)} cannot be changed: its length would be another")
    return [level.view[element.start : element.value], *pieces]


def _inside(level: EncodedLevel, sequence: Element, decide: DecideElement, path: ItemPath) -> Pieces | None:
    """The sequence with its items walked, None when none of them changes."""
    if len(path) >= MAX_LEVELS:
        raise Unreadable(f"sequences are nested more than {MAX_LEVELS} levels deep at byte {sequence.start}")
    encoding = inside(sequence, level.encoding)
    pieces: Pieces = []
    position = sequence.value
    for index, item in enumerate(items(level.view, sequence, encoding)):
        found = walk(level.view, item.value, item.stop, encoding, EVERY)
        inner = EncodedLevel(level.view, found, item.value, item.stop, encoding, level)
        content = _joined(inner, walked(inner, decide, (*path, (sequence.tag, index))))
        if content is None:
            continue
        if item.start > position:
            pieces.append(level.view[position : item.start])
        pieces += _whole_item(level, item, encoding, content)
        position = item.end
    if position == sequence.value:
        return None
    pieces.append(level.view[position : sequence.stop])
    return level.enclosed(sequence.tag, sequence, pieces)


def _whole_item(level: EncodedLevel, item: Item, encoding: Encoding, content: Pieces) -> Pieces:
    if item.end != item.stop:  # undefined length: header and delimiter stay
        return [level.view[item.start : item.value], *content, level.view[item.stop : item.end]]
    return [item_header(encoding, length_of(content)), *content]


def _orphans(level: EncodedLevel, changes: list[Replacement]) -> list[Replacement]:
    """Group lengths whose group is gone."""
    gone = {change.start for change in changes if not change.pieces}
    groups = {change.tag >> 16 for change in changes if not change.pieces}
    groups -= {element.tag >> 16 for element in level.found if element.tag & 0xFFFF and element.start not in gone}
    lengths = [level.first[group << 16] for group in groups if group << 16 in level.first]
    return [Replacement(element.start, element.end, [], element.tag) for element in lengths]
