"""Data elements in bytes: one walk over headers, values untouched (PS3.5 §7.1 to §7.5).

The walk over one level visits every element, hops over values by their length, and goes inside only what has an
undefined length, to find its end. It reports the elements that are wanted. Order and repetition of elements do not
matter to it. It must arrive exactly at the end of the level: bytes that are missing or left over are an error with
their offset.

A tolerant encoding goes on where archives do (`gateway.dataset.tolerance`), and notes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from gateway.dataset import tolerance
from gateway.dataset.encoding import IMPLICIT_LITTLE, Encoding
from gateway.ports.errors import Refusal, Unreadable

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MAX_DEPTH = 256
"""Sequences of undefined length inside each other."""
MOST_ELEMENTS = 250_000
"""Of one level, where every element is reported: one takes some 250 bytes of memory."""
CHECKED_BYTES = 1024**2
SLICE_BYTES = 16 * 1024
"""Headers that begin within so many bytes are read at once: at most 2048, in about two milliseconds."""

_SHORT = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US"
_LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
SHORT_VRS = frozenset(_SHORT.split())
"""16 bit length (PS3.5 Table 7.1-2)."""
LONG_VRS = frozenset(_LONG.split())
"""Two reserved bytes and a 32 bit length (PS3.5 Table 7.1-1)."""

SEQUENCE_VRS = frozenset({"SQ", "UN", ""})
"""VRs, or none written, of elements that may hold items."""


class Element(NamedTuple):
    """Where one element lies; all offsets count from the start of the view."""

    tag: int
    vr: str
    """Empty when the encoding does not say it."""
    start: int
    value: int
    """Where the value, or the first item, begins."""
    stop: int
    """Where the value, or the last item, ends."""
    end: int
    """Where the next element begins: `stop`, or behind the delimiter of an undefined length."""


class Item(NamedTuple):
    """Where one sequence item lies; as in `Element`."""

    start: int
    value: int
    stop: int
    end: int


class _Layout:
    """Struct functions and numbers of one byte order. Tags read as one little endian number have their halves swapped;
    they are compared in that form, so that the walk does no arithmetic."""

    def __init__(self, order: str) -> None:
        self.is_swapped = order == "<"
        self.explicit = struct.Struct(order + "LHH").unpack_from
        self.implicit = struct.Struct(order + "LL").unpack_from
        self.long_length = struct.Struct(order + "L").unpack_from
        self.names = {struct.unpack(order + "H", vr.encode())[0]: vr for vr in SHORT_VRS | LONG_VRS}
        self.short = frozenset(number for number, vr in self.names.items() if vr in SHORT_VRS)
        self.long = frozenset(number for number, vr in self.names.items() if vr in LONG_VRS)
        self.never = {self.raw(tag): tag for tag in (0, ITEM, ITEM_END, SEQUENCE_END)}
        self.item, self.item_end, self.sequence_end = map(self.raw, (ITEM, ITEM_END, SEQUENCE_END))

    def raw(self, tag: int) -> int:
        """`tag` as this order reads it; its own inverse."""
        return (tag & 0xFFFF) << 16 | tag >> 16 if self.is_swapped else tag


_LITTLE, _BIG = _Layout("<"), _Layout(">")


def layout_of(encoding: Encoding) -> _Layout:
    return _BIG if encoding.is_big_endian else _LITTLE


class TagSelection:
    """Tags to report, prepared for the walk."""

    __slots__ = ("_raw",)

    def __init__(self, tags: Iterable[int]) -> None:
        wanted = frozenset(tags)
        self._raw = [frozenset(map(layout.raw, wanted)) | frozenset(layout.never) for layout in (_LITTLE, _BIG)]

    def raw(self, *, is_big_endian: bool) -> frozenset[int]:
        """As tags are read from bytes; what must never be there is in it, so that it is seen."""
        return self._raw[is_big_endian]


class _EveryTag(frozenset[int]):
    """All tags at once."""

    def __contains__(self, tag: object) -> bool:
        return True


class _Every(TagSelection):
    """A walk with this reports every element."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(())

    def raw(self, *, is_big_endian: bool) -> frozenset[int]:
        return _EVERY_TAG


_EVERY_TAG = _EveryTag()
EVERY = _Every()
EVERY_UNBOUNDED = _Every()
"""As `EVERY`, with no limit to their number."""


