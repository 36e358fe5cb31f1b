"""The values that a scan found: of a data set, or of one item of a sequence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import lru_cache

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
from gateway.dataset.elements import TagSelection
from gateway.dataset.encode import encode
from gateway.dataset.encoding import Encoding
from gateway.dataset.private import creators_of_group, found_tags, here, no_block_left, possible_tags, with_block
from gateway.dataset.value import texts
from gateway.dataset.writer import vr_in_context
from gateway.model.attribute_path import AttributePath
from gateway.ports.edits import RewriteElement as ShownElement
from gateway.ports.errors import Refusal

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
    """The attributes to read at one level, and the wanted items of its sequences; compiled once from paths."""

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
    """The tags whose values are needed to read those of `tags`."""
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


def plain_uid(data: bytes) -> Texts | None:
    """The text of a value field of VR UI; None for several UIDs, and for what is no plain ASCII."""
    if not data.isascii() or b"\\" in data or b"\x1b" in data:
        return None
    text = data.decode("ascii").strip(" \0")
    return (text,) if text else ()


class Level:
    """The values that were wanted of a data set or of one item; text is made when first asked for."""

    __slots__ = ("_encodings", "_given", "_long", "_parent", "_raw", "encoding", "items", "known", "undeclared")

    def __init__(self, encoding: Encoding, parent: Level | None = None) -> None:
        self.encoding = encoding
        self._parent = parent
        self._encodings: charset.Encodings | None = None
        self.undeclared: tuple[str, ...] = ()
        """The character sets for text beyond ASCII in a data set that names none."""
        self._raw: dict[int, tuple[str, bytes]] = {}
        self._long: dict[int, int] = {}
        self._given: frozenset[int] = frozenset()
        self.known: dict[int, Texts | None] = {}
        """Texts that were made, or given; None: made absent."""
        self.items: dict[int, list[Level]] = {}
        """The items of each sequence by its tag; only sequences that paths go into."""

    def add(self, tag: int, vr: str, raw: bytes, length_bytes: int = 0) -> None:
        """`length_bytes` where `raw` is not all of the value."""
        if tag not in self._raw and length_bytes > len(raw):
            self._long[tag] = length_bytes
        self._raw.setdefault(tag, (vr, raw))

    def add_all(self, tags: Iterable[int], vrs: Iterable[str], raws: Iterable[bytes]) -> None:
        """As `add` of several, whose values are whole; none of them was added before."""
        self._raw.update(zip(tags, zip(vrs, raws, strict=True), strict=True))

    def written(self, tags: Iterable[int]) -> tuple[Written, ...]:
        """Everything that decides the text of each tag: VR and value field as they were scanned, the new text when it
        was changed since, None when absent. Specific Character Set is always given as scanned, since the value fields
        are read by it.
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
        written, data = raw
        value = plain_uid(data) if written == "UI" else None
        if value is None:
            vr = self.vr_of(tag, written)
            codecs = charset.DEFAULT if vr == "UI" else self._codecs()  # always ASCII
            value = texts(data, vr, codecs, is_big_endian=self._is_big_endian(tag, written))
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
        """The tag of `path` at this level; None when it is by a private creator that has no block here."""
        tag, creator = here(path, depth)
        return tag if not creator else next(iter(self.tags_of(path, depth)), None)

    def tags_of(self, path: AttributePath, depth: int = 0) -> list[int]:
        """The tags of `path` at this level. A private creator with several blocks gives one for each; those that are
        there come first.
        """
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
        """The elements of `tags` that were there: VR as written, value field as far as it was read, and its whole
        length.
        """
        raw = {tag: self._raw[tag] for tag in tags if tag in self._raw}
        return {tag: (vr, value, self._long.get(tag, len(value))) for tag, (vr, value) in raw.items()}

    def given(self, tags: Iterable[int]) -> dict[int, Texts | None]:
        """The texts of those of `tags` that were changed or added since; None for a removed one."""
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
        """The encoded length of a value that was not read but given."""
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
        """The VR as written, else the dictionary's, also for a UN of a known attribute (PS3.5 §6.2.2)."""
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
