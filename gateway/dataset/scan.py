"""Attribute values from an encoded data set, without decoding it.

One walk over the element headers reads what is wanted and checks that the stream ends exactly where an element does.
Of an attribute that is there twice, which PS3.5 §7.1 forbids, the first one counts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from gateway.dataset.dictionary import (
    SEQUENCE,
    name_of,
    vr_of,
)
from gateway.dataset.elements import EVERY, SEQUENCE_VRS, SLICE_BYTES, Element, TagSelection, inside
from gateway.dataset.encoding import DEFLATED, Encoding, encodings_of, readings_of
from gateway.dataset.header_memory import KnownHeaders
from gateway.dataset.header_pattern import HeaderFit
from gateway.dataset.inflation import Inflating, InflationSteps
from gateway.dataset.items import items_in_slices, may_hold_items
from gateway.dataset.scanned_level import ITEMS_AT_ONCE, PIXELS, Level, Texts, WantedElements
from gateway.dataset.value import MAX_TEXT_BYTES
from gateway.dataset.walk import Walker, walk, walking
from gateway.model.attribute_path import AttributePath
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import Unreadable

T = TypeVar("T")
HEAD_BYTES = 64 * 1024
"""The bytes at the beginning of a large data set that are looked at first."""
NOTHING_ODD: Mapping[str, str] = MappingProxyType({})


class Scanned:
    """The result of one scan."""

    __slots__ = ("encoding", "fit", "level", "oddities")

    def __init__(self, level: Level, oddities: Mapping[str, str] = NOTHING_ODD, fit: HeaderFit | None = None) -> None:
        self.level = level
        self.encoding = level.encoding
        self.oddities = oddities
        """Oddities: the row of `gateway.leniency` → the place where it was used."""
        self.fit = fit
        """The places of all elements of the data set, where remembered headers fitted it."""

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
    view: memoryview,
    transfer_syntax_uid: str,
    wanted: WantedElements,
    *,
    is_strict: bool = False,
    known: KnownHeaders | None = None,
) -> InflationSteps[Scanned]:
    """`scan` in steps of some milliseconds; `is_strict`: to the letter of the transfer syntax; `known`: the headers of
    former data sets in it, which make this quick and change nothing else. Raises as `scan`."""
    if known is None or transfer_syntax_uid in DEFLATED:
        return (yield from _scanning_anew(view, transfer_syntax_uid, wanted, is_strict=is_strict))
    fit = known.fitting(view, len(view))
    if fit is not None and (scanned := (yield from _reading_in_place(view, fit, wanted))) is not None:
        return scanned
    scanned = yield from _scanning_anew(view, transfer_syntax_uid, wanted, is_strict=is_strict)
    if fit is None and not scanned.oddities and scanned.encoding == (encoding := encodings_of(transfer_syntax_uid)[0]):
        known.learn(view, encoding)
    return scanned


def scanning_body(
    body: EncodedDataSet,
    transfer_syntax_uid: str,
    wanted: WantedElements,
    *,
    is_strict: bool = False,
    known: KnownHeaders,
) -> InflationSteps[Scanned]:
    """`scanning` of a body. The first piece is enough where known headers lie in it, and so does what is wanted: then
    nothing is joined, and nothing mapped."""
    if body.length_bytes > SLICE_BYTES and transfer_syntax_uid not in DEFLATED:
        head = memoryview(next(iter(body.chunks(HEAD_BYTES))))
        fit = known.fitting(head, body.length_bytes)
        if fit is not None and (scanned := (yield from _reading_in_place(head, fit, wanted))) is not None:
            return scanned
    return (yield from scanning(body.view(), transfer_syntax_uid, wanted, is_strict=is_strict, known=known))


def _reading_in_place(view: memoryview, fit: HeaderFit, wanted: WantedElements) -> InflationSteps[Scanned | None]:
    """The scan of a data set that begins with `view`, which known headers fit; None when more must be looked at."""
    level = Level(fit.encoding)
    try:
        found = fit.read(view, wanted, level)
        if found:
            if found[-1].end > len(view):
                return None
            yield from _reading(view, found, wanted, level)
    except (Unreadable, struct.error):  # inside a sequence, said or tolerated by a walk; or a value behind `view`
        return None
    return Scanned(level, fit=fit)


def _scanning_anew(
    view: memoryview, transfer_syntax_uid: str, wanted: WantedElements, *, is_strict: bool
) -> InflationSteps[Scanned]:
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
    """The work of `scanning` in plain calls: for a small object its layers of generators cost as much as the rest."""
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
    """The number of bytes that are read of the value of a selected element."""
    length = element.stop - element.value
    return length if element.tag in wanted.inner else min(length, MAX_TEXT_BYTES)


def _reading_top(
    view: memoryview, found: list[Element], wanted: WantedElements, encoding: Encoding, oddities: Mapping[str, str]
) -> InflationSteps[Scanned]:
    level = Level(encoding)
    yield from _reading(view, found, wanted, level)
    return Scanned(level, _noted(found, oddities))


def _noted(found: list[Element], oddities: Mapping[str, str]) -> Mapping[str, str]:
    """The oddities, with File Meta Information in the data set where an element of it was found."""
    if not found or found[0].tag >= 0x00030000:
        return oddities
    where = f"(0002,{found[0].tag & 0xFFFF:04X}) at byte {found[0].start}"
    return {**oddities, "file_meta_in_data_set": where}


def checking_lengths(view: memoryview, encoding: Encoding) -> InflationSteps[None]:
    """Check, in steps, that every value of the top level has an even length (PS3.5 §7.1.1). Raises Unreadable."""
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
    """The result of `read` in the first reading of a data set that does not raise Unreadable.

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
    """Read the value of an element; its items, when any are wanted, were read before."""
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
