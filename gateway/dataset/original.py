"""The Original Attributes Sequence (0400,0561): what a data set held before it was changed (PS3.3 §C.12.1.1.9)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from gateway.dataset.dictionary import (
    SPECIFIC_CHARACTER_SET,
    creator_of,
    is_private,
    is_private_creator,
    takes_count,
)
from gateway.dataset.elements import Element
from gateway.dataset.encode import problem_with
from gateway.dataset.level import LENGTH_TO_END, EncodedLevel, length_of
from gateway.dataset.rewrite import effective_vr
from gateway.dataset.value import texts
from gateway.dataset.writer import Pieces, item_header
from gateway.ports.edits import OriginalAttributes

ORIGINAL_ATTRIBUTES, MODIFIED_ATTRIBUTES = 0x04000561, 0x04000550
NONCONFORMING_ATTRIBUTES, NONCONFORMING_VALUE, SELECTOR_ATTRIBUTE = 0x04000551, 0x04000552, 0x00720026
MODIFIED_AT, MODIFYING_SYSTEM, SOURCE, REASON = 0x04000562, 0x04000563, 0x04000564, 0x04000565
MAX_NONCONFORMING_BYTES = 0xFFFE
PIXELS = 0x7FE0
"""The group of pixel data, which is not kept twice."""


def recorded(before: EncodedLevel, now: EncodedLevel, record: OriginalAttributes) -> Pieces | None:
    """All bytes of `now` with one item more in its Original Attributes Sequence; None when nothing changed since
    `before`. Every element of both data sets was found, and both are in the same encoding.

    A replaced or removed value stands there as it was, a sequence as a whole. An added one stands there empty. A value
    that its VR forbids stands there empty too, with its bytes in Nonconforming Modified Attributes Sequence.

    Raises:
        Refusal: the names of source or system cannot be written.
    """
    changed = [tag for tag in sorted(before.first.keys() | now.first.keys()) if _has_changed(before, now, tag)]
    if not changed:
        return None
    previous, nonconforming = _previous(before, now, changed)
    content = _sequence(before, MODIFIED_ATTRIBUTES, [previous])
    if nonconforming:
        content += _sequence(before, NONCONFORMING_ATTRIBUTES, nonconforming)
    moment = record.modified_at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    values = ((MODIFIED_AT, moment), (MODIFYING_SYSTEM, record.system), (SOURCE, record.source))
    for tag, value in (*values, (REASON, record.reason)):
        content += before.written(tag, None, (value,) if value else (), 1)
    sequence = now.first.get(ORIGINAL_ATTRIBUTES)
    items: Pieces = [now.view[sequence.value : sequence.stop]] if sequence is not None else []
    items += [item_header(now.encoding, length_of(content)), *content]
    changes = now.placed(ORIGINAL_ATTRIBUTES, now.enclosed(ORIGINAL_ATTRIBUTES, sequence, items))
    return now.joined([*changes, *now.lengths(changes)])


def _has_changed(before: EncodedLevel, now: EncodedLevel, tag: int) -> bool:
    if tag & 0xFFFF == 0 or tag >> 16 == PIXELS or tag in (LENGTH_TO_END, ORIGINAL_ATTRIBUTES):
        return False
    first, second = before.first.get(tag), now.first.get(tag)
    if first is None or second is None:
        return True
    if first.end - first.start != second.end - second.start:
        return True
    return bytes(before.view[first.start : first.end]) != bytes(now.view[second.start : second.end])


def _previous(before: EncodedLevel, now: EncodedLevel, changed: list[int]) -> tuple[Pieces, list[Pieces]]:
    """The content of the item of Modified Attributes Sequence, and of the items of the nonconforming ones."""
    previous: Pieces = []
    nonconforming: list[Pieces] = []
    for tag in sorted({*changed, *_creators_of(changed), *_character_set(before, changed)}):
        element = before.first.get(tag)
        if element is None and tag == SPECIFIC_CHARACTER_SET:
            continue  # empty, it would be none at all
        if element is None:
            added = now.first.get(tag)
            previous.append(now.header(tag, _written_vr(added), 0))
        elif _is_conforming(before, element):
            previous += _as_it_was(before, element)
        else:
            previous.append(before.header(tag, _written_vr(element), 0))
            value = bytes(before.view[element.value : element.stop])[:MAX_NONCONFORMING_BYTES]
            selector = before.written(SELECTOR_ATTRIBUTE, None, (f"{tag:08X}",), 1)
            nonconforming.append([before.header(NONCONFORMING_VALUE, "OB", len(value)), value, *selector])
    return previous, nonconforming


def _as_it_was(level: EncodedLevel, element: Element) -> Pieces:
    """All its bytes; with UN where its VR is none."""
    if element.vr or level.encoding.is_implicit or element.end != element.stop:
        return [level.view[element.start : element.end]]
    return [level.header(element.tag, "UN", element.stop - element.value), level.view[element.value : element.stop]]


def _written_vr(element: Element | None) -> str:
    return element.vr if element is not None and element.vr else "UN"


def _creators_of(tags: Iterable[int]) -> list[int]:
    return [creator_of(tag) for tag in tags if is_private(tag) and not is_private_creator(tag)]


def _character_set(before: EncodedLevel, changed: list[int]) -> list[int]:
    """The tag of Specific Character Set where it was changed itself, since the previous texts need the previous one;
    else the object's is theirs."""
    is_needed = SPECIFIC_CHARACTER_SET in changed and SPECIFIC_CHARACTER_SET in before.first
    return [SPECIFIC_CHARACTER_SET] if is_needed else []


def _is_conforming(level: EncodedLevel, element: Element) -> bool:
    vr = effective_vr(level, element, is_sequence=False)
    if element.end != element.stop or vr in ("SQ", "UN", "OB", "OW", "OF", "OD", "OL", "OV"):
        return True
    is_big_endian = level.encoding.is_big_endian and element.vr != "UN"
    raw = bytes(level.view[element.value : element.stop])
    values = texts(raw, vr, level.codecs(), is_big_endian=is_big_endian)
    return takes_count(element.tag, len(values)) and problem_with(values, vr) is None


def _sequence(level: EncodedLevel, tag: int, contents: list[Pieces]) -> Pieces:
    pieces: Pieces = []
    for content in contents:
        pieces += [item_header(level.encoding, length_of(content)), *content]
    return level.enclosed(tag, None, pieces)
