"""One walk over the headers of data elements, values untouched (PS3.5 §7.1 to §7.5).

The walk over one level visits every element, hops over values by their length, and goes inside only what has an
undefined length, to find its end. It reports the elements that are wanted. Order and repetition of elements do not
matter to it. It must arrive exactly at the end of the level: bytes that are missing or left over are an error with
their offset.

A tolerant encoding goes on where archives do (`gateway.dataset.tolerance`), and notes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator

from gateway.dataset import tolerance
from gateway.dataset.elements import (
    BIG,
    CHECKED_BYTES,
    EVERY,
    ITEM_END,
    LITTLE,
    MOST_ELEMENTS,
    SEQUENCE_END,
    SLICE_BYTES,
    UNDEFINED,
    Element,
    Layout,
    TagSelection,
    inside_unknown,
    layout_of,
    not_explicit,
    shown_vr,
    stray,
)
from gateway.dataset.encoding import Encoding
from gateway.dataset.items import Skip, skip
from gateway.ports.errors import Refusal, Unreadable


def walk(view: memoryview, position: int, end: int, encoding: Encoding, selection: TagSelection) -> list[Element]:
    """The selected elements between `position` and `end`, in the order of the bytes.

    Raises:
        Unreadable: these bytes are not whole elements of `encoding`.
        Refusal: every element is asked for, and there are too many.
    """
    walker = Walker(view, position, end, encoding, selection)
    if selection is not EVERY:
        walker.go_on(end)
        return walker.found
    is_done = False
    while not is_done:
        is_done = walker.go_on(min(walker.position + CHECKED_BYTES, end))
        if len(walker.found) > MOST_ELEMENTS:
            raise Refusal(f"more than {MOST_ELEMENTS} elements at one level: such a data set is not changed")
    return walker.found


def walking(
    view: memoryview, position: int, end: int, encoding: Encoding, selection: TagSelection
) -> Generator[None, None, list[Element]]:
    """As `walk`; stops after each slice of headers, so that others can go on. Raises Unreadable."""
    walker = Walker(view, position, end, encoding, selection)
    while not walker.go_on(min(walker.position + SLICE_BYTES, end)):
        yield
    return walker.found


class Walker:
    """A walk over one level that can be interrupted. `found` has what was selected so far."""

    __slots__ = (
        "_element",
        "_encoding",
        "_end",
        "_has_item_end",
        "_opened",
        "_skip",
        "_start",
        "_view",
        "_wanted",
        "found",
        "position",
    )

    def __init__(self, view: memoryview, position: int, end: int, encoding: Encoding, selection: TagSelection) -> None:
        self._view = view
        self._end = end
        self._encoding = encoding
        self._wanted = selection.raw(is_big_endian=encoding.is_big_endian)
        self._start = self._element = position
        self._skip: Skip | None = None
        self._opened = (0, "", 0, 0)
        """Tag as read, VR, start and value of the element whose end is being looked for."""
        self._has_item_end = False
        """A stray item end was passed over."""
        self.found: list[Element] = []
        self.position = position
        """The offset of the next header; behind `end` of the walk when a value reaches there."""

    def go_on(self, stop: int) -> bool:
        """Read headers that begin before `stop`; True when the level is done.

        Raises:
            Unreadable: these bytes are not whole elements.
        """
        try:
            while self.position < stop:
                if self._skip is None:
                    walk_on = self._implicit if self._encoding.is_implicit else self._explicit
                    walk_on(stop)
                if self._skip is not None and not self._find_end(self._skip, stop):
                    return False
        except struct.error:
            if not self._is_end_of_zeros(self._element):
                raise Unreadable(
                    f"the data set ends inside an element header (level starts at byte {self._start})"
                ) from None
            self.position = self._end
        if self._skip is not None and self.position >= self._end:
            self._find_end(self._skip, self._end)  # raises: it has none
        if self.position == self._end:
            return True
        if self.position > self._end:
            text = f"the element at byte {self._element} ends at byte {self.position}"
            raise Unreadable(f"{text}, but the data ends at byte {self._end}")
        return False

    def end_at(self, end: int) -> None:
        """The level ends there: it was begun before that was known."""
        self._end = end
        if self._skip is not None:
            self._skip.end_at(end)

    def hole(self, keep: Callable[[Element], int]) -> tuple[int, int]:
        """Bytes before `position` that lie in a value which nobody reads: (first, end); `keep` as in
        `Inflating.walking`."""
        if self._skip is not None:
            return (0, 0) if self._opened[0] in self._wanted else (0, self.position)
        last = self.found[-1] if self.found else None
        if last is None or last.end != self.position:
            return 0, self.position
        return last.value + keep(last), self.position

    def _find_end(self, skip: Skip, stop: int) -> bool:
        """Find the end of an element of undefined length; False when it is not reached yet."""
        is_done = skip.go_on(stop)
        self.position = skip.position
        if not is_done:
            return False
        self._skip = None
        tag, vr, start, value = self._opened
        if tag in self._wanted:
            layout = layout_of(self._encoding)
            self.found.append(Element(_checked(tag, layout, start), vr, start, value, self.position - 8, self.position))
        return True

    def _odd(self, raw: int, start: int, layout: Layout) -> int:
        """Over a tag that has no place there, or an element whose VR is none: where the next header begins, or the
        value whose end is looked for first. Raises Unreadable where archives cannot go on either."""
        view, encoding = self._view, self._encoding
        if not encoding.is_tolerant:
            raise stray(layout.never[raw], start) if raw in layout.never else not_explicit(view, start, layout)
        if raw in layout.never:
            return self._over_stray(layout.never[raw], start, layout)
        encoding.note("unknown_vr", shown_vr(layout.raw(raw), start, bytes(view[start + 4 : start + 6])))
        value, length = tolerance.value_of(view, start, is_big_endian=encoding.is_big_endian)
        if length == UNDEFINED:
            self._skip, self._opened = Skip(view, value, self._end, encoding), (raw, "", start, value)
            return value
        if raw in self._wanted:
            self.found.append(Element(layout.raw(raw), "", start, value, value + length, value + length))
        return value + length

    def _over_stray(self, tag: int, start: int, layout: Layout) -> int:
        """As `_odd`, over an end of an item, what may follow it, and zeros up to the end of the level. Archives end the
        data set there: where elements follow, they would lose them without a word."""
        if tag == 0 and self._is_end_of_zeros(start):
            return self._end
        is_end = tag == ITEM_END or (tag == SEQUENCE_END and self._has_item_end)
        if not is_end or layout.implicit(self._view, start)[1] != 0:
            raise stray(tag, start)
        behind = start + 8
        if behind + 4 <= self._end and layout.long_length(self._view, behind)[0] not in layout.never:
            raise Unreadable(f"elements follow at byte {behind}, behind the end of an item that ends the data set")
        self._has_item_end = True
        self._encoding.note("stray_item_end", f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at byte {start}")
        return start + 8

    def _is_end_of_zeros(self, start: int) -> bool:
        """True when a tolerant reading may end here: nothing but zeros is left."""
        if not self._encoding.is_tolerant or not tolerance.are_zeros(self._view, start, self._end):
            return False
        self._encoding.note("zeros_behind", f"{self._end - start} bytes behind the last element, from byte {start} on")
        return True

    def _explicit(self, stop: int) -> None:
        """Up to `stop`, or into an element of undefined length."""
        view, wanted, found, position = self._view, self._wanted, self.found, self.position
        layout = BIG if self._encoding.is_big_endian else LITTLE
        header, long_length, short, long, names = (
            layout.explicit,
            layout.long_length,
            layout.short,
            layout.long,
            layout.names,
        )
        start = self._element
        try:
            while position < stop:
                start = position
                tag, vr, length = header(view, position)
                if vr in short:
                    position += 8 + length
                    if tag in wanted:
                        tag = _checked(tag, layout, start)
                        found.append(Element(tag, names[vr], start, start + 8, position, position))
                    continue
                if vr not in long:
                    position = self._odd(tag, start, layout)
                    if self._skip is not None:
                        break
                    continue
                (length,) = long_length(view, position + 8)
                value = position + 12
                if length == UNDEFINED:
                    inner = inside_unknown(self._encoding) if names[vr] == "UN" else self._encoding
                    self._skip = Skip(view, value, self._end, inner)
                    self._opened = (tag, names[vr], start, value)
                    position = value
                    break
                position = value + length
                if tag in wanted:
                    found.append(Element(_checked(tag, layout, start), names[vr], start, value, position, position))
        finally:
            self._element, self.position = start, position

    def _implicit(self, stop: int) -> None:
        """Up to `stop`, or into an element of undefined length."""
        view, wanted, found, position = self._view, self._wanted, self.found, self.position
        header, start, never = LITTLE.implicit, self._element, LITTLE.never
        try:
            while position < stop:
                start = position
                tag, length = header(view, position)
                value = position + 8
                if length == UNDEFINED:
                    self._skip = Skip(view, value, self._end, self._encoding)
                    self._opened = (tag, "", start, value)
                    position = value
                    break
                position = value + length
                if tag in wanted:
                    if tag in never:
                        position = self._odd(tag, start, LITTLE)
                        continue
                    found.append(Element(LITTLE.raw(tag), "", start, value, position, position))
        finally:
            self._element, self.position = start, position


def _checked(raw: int, layout: Layout, start: int) -> int:
    if raw in layout.never:
        raise stray(layout.never[raw], start)
    return layout.raw(raw)


def place_of(view: memoryview, position: int, end: int, encoding: Encoding, tag: int) -> int:
    """The offset for a new element of this tag: before the first one with a larger tag, else `end`."""
    layout = layout_of(encoding)
    while position < end:
        here = layout.raw(layout.long_length(view, position)[0]) if end - position >= 8 else 0
        if here > tag or here == 0:  # 0: the zeros that a tolerant reading passes over
            return position
        position = _next(view, position, end, encoding, layout)
    return end


def _next(view: memoryview, position: int, end: int, encoding: Encoding, layout: Layout) -> int:
    """The end of the element at `position`; the level was walked before."""
    value = position + 8
    if encoding.is_implicit:
        vr, length = 0, layout.implicit(view, position)[1]
    else:
        _tag, vr, length = layout.explicit(view, position)
        if vr in layout.long:
            (length,) = layout.long_length(view, value)
            value += 4
        elif vr not in layout.short:
            value, length = tolerance.value_of(view, position, is_big_endian=encoding.is_big_endian)
    if length != UNDEFINED:
        return int(value + length)
    return skip(view, value, end, inside_unknown(encoding) if layout.names.get(vr) == "UN" else encoding)
