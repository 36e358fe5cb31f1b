"""The differences between two encoded data sets, element by element, at every level.

Both may be in any transfer syntax. Sequences are gone into only where their bytes differ; items are compared by their
index. In different encodings (after a transcoding) the text of two values decides, where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gateway.dataset.dictionary import SEQUENCE, name_of
from gateway.dataset.elements import EVERY_UNBOUNDED, SEQUENCE_VRS, Element, inside
from gateway.dataset.encoding import DEFLATED, Encoding
from gateway.dataset.inflation import inflate
from gateway.dataset.items import items
from gateway.dataset.scan import parse
from gateway.dataset.scanned_level import Level, Texts
from gateway.dataset.value import MAX_TEXT_BYTES
from gateway.dataset.walk import walk
from gateway.ports.errors import Unreadable

ChangeKind = Literal["added", "removed", "emptied", "filled", "replaced", "re-encoded"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One element, or one item of a sequence, that is not the same."""

    path: str
    """The path as rules write it: ``RequestAttributesSequence[0].CodeValue``; an item ends with its index."""
    tag: int
    """The tag of the element; of the sequence for an item."""
    vr: str
    kind: ChangeKind
    before_bytes: int | None
    """Length of the value; None when it was absent."""
    after_bytes: int | None
    before: Texts | None = field(default=None, repr=False)
    """The value as text; None when it was absent, or has no text (sequences, binary data). May name a patient."""
    after: Texts | None = field(default=None, repr=False)


class _Side:
    """The elements of one level, with what their text depends on."""

    def __init__(self, view: memoryview, found: list[Element], level: Level) -> None:
        self.view, self.level = view, level
        self.elements: dict[int, Element] = {}
        for element in found:
            self.elements.setdefault(element.tag, element)
            has_text = element.vr != SEQUENCE and element.end == element.stop
            stop = min(element.stop, element.value + MAX_TEXT_BYTES) if has_text else element.value
            level.add(element.tag, element.vr, bytes(view[element.value : stop]))

    @classmethod
    def of(cls, view: memoryview, transfer_syntax_uid: str) -> _Side:
        plain = inflate(view, is_tolerant=True) if transfer_syntax_uid in DEFLATED else view
        plain, found, encoding = parse(plain, transfer_syntax_uid, EVERY_UNBOUNDED)
        return cls(plain, found, Level(encoding))

    @property
    def encoding(self) -> Encoding:
        return self.level.encoding

    def value(self, tag: int) -> memoryview | None:
        element = self.elements.get(tag)
        return None if element is None else self.view[element.value : element.stop]

    def vr(self, tag: int) -> str:
        """The VR as written, else the dictionary's; empty when the element is absent."""
        element = self.elements.get(tag)
        return "" if element is None else self.level.vr_of(tag, element.vr)

    def text(self, tag: int) -> Texts | None:
        element = self.elements.get(tag)
        if element is None or (element.stop > element.value and not self.level.text(tag)):
            return None
        return self.level.text(tag)

    def items(self, tag: int) -> list[_Side] | None:
        """The items of a sequence; None when this is none."""
        element = self.elements.get(tag)
        if element is None or element.vr not in SEQUENCE_VRS or self.vr(tag) not in (SEQUENCE, "UN"):
            return None
        encoding = inside(element, self.encoding).tolerant()
        try:
            return [
                _Side(
                    self.view,
                    walk(self.view, item.value, item.stop, encoding, EVERY_UNBOUNDED),
                    Level(encoding, self.level),
                )
                for item in items(self.view, element, encoding)
            ]
        except Unreadable:
            return None

    @property
    def length_bytes(self) -> int:
        return sum(element.end - element.start for element in self.elements.values())


def differences(
    before: memoryview, before_syntax_uid: str, after: memoryview, after_syntax_uid: str
) -> Iterator[Difference]:
    """Every difference, in the order of tags.

    Raises:
        Unreadable: one of them is no data set in its transfer syntax.
    """
    if before_syntax_uid == after_syntax_uid and before == after:
        return
    yield from _levels(_Side.of(before, before_syntax_uid), _Side.of(after, after_syntax_uid), "")


def _levels(before: _Side, after: _Side, prefix: str) -> Iterator[Difference]:
    for tag in sorted(before.elements.keys() | after.elements.keys()):
        old, new = before.value(tag), after.value(tag)
        is_same_encoding = before.encoding == after.encoding
        if is_same_encoding and old == new and before.vr(tag) == after.vr(tag):
            continue
        if tag & 0xFFFF == 0 or tag == 0x00080001:
            continue  # group lengths and Length to End follow the others
        name = f"{prefix}{name_of(tag)}"
        old_items, new_items = before.items(tag), after.items(tag)
        if old_items and new_items:
            yield from _items(old_items, new_items, tag, name)
            continue
        found = _difference(before, after, tag, name)
        if found is not None:
            yield found


def _items(before: list[_Side], after: list[_Side], tag: int, name: str) -> Iterator[Difference]:
    for index in range(max(len(before), len(after))):
        place = f"{name}[{index}]"
        if index >= len(after):
            yield Difference(place, tag, SEQUENCE, "removed", before[index].length_bytes, None)
        elif index >= len(before):
            yield Difference(place, tag, SEQUENCE, "added", None, after[index].length_bytes)
        else:
            yield from _levels(before[index], after[index], f"{place}.")


def _difference(before: _Side, after: _Side, tag: int, name: str) -> Difference | None:
    old, new = before.value(tag), after.value(tag)
    old_text, new_text = before.text(tag), after.text(tag)
    kind = _kind(old, new)
    if before.encoding != after.encoding and kind == "replaced":
        if old_text == new_text and (old_text is not None or old == new):
            return None
        if old_text is None:
            kind = "re-encoded"
    return Difference(
        path=name,
        tag=tag,
        vr=after.vr(tag) or before.vr(tag),
        kind=kind,
        before_bytes=None if old is None else len(old),
        after_bytes=None if new is None else len(new),
        before=old_text,
        after=new_text,
    )


def _kind(old: memoryview | None, new: memoryview | None) -> ChangeKind:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if len(old) and not len(new):
        return "emptied"
    return "filled" if len(new) and not len(old) else "replaced"
