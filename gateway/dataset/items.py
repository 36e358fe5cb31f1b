"""Items of sequences, and the end of what has an undefined length (PS3.5 §7.5)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gateway.dataset import tolerance
from gateway.dataset.elements import (
    BIG,
    LITTLE,
    MAX_DEPTH,
    SLICE_BYTES,
    UNDEFINED,
    Element,
    Item,
    inside_unknown,
    layout_of,
    not_explicit,
    shown_vr,
    stray,
)
from gateway.dataset.encoding import IMPLICIT_LITTLE, Encoding
from gateway.ports.errors import Unreadable


def skip(view: memoryview, position: int, end: int, encoding: Encoding, *, is_item: bool = False) -> int:
    """The end of a sequence (or of the fragments of encapsulated pixel data) of undefined length, behind its delimiter.

    `position` is its first item; with `is_item` it is the first element of an item of undefined length.
    """
    whole = Skip(view, position, end, encoding, is_item=is_item)
    whole.go_on(end)
    return whole.position


class Skip:
    """Looks for the end of something of undefined length, and can be interrupted. Iterative: what peers nest costs no
    stack, and no more than `MAX_DEPTH` levels are followed."""

    __slots__ = ("_end", "_levels", "_view", "position")

    def __init__(self, view: memoryview, position: int, end: int, encoding: Encoding, *, is_item: bool = False) -> None:
        self._view = view
        self._end = end
        self._levels: list[tuple[bool, Encoding]] = [(is_item, encoding)]
        self.position = position

    def end_at(self, end: int) -> None:
        """The level ends there."""
        self._end = end

    def go_on(self, stop: int) -> bool:
        """Read headers that begin before `stop`; True when the end was found, which is `position` then.

        Raises:
            Unreadable: there is none before the end of the level.
        """
        levels, view, end = self._levels, self._view, self._end
        while levels:
            if len(levels) > 2 * MAX_DEPTH:
                raise Unreadable(f"sequences are nested more than {MAX_DEPTH} levels deep at byte {self.position}")
            is_item, encoding = levels[-1]
            step = _skip_elements if is_item else _skip_items
            self.position, inside = step(view, self.position, stop, encoding)
            if inside is None:
                levels.pop()
            elif inside is not GIVE_WAY:
                levels.append(inside)
            elif self.position < end:
                return False
            else:
                what = "an item" if is_item else "a sequence"
                raise Unreadable(f"{what} of undefined length has no end before byte {end}")
        return True


GIVE_WAY: tuple[bool, Encoding] = (False, IMPLICIT_LITTLE)
"""Stands for: not done yet."""


def _skip_items(
    view: memoryview, position: int, end: int, encoding: Encoding
) -> tuple[int, tuple[bool, Encoding] | None]:
    """Pass over items up to the sequence's end, into the first item of undefined length, or up to `end`."""
    layout = BIG if encoding.is_big_endian else LITTLE
    header, item = layout.implicit, layout.item
    while position < end:
        tag, length = header(view, position)
        if tag != item:
            if tag == layout.sequence_end and length == 0:
                return position + 8, None
            raise Unreadable(f"expected an item or the end of the sequence at byte {position}")
        position += 8
        if length == UNDEFINED:
            return position, (True, encoding)
        position += length
    return position, GIVE_WAY


def _skip_elements(
    view: memoryview, position: int, end: int, encoding: Encoding
) -> tuple[int, tuple[bool, Encoding] | None]:
    """Pass over elements up to the item's end, into the first value of undefined length, or up to `end`."""
    layout = BIG if encoding.is_big_endian else LITTLE
    header, short, long, item_end = layout.explicit, layout.short, layout.long, layout.item_end
    is_implicit, implicit = encoding.is_implicit, layout.implicit
    while position < end:
        if is_implicit:
            tag, length = implicit(view, position)
            value = position + 8
        else:
            tag, vr, length = header(view, position)
            value = position + 8
            if vr in long:
                (length,) = layout.long_length(view, value)
                value += 4
            elif vr not in short and tag != item_end:
                if not encoding.is_tolerant or tag in layout.never:
                    raise not_explicit(view, position, layout)
                encoding.note(
                    "unknown_vr", shown_vr(layout.raw(tag), position, bytes(view[position + 4 : position + 6]))
                )
                value, length = tolerance.value_of(view, position, is_big_endian=encoding.is_big_endian)
        if tag == item_end:
            return position + 8, None
        if tag in layout.never:
            raise stray(layout.never[tag], position)
        if length == UNDEFINED:
            is_unknown = not is_implicit and layout.names.get(vr) == "UN"
            return value, (False, inside_unknown(encoding) if is_unknown else encoding)
        position = value + length
    return position, GIVE_WAY


def items(view: memoryview, sequence: Element, encoding: Encoding) -> Iterator[Item]:
    """The items of a sequence, one after the other; `encoding` is that of its inside (`inside`).

    Raises:
        Unreadable: what lies there is no list of items.
    """
    return (item for item in items_in_slices(view, sequence, encoding, sequence.stop) if item is not None)


def items_in_slices(
    view: memoryview, sequence: Element, encoding: Encoding, slice_bytes: int = SLICE_BYTES
) -> Iterator[Item | None]:
    """As `items`; gives None after each slice of headers, so that others can go on. Raises Unreadable."""
    layout = layout_of(encoding)
    position = sequence.value
    slice_stop = position + slice_bytes
    try:
        while position < sequence.stop:
            start = position
            tag, length = layout.implicit(view, position)
            if tag != layout.item:
                if encoding.is_tolerant and tolerance.are_ends(view, position, sequence.stop, encoding):
                    encoding.note("stray_sequence_end", f"at byte {position}")
                    return
                raise Unreadable(f"expected an item of the sequence at byte {position}")
            value = position + 8
            position = value + length
            if length == UNDEFINED:
                skipping = Skip(view, value, sequence.stop, encoding, is_item=True)
                while not skipping.go_on(min(skipping.position + slice_bytes, sequence.stop)):
                    yield None
                position = skipping.position
            if position > sequence.stop:
                raise Unreadable(f"the item at byte {start} ends at byte {position}, behind its sequence")
            yield Item(start, value, position if length != UNDEFINED else position - 8, position)
            if position >= slice_stop:
                slice_stop = position + slice_bytes
                yield None
    except struct.error:
        raise Unreadable(f"the data set ends inside an item header at byte {position}") from None


def may_hold_items(view: memoryview, sequence: Element, encoding: Encoding) -> bool:
    """False where the value of what is called a sequence begins with neither an item nor a delimiter: some writers put
    text there. `encoding` is that of the inside."""
    if sequence.stop == sequence.value:
        return True
    layout = layout_of(encoding)
    if sequence.stop - sequence.value < 8:
        return False
    return layout.long_length(view, sequence.value)[0] in (layout.item, layout.item_end, layout.sequence_end)