@lru_cache(maxsize=1024)
def selection_of(tags: frozenset[int]) -> TagSelection:
    """Prepared, and kept for the next time."""
    return TagSelection(tags)


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
        """Of the next header; behind `end` of the walk when a value reaches there."""

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
        """Of an element of undefined length; False when it is not reached yet."""
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

    def _odd(self, raw: int, start: int, layout: _Layout) -> int:
        """Over a tag that has no place there, or an element whose VR is none: where the next header begins, or the
        value whose end is looked for first. Raises Unreadable where archives cannot go on either."""
        view, encoding = self._view, self._encoding
        if not encoding.is_tolerant:
            raise _stray(layout.never[raw], start) if raw in layout.never else _not_explicit(view, start, layout)
        if raw in layout.never:
            return self._over_stray(layout.never[raw], start, layout)
        encoding.note("unknown_vr", _named(layout.raw(raw), start, bytes(view[start + 4 : start + 6])))
        value, length = tolerance.value_of(view, start, is_big_endian=encoding.is_big_endian)
        if length == UNDEFINED:
            self._skip, self._opened = Skip(view, value, self._end, encoding), (raw, "", start, value)
            return value
        if raw in self._wanted:
            self.found.append(Element(layout.raw(raw), "", start, value, value + length, value + length))
        return value + length

    def _over_stray(self, tag: int, start: int, layout: _Layout) -> int:
        """As `_odd`, over an end of an item, what may follow it, and zeros up to the end of the level. Archives end the
        data set there: where elements follow, they would lose them without a word."""
        if tag == 0 and self._is_end_of_zeros(start):
            return self._end
        is_end = tag == ITEM_END or (tag == SEQUENCE_END and self._has_item_end)
        if not is_end or layout.implicit(self._view, start)[1] != 0:
            raise _stray(tag, start)
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
        layout = _BIG if self._encoding.is_big_endian else _LITTLE
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
        header, start, never = _LITTLE.implicit, self._element, _LITTLE.never
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
                        position = self._odd(tag, start, _LITTLE)
                        continue
                    found.append(Element(_LITTLE.raw(tag), "", start, value, position, position))
        finally:
            self._element, self.position = start, position


def _checked(raw: int, layout: _Layout, start: int) -> int:
    if raw in layout.never:
        raise _stray(layout.never[raw], start)
    return layout.raw(raw)


def _stray(tag: int, start: int) -> Unreadable:
    return Unreadable(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at byte {start} has no place there")


def _not_explicit(view: memoryview, start: int, layout: _Layout) -> Unreadable:
    tag = layout.raw(layout.long_length(view, start)[0])
    if layout.raw(tag) in layout.never:
        return _stray(tag, start)
    return Unreadable(_named(tag, start, bytes(view[start + 4 : start + 6])))


def _named(tag: int, start: int, vr: bytes) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) at byte {start} has no known VR (found {vr!r})"


def place_of(view: memoryview, position: int, end: int, encoding: Encoding, tag: int) -> int:
    """Where an element of this tag is to be put in: before the first one with a larger tag, else at `end`."""
    layout = layout_of(encoding)
    while position < end:
        here = layout.raw(layout.long_length(view, position)[0]) if end - position >= 8 else 0
        if here > tag or here == 0:  # 0: the zeros that a tolerant reading passes over
            return position
        position = _next(view, position, end, encoding, layout)
    return end


def _next(view: memoryview, position: int, end: int, encoding: Encoding, layout: _Layout) -> int:
    """Where the element at `position` ends; the level was walked before."""
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


def skip(view: memoryview, position: int, end: int, encoding: Encoding, *, is_item: bool = False) -> int:
    """Where a sequence (or the fragments of encapsulated pixel data) of undefined length ends, behind its delimiter.

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
    """Over items up to the sequence's end, into the first item of undefined length, or up to `end`."""
    layout = _BIG if encoding.is_big_endian else _LITTLE
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
    """Over elements up to the item's end, into the first value of undefined length, or up to `end`."""
    layout = _BIG if encoding.is_big_endian else _LITTLE
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
                    raise _not_explicit(view, position, layout)
                encoding.note("unknown_vr", _named(layout.raw(tag), position, bytes(view[position + 4 : position + 6])))
                value, length = tolerance.value_of(view, position, is_big_endian=encoding.is_big_endian)
        if tag == item_end:
            return position + 8, None
        if tag in layout.never:
            raise _stray(layout.never[tag], position)
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


def inside(sequence: Element, encoding: Encoding) -> Encoding:
    """The encoding of a sequence's items: one that is hidden in UN is implicit VR little endian (PS3.5 §6.2.2)."""
    return inside_unknown(encoding) if sequence.vr == "UN" else encoding


def inside_unknown(encoding: Encoding) -> Encoding:
    """Of the items inside UN, in a data set in `encoding`."""
    return IMPLICIT_LITTLE if encoding.notes is None else Encoding(is_implicit=True, notes=encoding.notes)
