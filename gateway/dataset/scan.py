"""Attribute values from an encoded data set, without decoding it.

One walk over the element headers reads what is wanted and checks that the stream ends exactly where an element does.
Of an attribute that is there twice, which PS3.5 §7.1 forbids, the first one counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TypeVar

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
    vr_of,
)
from gateway.dataset.elements import (
    EVERY,
    SEQUENCE_VRS,
    SLICE_BYTES,
    Element,
    TagSelection,
    Walker,
    inside,
    items_in_slices,
    may_hold_items,
    walk,
    walking,
)
from gateway.dataset.encode import encode
from gateway.dataset.encoding import DEFLATED, Encoding, encodings_of, readings_of
from gateway.dataset.inflation import Inflating, InflationSteps
from gateway.dataset.private import creators_of_group, found_tags, here, no_block_left, possible_tags, with_block
from gateway.dataset.value import MAX_TEXT_BYTES, texts
from gateway.dataset.writer import vr_in_context
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import RewriteElement as ShownElement
from gateway.ports.errors import Refusal, Unreadable

T = TypeVar("T")
Texts = tuple[str, ...]
Written = tuple[str, bytes] | Texts | None

PIXELS = 0x7FE0
"""The group of pixel data, whose undefined length is one of fragments."""
MAX_ITEMS = 100_000
"""Items that are looked at for the paths of one sequence."""
ITEMS_AT_ONCE = 128


_FILE_META = frozenset(range(0x00020000, 0x00020019))
"""File Meta Information (PS3.10 §7.1), which has no place in a data set; found, so that it is told."""


class WantedElements:
    """What to read at one level, compiled once from paths: attributes, and what is wanted inside sequences."""

    __slots__ = ("attributes", "inner", "last_item", "selection")

    def __init__(self, paths: Iterable[AttributePath], depth: int = 0) -> None:
        attributes: set[int] = set()
        below: dict[int, list[AttributePath]] = {}
        self.last_item: dict[int, int] = {}
        for path in paths:
            tags = possible_tags(*here(path, depth))
            if len(path.steps) == depth:
                attributes.update(tags)
                continue
            index = path.steps[depth][1]
            last = MAX_ITEMS if index is None else index
            for sequence in tags:
                below.setdefault(sequence, []).append(path)
                self.last_item[sequence] = max(last, self.last_item.get(sequence, 0))
        shared: dict[
            tuple[AttributePath, ...], WantedElements
        ] = {}  # the 240 blocks that a creator may have want the same
        self.inner: dict[int, WantedElements] = {}
        for sequence, some in below.items():
            key = tuple(some)
            if key not in shared:
                shared[key] = WantedElements(key, depth + 1)
            self.inner[sequence] = shared[key]
        self.attributes = frozenset(attributes)
        self.selection = TagSelection(attributes | set(below) | needed_by(attributes | set(below)) | _FILE_META)


def needed_by(tags: Iterable[int]) -> set[int]:
    """What the values of `tags` cannot be read without."""
    needed = {SPECIFIC_CHARACTER_SET}
    for tag in tags:
        if "SS" in (vr_of(tag) or ""):
            needed.add(PIXEL_REPRESENTATION)
        if is_private(tag) and not is_private_creator(tag):
            needed.add(creator_of(tag))
    return needed


@lru_cache(maxsize=1024)
def wanted(paths: tuple[AttributePath, ...]) -> WantedElements:
    """Compiled, and kept for the next time."""
    return WantedElements(paths)


class Level:
    """The values that were wanted of a data set or of one item; text is made when first asked for."""

    __slots__ = ("_encodings", "_given", "_long", "_parent", "_raw", "encoding", "items", "known", "undeclared")

    def __init__(self, encoding: Encoding, parent: Level | None = None) -> None:
        self.encoding = encoding
        self._parent = parent
        self._encodings: charset.Encodings | None = None
        self.undeclared: tuple[str, ...] = ()
        """What text beyond ASCII is read as where the data set names no character set."""
        self._raw: dict[int, tuple[str, bytes]] = {}
        self._long: dict[int, int] = {}
        self._given: frozenset[int] = frozenset()
        self.known: dict[int, Texts | None] = {}
        """Texts that were made, or given; None: made absent."""
        self.items: dict[int, list[Level]] = {}
        """By sequence tag; only sequences that paths go into."""

    def add(self, tag: int, vr: str, raw: bytes, length_bytes: int = 0) -> None:
        """`length_bytes` where `raw` is not all of the value."""
        if tag not in self._raw and length_bytes > len(raw):
            self._long[tag] = length_bytes
        self._raw.setdefault(tag, (vr, raw))

    def written(self, tags: Iterable[int]) -> tuple[Written, ...]:
        """What decides on the text of each: VR and value field as they were scanned, the text of what was changed
        since, None where absent. Of Specific Character Set always as scanned, since the value fields are read by that.
        """
        given = self._given
        if not given:
            return tuple(map(self._raw.get, tags))
        known, raw = self.known, self._raw
        return tuple([known[tag] if tag in given and tag != SPECIFIC_CHARACTER_SET else raw.get(tag) for tag in tags])

    def text(self, tag: int) -> Texts | None:
        """The values of an attribute of this level; None when it is absent."""
        known = self.known.get(tag)
        if known is not None:
            return known
        raw = self._raw.get(tag)
        if raw is None or tag in self.known:
            return None
        vr = self.vr_of(tag, raw[0])
        codecs = charset.DEFAULT if vr == "UI" else self._codecs()  # the most wanted, and always ASCII
        value = texts(raw[1], vr, codecs, is_big_endian=self._is_big_endian(tag, raw[0]))
        self.known[tag] = value
        return value

    def values(self, path: AttributePath, depth: int = 0) -> Texts | None:
        """The values at `path`, those of several items one after the other; None when no item has it."""
        tag = self.tag_of(path, depth) if path.is_by_creator else here(path, depth)[0]
        if tag is None:
            return None
        if len(path.steps) == depth:
            return self.text(tag)
        index = path.steps[depth][1]
        levels = self.items.get(tag, [])
        chosen = levels if index is None else levels[index : index + 1]
        some = [values for level in chosen if (values := level.values(path, depth + 1)) is not None]
        return tuple(value for values in some for value in values) if some else None

    def places(self, path: AttributePath, depth: int = 0) -> list[AttributePath]:
        """The paths without ``*`` at which `path` has an attribute.

        Raises:
            Refusal: a sequence has more items than are looked at.
        """
        tag = self.tag_of(path, depth)
        if tag is None:
            return []
        if len(path.steps) == depth:
            return [path] if self.text(tag) is not None else []
        index = path.steps[depth][1]
        levels = self.items.get(tag, [])
        if len(levels) > MAX_ITEMS:
            raise Refusal(f"{name_of(tag)} has more than {MAX_ITEMS} items")
        chosen = range(len(levels)) if index is None else range(index, min(index + 1, len(levels)))
        return [place for one in chosen for place in levels[one].places(_item_of(path, depth, one), depth + 1)]

    def tag_of(self, path: AttributePath, depth: int = 0) -> int | None:
        """What `path` names at this level; None when it is by a private creator that has no block here."""
        tag, creator = here(path, depth)
        return tag if not creator else next(iter(self.tags_of(path, depth)), None)

    def tags_of(self, path: AttributePath, depth: int = 0) -> list[int]:
        """Of a private creator that has several blocks here, one for each, those that are there first."""
        tag, creator = here(path, depth)
        if not creator:
            return [tag]
        there = [one for one in {*self._raw, *self.known} if self.known.get(one, ()) is not None]
        return found_tags(tag, creator, there, lambda element: (self.text(element) or ("",))[0])

    def reserve(self, path: AttributePath, depth: int = 0) -> int:
        """Overlay a private creator in a free block for what `path` names at this level; the tag it has then.

        Raises:
            Refusal: the group has no block left.
        """
        tag, creator = here(path, depth)
        for element in creators_of_group(tag):
            if self.text(element) is None:
                self.put(element, (creator,))
                return with_block(tag, element & 0xFF)
        raise no_block_left(tag)

    def copy(self) -> Level:
        """A level that can be changed without changing this one; its items are still shared."""
        other = Level(self.encoding, self._parent)
        other._raw, other._long, other.undeclared = self._raw, self._long, self.undeclared
        other.known, other.items, other._given = dict(self.known), dict(self.items), self._given
        return other

    def read_as(self, undeclared: tuple[str, ...], parent: Level | None = None) -> Level:
        """A copy whose scanned text beyond ASCII is read in these character sets where the data set names none."""
        other = self.copy()
        other.undeclared = undeclared
        other._parent = parent or self._parent
        other.known = {tag: value for tag, value in self.known.items() if tag in self._given}
        other.items = {tag: [item.read_as(undeclared, other) for item in items] for tag, items in self.items.items()}
        return other

    def put(self, tag: int, value: Texts | None) -> None:
        """Overlay a value; None makes the attribute absent, with all its items."""
        self.known[tag] = value
        self._given |= {tag}
        if tag in self.items:
            self.items[tag] = []

    def scanned(self, tags: Iterable[int]) -> dict[int, tuple[str, bytes, int]]:
        """Of those that were there: VR as written, value field as far as it was read, and its whole length."""
        raw = {tag: self._raw[tag] for tag in tags if tag in self._raw}
        return {tag: (vr, value, self._long.get(tag, len(value))) for tag, (vr, value) in raw.items()}

    def given(self, tags: Iterable[int]) -> dict[int, Texts | None]:
        """Of those that were changed, or came to be, since: their texts, None for what was taken away."""
        return {tag: self.known[tag] for tag in tags if tag in self._given}

    def mark_present(self, sequence: int) -> None:
        """Overlay a sequence that came to be."""
        if self.text(sequence) is None:
            self.known[sequence] = ()
            self._given |= {sequence}

    # --- as a rewrite sees it ---

    def present(self) -> list[int]:
        """The tags that are known to be there, in order."""
        return sorted(tag for tag in {*self._raw, *self.known} if self.known.get(tag, ()) is not None)

    def shown(self, tag: int, path: tuple[tuple[int, int], ...]) -> ShownElement:
        """The element at `tag`, which is there."""
        is_read = tag in self._raw and tag not in self._given
        written, raw = self._raw.get(tag, ("", b""))
        is_of_creator = is_private(tag) and not is_private_creator(tag)
        creator = self.text(creator_of(tag)) if is_of_creator else None
        vr = SEQUENCE if tag in self.items else self.vr_of(tag, written)
        values = self.text(tag) or ()
        length = self._long.get(tag, len(raw)) if is_read else self._encoded_length(values, vr)
        return ShownElement(path, tag, vr, creator[0] if creator else "", values, length)

    def _encoded_length(self, values: Texts, vr: str) -> int:
        """Of a value that was not read but given."""
        try:
            return len(encode(values, vr, self._codecs()))
        except Refusal:
            return 0

    def _codecs(self) -> charset.Encodings:
        if self._encodings is None:
            raw = self._raw.get(SPECIFIC_CHARACTER_SET)
            names = () if raw is None else texts(raw[1], "CS", charset.DEFAULT)
            if raw is None and self._parent is not None:
                self._encodings = self._parent._codecs()
            elif self.undeclared and charset.are_default(names):
                self._encodings = charset.encodings(self.undeclared)
            else:
                self._encodings = charset.DEFAULT if raw is None else charset.encodings(names)
        return self._encodings

    def vr_of(self, tag: int, written: str) -> str:
        """As written, else as the dictionary says; so is a UN of a known attribute (PS3.5 §6.2.2)."""
        if written and written != "UN":
            return written
        vr = vr_of(tag)
        if vr is None and is_private(tag):
            creator = self.text(creator_of(tag))
            vr = private_vr_of(tag, creator[0]) if creator else None
        if vr is None or " or " not in vr:
            return vr or "UN"
        return vr_in_context(vr, self.is_signed)

    def is_signed(self) -> bool:
        """True when Pixel Representation says that pixel values are signed."""
        if PIXEL_REPRESENTATION in self._raw or self._parent is None:
            return self.text(PIXEL_REPRESENTATION) == ("1",)
        return self._parent.is_signed()

    def _is_big_endian(self, tag: int, written: str) -> bool:
        return self.encoding.is_big_endian and written != "UN"


def _item_of(path: AttributePath, depth: int, index: int) -> AttributePath:
    if path.steps[depth][1] == index:
        return path
    step = (path.steps[depth][0], index)
    return dataclasses.replace(path, steps=(*path.steps[:depth], step, *path.steps[depth + 1 :]))


NOTHING_ODD: Mapping[str, str] = MappingProxyType({})


class Scanned:
    """What one scan found."""

    __slots__ = ("encoding", "level", "oddities")

    def __init__(self, level: Level, oddities: Mapping[str, str] = NOTHING_ODD) -> None:
        self.level = level
        self.encoding = level.encoding
        self.oddities = oddities
        """What was taken although the standard does not allow it: row of `gateway.leniency` → where."""

    def values(self, path: AttributePath) -> Texts | None:
        """The values at `path` as text, () when empty, None when absent. Never raises for what the bytes hold."""
        return self.level.values(path) if path.steps or path.creator else self.level.text(path.tag)


def scan(view: memoryview, transfer_syntax_uid: str, wanted: WantedElements) -> Scanned:
    """Read what is wanted of an encoded data set, and check that its elements end where it does.

    Raises:
        Unreadable: the bytes are not a data set in this transfer syntax; the message gives the offset.
        ObjectTooLarge: a deflated one that inflates beyond the bounds.
        Temporary: a deflated one, while others are being inflated that take too much together.
    """
    if is_read_at_once(len(view), transfer_syntax_uid):
        return _scan_at_once(view, transfer_syntax_uid, wanted)
    return at_once(scanning(view, transfer_syntax_uid, wanted))


def is_read_at_once(length_bytes: int, transfer_syntax_uid: str) -> bool:
    """True for data sets that are read within one step: most of those without large pixel data."""
    return length_bytes <= SLICE_BYTES and transfer_syntax_uid not in DEFLATED


def at_once(steps: InflationSteps[T]) -> T:
    """The result, without giving way."""
    while True:
        try:
            step = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        if step is not None:
            step()


def scanning(
    view: memoryview, transfer_syntax_uid: str, wanted: WantedElements, *, is_strict: bool = False
) -> InflationSteps[Scanned]:
    """`scan` in steps of some milliseconds; `is_strict`: to the letter of the transfer syntax. Raises as `scan`."""
    if is_read_at_once(len(view), transfer_syntax_uid):
        return _scan_at_once(view, transfer_syntax_uid, wanted, is_strict=is_strict)
    if transfer_syntax_uid in DEFLATED:
        with Inflating(view) as inflating:
            walk_of = partial(inflating.walking, selection=wanted.selection, keep=partial(_read_bytes, wanted))
            return (yield from _in_first_that_fits(walk_of, transfer_syntax_uid, wanted, is_strict=is_strict))
    walk_of_plain = partial(_walking_plain, view, wanted.selection)
    return (yield from _in_first_that_fits(walk_of_plain, transfer_syntax_uid, wanted, is_strict=is_strict))


def _scan_at_once(
    view: memoryview, transfer_syntax_uid: str, wanted: WantedElements, *, is_strict: bool = False
) -> Scanned:
    """What `scanning` does, in plain calls: of a small object its layers of generators cost as much as the rest."""
    encoding = encodings_of(transfer_syntax_uid)[0]
    level = Level(encoding)
    try:
        found = walk(view, 0, len(view), encoding, wanted.selection)
        if wanted.inner:
            at_once(_reading(view, found, wanted, level))
        else:
            for element in found:
                _read_value(view, element, wanted, level)
        if found and found[0].tag < 0x00030000:
            return Scanned(level, _noted(found, {}))
    except Unreadable:
        if is_strict:
            raise
        walk_of = partial(_walking_plain, view, wanted.selection)
        return at_once(_in_first_that_fits(walk_of, transfer_syntax_uid, wanted, is_strict=False))
    return Scanned(level)


Walked = tuple[memoryview, list[Element]]


def _walking_plain(view: memoryview, selection: TagSelection, encoding: Encoding) -> InflationSteps[Walked]:
    found = yield from walking(view, 0, len(view), encoding, selection)
    if len(view) % 2 and encoding.notes and "zeros_behind" in encoding.notes:
        raise Unreadable(f"the data set ends inside an element header at byte {len(view)}")  # its first byte is 0
    return view, found


def _in_first_that_fits(
    walk_of: Callable[[Encoding], InflationSteps[Walked]],
    transfer_syntax_uid: str,
    wanted: WantedElements,
    *,
    is_strict: bool,
) -> InflationSteps[Scanned]:
    first = encodings_of(transfer_syntax_uid)[0]
    try:
        return (yield from _reading_top(*(yield from walk_of(first)), wanted, first, NOTHING_ODD))
    except Unreadable:
        if is_strict:
            raise
        for encoding in readings_of(transfer_syntax_uid)[1:]:
            notes = {} if encoding.notes is None else encoding.notes
            if encoding != first:
                notes["mislabelled_transfer_syntax"] = f"read as {encoding}"
            try:
                return (yield from _reading_top(*(yield from walk_of(encoding)), wanted, encoding, notes))
            except Unreadable:
                continue
        raise


def _read_bytes(wanted: WantedElements, element: Element) -> int:
    """How much of the value of a selected element is read."""
    length = element.stop - element.value
    return length if element.tag in wanted.inner else min(length, MAX_TEXT_BYTES)


def _reading_top(
    view: memoryview, found: list[Element], wanted: WantedElements, encoding: Encoding, oddities: Mapping[str, str]
) -> InflationSteps[Scanned]:
    level = Level(encoding)
    yield from _reading(view, found, wanted, level)
    return Scanned(level, _noted(found, oddities))


def _noted(found: list[Element], oddities: Mapping[str, str]) -> Mapping[str, str]:
    """With what the elements that were found say themselves."""
    if not found or found[0].tag >= 0x00030000:
        return oddities
    where = f"(0002,{found[0].tag & 0xFFFF:04X}) at byte {found[0].start}"
    return {**oddities, "file_meta_in_data_set": where}


def checking_lengths(view: memoryview, encoding: Encoding) -> InflationSteps[None]:
    """That every value of the top level has an even length (PS3.5 §7.1.1), in steps. Raises Unreadable."""
    walker = Walker(view, 0, len(view), encoding, EVERY)
    is_done = False
    while not is_done:
        is_done = walker.go_on(min(walker.position + SLICE_BYTES, len(view)))
        for element in walker.found:
            if (element.stop - element.value) % 2:
                raise Unreadable(f"{name_of(element.tag)} at byte {element.start} has an odd length")
        walker.found.clear()
        yield None


def parse(
    view: memoryview, transfer_syntax_uid: str, selection: TagSelection
) -> tuple[memoryview, list[Element], Encoding]:
    """The selected elements of the top level, in the first encoding that fits.

    Raises:
        Unreadable: none fits.
    """
    return in_first_reading(
        transfer_syntax_uid, lambda encoding: (view, walk(view, 0, len(view), encoding, selection), encoding)
    )


def in_first_reading(transfer_syntax_uid: str, read: Callable[[Encoding], T]) -> T:
    """What `read` makes of a data set, in the first reading in which it is not Unreadable.

    Raises:
        Unreadable: it is in all; what was wrong in the transfer syntax that the data set is said to have.
    """
    first, *others = readings_of(transfer_syntax_uid)
    try:
        return read(first)
    except Unreadable:
        for encoding in others:
            try:
                return read(encoding)
            except Unreadable:
                continue
        raise


def _reading(view: memoryview, found: list[Element], wanted: WantedElements, level: Level) -> InflationSteps[None]:
    for element in found:
        tag = element.tag
        if tag in wanted.inner and tag not in level.items:
            level.items[tag] = yield from _reading_items(view, element, wanted, level)
        _read_value(view, element, wanted, level)


def _read_value(view: memoryview, element: Element, wanted: WantedElements, level: Level) -> None:
    """Of an element whose items, when any are wanted, were read."""
    tag, vr, _start, value, stop, end = element
    has_text = vr != SEQUENCE and end == stop and (tag not in wanted.inner or tag in wanted.attributes)
    raw = bytes(view[value : min(stop, value + MAX_TEXT_BYTES)]) if has_text else b""
    if end != stop and vr in ("UN", "") and tag >> 16 != PIXELS:
        vr = SEQUENCE  # of undefined length (PS3.5 §6.2.2)
    level.add(tag, vr, raw, stop - value)


def _reading_items(
    view: memoryview, sequence: Element, wanted: WantedElements, parent: Level
) -> InflationSteps[list[Level]]:
    """The items that paths go into; none when this object has something else in that place."""
    if sequence.vr not in SEQUENCE_VRS:
        return []
    encoding = inside(sequence, parent.encoding)
    inner, last = wanted.inner[sequence.tag], wanted.last_item[sequence.tag]
    levels: list[Level] = []
    try:
        for item in items_in_slices(view, sequence, encoding):
            if item is None:
                yield None
                continue
            level = Level(encoding, parent)
            found = yield from walking(view, item.value, item.stop, encoding, inner.selection)
            yield from _reading(view, found, inner, level)
            levels.append(level)
            if len(levels) % ITEMS_AT_ONCE == 0:
                yield None
            if len(levels) > last:
                break
    except Unreadable as error:
        is_private_bytes = sequence.vr != SEQUENCE and vr_of(sequence.tag) != SEQUENCE
        if not is_private_bytes and (not encoding.is_tolerant or may_hold_items(view, sequence, encoding)):
            raise
        if not is_private_bytes:
            encoding.note("sequence_without_items", f"{name_of(sequence.tag)}: {error}")
        return []  # not a sequence after all
    return levels
