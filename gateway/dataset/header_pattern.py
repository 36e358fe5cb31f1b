"""The element headers of a data set, remembered, so that those of the next one of its kind are compared in few calls.

The top levels of two data sets of one device mostly have the same elements, most of them of the same length and many
with the same value. A pattern holds the bytes that did not change: headers, and short values. Between them it steps
over values that are another one each time. An element whose length changes ends a run: its length is read, and the next
run begins behind it.

A pattern that fits is a proof, and no guess: every header was compared with one that a walk to the letter of the
transfer syntax went over, in the place where such a walk comes to it, and the last element ends where the data set
does. What does not fit is walked. Values are read from the data set, never from the pattern.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gateway.dataset.dictionary import SEQUENCE
from gateway.dataset.elements import EVERY, SLICE_BYTES, UNDEFINED, Element, TagSelection, inside_unknown, layout_of
from gateway.dataset.encoding import Encoding
from gateway.dataset.items import Skip
from gateway.dataset.scanned_level import Level, Texts, WantedElements, plain_uid
from gateway.dataset.value import MAX_TEXT_BYTES
from gateway.dataset.walk import Walker
from gateway.ports.edits import Alteration
from gateway.ports.errors import Unreadable

MOST_HEADERS = 512
"""Elements of a pattern; one takes some 200 bytes of memory, at most 300."""
MOST_COMPARED_BYTES = 64
"""Longer values are stepped over, and not compared."""
MOST_SLICES = 4
"""Slices of headers within an element of undefined length. A longer one is walked, so that others can go on."""
MOST_SLICES_LEARNED = 64
"""As `MOST_SLICES`, in a data set that a pattern is made of."""
MOST_WANTED = 8
"""Selections whose places in a pattern are kept."""
MOST_PLACES = 64
"""Places of new elements that are kept."""
_FIRST_TAG = 0x00040000
"""Elements below have no place in a data set."""

Unpack = Callable[[memoryview, int], tuple[Any, ...]]
RunPlaces = list[int]
"""The start of each run and the end of the value behind it, in order; last comes the end of the data set."""

Slot = tuple[int, int, int, int]
"""The index in `RunPlaces` and the offset from there at which an element begins, and those at which it ends."""
RepeatedEdits = tuple[Sequence[Alteration], Sequence[tuple[Slot, bytes]] | None]
"""Edits, and the element that goes into each slot, in the order of the bytes; see `gateway.dataset.repeated_edits`."""


class KnownElement(NamedTuple):
    """One element as it was in all data sets that the pattern was made of."""

    tag: int
    vr: str
    header_bytes: int
    length: int | None
    """None: not always the same, or undefined."""
    value: bytes | None
    """None: not always the same, or long."""


class _Run(NamedTuple):
    """Elements of known lengths, then the header of one whose length varies."""

    unpack: Unpack
    """Gives the bytes to compare, then the length of the element that varies."""
    expected: tuple[Any, ...]
    stop: int
    """The offset of the value of the element that varies, in the last run of the end, from the start of the run."""
    is_last: bool
    is_unknown: bool
    """The element that varies is of VR UN."""


class _WantedInRun(NamedTuple):
    """The elements to be read of one run. Offsets count from its start."""

    place: int
    """The index of its start in `RunPlaces`."""
    unpack: Unpack
    """Gives the value fields of `tags`."""
    tags: tuple[int, ...]
    vrs: tuple[str, ...]
    others: tuple[Element, ...]
    """Elements that are not read as text."""
    varying: Element | None
    """The element of varying length behind it, where it is wanted."""
    is_text: bool
    """That one is read as text."""


class HeaderFit(NamedTuple):
    """A data set that a pattern fits. It stands for a walk over these bytes."""

    pattern: HeaderPattern
    places: RunPlaces

    @property
    def encoding(self) -> Encoding:
        """The encoding of the data set."""
        return self.pattern.encoding

    def read(self, view: memoryview, wanted: WantedElements, level: Level) -> list[Element]:
        """Read the wanted values into `level`; the wanted elements that are not read by it."""
        return self.pattern.read(view, self.places, wanted, level)

    def found(self, selection: TagSelection) -> list[Element]:
        """The selected elements, in the order of the bytes: those that a walk reports."""
        return self.pattern.found(self.places, selection)

    def place_of(self, tag: int) -> int:
        """The offset for a new element of this tag, as `gateway.dataset.walk.place_of`."""
        return self.pattern.place_of(self.places, tag)


class HeaderPattern:
    """The headers of one kind of data set. Never changes.

    Args:
        known: its elements.
        found: those of a data set that fits, `view`.
        encoding: of the data set.
    """

    __slots__ = ("_places", "_read", "_runs", "_selected", "encoding", "known", "repeated")

    def __init__(
        self, known: Sequence[KnownElement], found: Sequence[Element], view: memoryview, encoding: Encoding
    ) -> None:
        self.encoding = encoding
        self.known = known
        self._runs = _runs(known, found, view, encoding)
        self._read: dict[WantedElements, tuple[list[_WantedInRun], dict[int, Texts]]] = {}
        """Where the wanted elements are, and the text of those UIDs that are always the same."""
        self._selected: dict[TagSelection, list[tuple[int, bool, Element]]] = {}
        self._places: dict[int, tuple[int, int]] = {}
        """The index in `RunPlaces` and the offset from there, of new elements by their tag."""
        self.repeated: RepeatedEdits | None = None

    def merged(self, found: Sequence[Element], view: memoryview) -> HeaderPattern | None:
        """The pattern of all that this one fits and of one more data set; None when that has other elements."""
        if len(self.known) != len(found):
            return None
        merged: list[KnownElement] = []
        for known, element in zip(self.known, found, strict=True):
            tag, vr, start, value, stop, end = element
            if known.tag != tag or known.vr != vr or known.header_bytes != value - start:
                return None
            if known.length is not None and (end != stop or known.length != stop - value):
                known = known._replace(length=None, value=None)
            elif known.value is not None and known.value != view[value:stop]:
                known = known._replace(value=None)
            merged.append(known)
        return HeaderPattern(merged, found, view, self.encoding)

    def fit(self, view: memoryview, length_bytes: int) -> HeaderFit | None:
        """The places of the runs in a data set of this length; None when only a walk can say what lies in it.

        `view` is all of it, or the beginning, which is enough where it has all headers.
        """
        position = 0
        places: RunPlaces = []
        try:
            for unpack, expected, stop, is_last, is_unknown in self._runs:
                places.append(position)
                if is_last:
                    places.append(position + stop)
                    is_same = not expected or unpack(view, position) == expected
                    return HeaderFit(self, places) if is_same and position + stop == length_bytes else None
                found = unpack(view, position)
                position += stop
                if found[:-1] != expected:
                    return None
                if found[-1] != UNDEFINED:
                    position += found[-1]
                    places.append(position)
                elif (behind := self._end_of_undefined(view, position, is_unknown=is_unknown)) is not None:
                    position = behind
                    places.append(behind - 8)
                else:
                    return None
        except (struct.error, Unreadable):
            pass
        return None

    def _end_of_undefined(self, view: memoryview, value: int, *, is_unknown: bool) -> int | None:
        """The end of an element of undefined length; None when it is far. Raises as `Skip`."""
        skip = Skip(view, value, len(view), inside_unknown(self.encoding) if is_unknown else self.encoding)
        for _ in range(MOST_SLICES):
            if skip.go_on(min(skip.position + SLICE_BYTES, len(view))):
                return skip.position
        return None

    def read(self, view: memoryview, places: RunPlaces, wanted: WantedElements, level: Level) -> list[Element]:
        """As `HeaderFit.read`."""
        found: list[Element] = []
        read = self._read.get(wanted)
        runs, uids = self._reading_of(wanted) if read is None else read
        level.known.update(uids)
        for place, unpack, tags, vrs, others, varying, is_text in runs:
            start = places[place]
            if tags:
                level.add_all(tags, vrs, unpack(view, start))
            for tag, vr, at, value, stop, end in others:
                found.append(Element(tag, vr, start + at, start + value, start + stop, start + end))
            if varying is not None:
                tag, vr, at, value, _stop, _end = varying
                value, stop, end = start + value, places[place + 1], places[place + 2]
                if is_text and stop == end <= len(view) and stop - value <= MAX_TEXT_BYTES:
                    level.add(tag, vr, bytes(view[value:stop]))
                else:
                    found.append(Element(tag, vr, start + at, value, stop, end))
        return found

    def found(self, places: RunPlaces, selection: TagSelection) -> list[Element]:
        """As `HeaderFit.found`."""
        selected = self._selected.get(selection)
        found: list[Element] = []
        for place, is_varying, element in self._selected_of(selection) if selected is None else selected:
            tag, vr, start, value, stop, end = element
            base = places[place]
            if is_varying:
                stop, end = places[place + 1], places[place + 2]
            else:
                stop, end = base + stop, base + end
            found.append(Element(tag, vr, base + start, base + value, stop, end))
        return found

    def _selected_of(self, selection: TagSelection) -> list[tuple[int, bool, Element]]:
        if len(self._selected) >= MOST_WANTED:
            self._selected.clear()
        raw, layout = selection.raw(is_big_endian=self.encoding.is_big_endian), layout_of(self.encoding)
        selected: list[tuple[int, bool, Element]] = []
        for number, (elements, varying) in enumerate(elements_of_runs(self.known)):
            selected += [(2 * number, False, one) for one in elements if layout.raw(one.tag) in raw]
            if varying is not None and layout.raw(varying.tag) in raw:
                selected.append((2 * number, True, varying))
        self._selected[selection] = selected
        return selected

    def place_of(self, places: RunPlaces, tag: int) -> int:
        """As `HeaderFit.place_of`."""
        known = self._places.get(tag)
        if known is None:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            known = self._places[tag] = self.new_place(tag)
        return places[known[0]] + known[1]

    def new_place(self, tag: int) -> tuple[int, int]:
        """The index in `RunPlaces` and the offset from there, of a new element of this tag."""
        number = 0
        for number, (elements, varying) in enumerate(elements_of_runs(self.known)):
            for element in elements if varying is None else (*elements, varying):
                if element.tag > tag:
                    return 2 * number, element.start
        return 2 * number + 1, 0

    def _reading_of(self, wanted: WantedElements) -> tuple[list[_WantedInRun], dict[int, Texts]]:
        if len(self._read) >= MOST_WANTED:
            self._read.clear()
        runs = enumerate(elements_of_runs(self.known))
        some = [
            _wanted_in(2 * number, elements, varying, wanted, self.encoding) for number, (elements, varying) in runs
        ]
        read = [one for one in some if one.tags or one.others or one.varying is not None]
        uids = {
            one.tag: text
            for one in self.known
            if one.tag in wanted.attributes and one.vr == "UI" and one.value and (text := plain_uid(one.value))
        }
        self._read[wanted] = read, uids
        return read, uids


def elements_of_runs(known: Sequence[KnownElement]) -> Iterator[tuple[list[Element], Element | None]]:
    """The elements of each run, and the one whose length varies behind it; offsets count from the start of the run."""
    start = 0
    elements: list[Element] = []
    for tag, vr, header_bytes, length, _value in known:
        value = start + header_bytes
        stop = value + (length or 0)
        element = Element(tag, vr, start, value, stop, stop)
        if length is None:
            yield elements, element
            start, elements = 0, []
        else:
            elements.append(element)
            start = stop
    yield elements, None


def pattern_of(
    view: memoryview, encoding: Encoding, before: Sequence[HeaderPattern]
) -> tuple[HeaderPattern, int] | None:
    """A pattern that fits this data set: of those before, which are of the same encoding, the first one with the same
    elements goes into it, whose index is given, or -1. None when there are too many elements, or what has no place.

    Raises:
        Unreadable: it cannot be walked to the letter.
    """
    found = _elements(view, encoding)
    if found is None:
        return None
    for index, one in enumerate(before):
        if (merged := one.merged(found, view)) is not None:
            return merged, index
    return HeaderPattern([_known(view, element) for element in found], found, view, encoding), -1


def _elements(view: memoryview, encoding: Encoding) -> list[Element] | None:
    walker = Walker(view, 0, len(view), encoding, EVERY)
    for _ in range(MOST_SLICES_LEARNED):
        is_done = walker.go_on(min(walker.position + SLICE_BYTES, len(view)))
        if len(walker.found) > MOST_HEADERS:
            return None
        if is_done:
            tags = {element.tag for element in walker.found}
            is_plain = len(tags) == len(walker.found) and min(tags, default=0) >= _FIRST_TAG
            return walker.found if is_plain else None
    return None


def _known(view: memoryview, element: Element) -> KnownElement:
    tag, vr, start, value, stop, end = element
    length = stop - value if end == stop else None
    is_compared = length is not None and length <= MOST_COMPARED_BYTES
    return KnownElement(tag, vr, value - start, length, bytes(view[value:stop]) if is_compared else None)


def _runs(
    known: Sequence[KnownElement], found: Sequence[Element], view: memoryview, encoding: Encoding
) -> tuple[_Run, ...]:
    """The runs of a pattern, with what is compared taken from `view`."""
    runs: list[_Run] = []
    order = ">" if encoding.is_big_endian else "<"
    start, compared, form = 0, 0, [order]
    for one, element in zip(known, found, strict=True):
        compared += one.header_bytes
        if one.length is None:
            field = "H" if one.header_bytes == 8 and not encoding.is_implicit else "L"
            form.append(f"{compared - struct.calcsize(order + field)}s{field}")
            runs.append(_run(view, start, form, element.value, one))
            start, compared, form = element.end, 0, [order]
        elif one.value is not None:
            compared += one.length
        elif one.length:
            form += (f"{compared}s", f"{one.length}x")
            compared = 0
    if compared:
        form.append(f"{compared}s")
    elif form[-1].endswith("x"):
        form.pop()  # the last value is stepped over, and need not be there
    runs.append(_run(view, start, form, len(view), None))
    return tuple(runs)


def _run(view: memoryview, start: int, form: list[str], stop: int, varying: KnownElement | None) -> _Run:
    unpack = struct.Struct("".join(form)).unpack_from
    expected = unpack(view, start)
    if varying is None:
        return _Run(unpack, expected, stop - start, is_last=True, is_unknown=False)
    return _Run(unpack, expected[:-1], stop - start, is_last=False, is_unknown=varying.vr == "UN")


def _wanted_in(
    place: int, elements: Sequence[Element], varying: Element | None, wanted: WantedElements, encoding: Encoding
) -> _WantedInRun:
    raw, layout = wanted.selection.raw(is_big_endian=encoding.is_big_endian), layout_of(encoding)
    chosen = [element for element in elements if layout.raw(element.tag) in raw]

    def is_text(one: Element) -> bool:
        return one.vr != SEQUENCE and one.tag not in wanted.inner and one.stop - one.value <= MAX_TEXT_BYTES

    texts = [one for one in chosen if is_text(one)]
    behind, form = 0, ""
    for one in texts:
        form += f"{one.value - behind}x{one.stop - one.value}s"
        behind = one.stop
    return _WantedInRun(
        place,
        struct.Struct(form).unpack_from,
        tuple(one.tag for one in texts),
        tuple(one.vr for one in texts),
        tuple(one for one in chosen if one not in texts),
        varying if varying is not None and layout.raw(varying.tag) in raw else None,
        varying is not None and is_text(varying),
    )
