"""Edits that every object of a kind gets, as by a `set` of a constant: the same bytes go into the same places.

A pattern of headers keeps the edits that were made last on a data set that it fits, and when they come again, the
elements that they gave; () where they must be made anew each time. The elements depend on the edits, on those that were
there before, on the character set and on Pixel Representation. Edits are repeated only where the pattern says that all
of these are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.common.buffer import Buffer
from gateway.dataset.dictionary import PIXEL_REPRESENTATION, SPECIFIC_CHARACTER_SET, is_private
from gateway.dataset.elements import selection_of
from gateway.dataset.header_pattern import HeaderFit, HeaderPattern, RepeatedEdits, Slot, elements_of_runs
from gateway.dataset.level import LENGTH_TO_END, EncodedLevel
from gateway.dataset.writer import Pieces
from gateway.ports.edits import Alteration, Edit

CONTEXT = frozenset((SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION))
"""The elements that others are encoded by."""
MOST_BYTES = 4096
"""The most that is remembered of one pattern."""
NOTHING: RepeatedEdits = ((), None)


def repeated(
    view: memoryview, changes: Sequence[Alteration], fit: HeaderFit, behind: Sequence[Buffer] = ()
) -> Pieces | None:
    """The pieces of the edited data set; None where the edits have to be made. `behind` are its pieces behind `view`,
    where that is only the first of them.
    """
    made, elements = fit.pattern.repeated or NOTHING
    if not elements or made != changes:
        return None
    places = fit.places
    pieces: Pieces = []
    position = 0
    for (run, start, next_run, stop), element in elements:
        pieces += (view[position : places[run] + start], element)
        position = places[next_run] + stop
    if position > len(view):
        return None
    return [*pieces, view[position:], *(memoryview(piece) for piece in behind)]


def note(view: memoryview, changes: Sequence[Alteration], fit: HeaderFit) -> None:
    """Remember edits that were made, in one pass and with an effect, on a data set that fits."""
    pattern = fit.pattern
    made, elements = pattern.repeated or NOTHING
    if made != changes:
        pattern.repeated = tuple(changes), None
    elif elements is None:
        pattern.repeated = made, _elements(view, changes, fit)


def _elements(view: memoryview, changes: Sequence[Alteration], fit: HeaderFit) -> Sequence[tuple[Slot, bytes]]:
    values = {change.path.tag: change.value for change in changes if isinstance(change, Edit) and _is_plain(change)}
    if len(values) < len(changes) or not _is_context_fixed(set(values), fit.pattern):
        return ()
    found = fit.found(selection_of(CONTEXT.union(values)))
    level = EncodedLevel(view, found, 0, len(view), fit.encoding, None)
    elements = [
        (_slot_of(tag, fit.pattern), tag, b"".join(level.written(tag, level.first.get(tag), value or (), 0)))
        for tag, value in values.items()
    ]
    if sum(len(element) for _slot, _tag, element in elements) > MOST_BYTES:
        return ()
    return [(slot, element) for slot, _tag, element in sorted(elements)]


def _is_plain(edit: Edit) -> bool:
    """True for an element of the top level that is given a value whatever is there."""
    path = edit.path
    is_always_set = edit.value is not None and edit.where == "always"
    return is_always_set and not path.steps and not path.is_by_creator and not is_private(path.tag)


def _is_context_fixed(tags: set[int], pattern: HeaderPattern) -> bool:
    """True where the bytes of these elements depend on nothing that differs between data sets, and no length on
    them."""
    lengths = {LENGTH_TO_END, *(tag & 0xFFFF0000 for tag in tags)}
    if tags & (CONTEXT | lengths):
        return False
    return not any(one.tag in lengths or (one.tag in CONTEXT and one.value is None) for one in pattern.known)


def _slot_of(tag: int, pattern: HeaderPattern) -> Slot:
    """The slot of an element; of one that is not there, the place for it."""
    for number, (elements, varying) in enumerate(elements_of_runs(pattern.known)):
        for element in elements:
            if element.tag == tag:
                return 2 * number, element.start, 2 * number, element.end
        if varying is not None and varying.tag == tag:
            return 2 * number, varying.start, 2 * number + 2, 0
    place, start = pattern.new_place(tag)
    return place, start, place, start
