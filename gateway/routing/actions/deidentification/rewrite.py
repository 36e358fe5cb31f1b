"""The rewrite of one object: every element, at every level, gets what its ruling says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.dataset.charset import UNDECODABLE
from gateway.dataset.dictionary import SEQUENCE, is_private, vr_of
from gateway.dataset.encode import problem_with
from gateway.dataset.value import BULK
from gateway.ports.edits import KEEP, REMOVE, Change, Repainted, RewriteElement
from gateway.ports.errors import Refusal
from gateway.routing.actions.deidentification.clean import cleaned
from gateway.routing.actions.deidentification.dummy import dummy
from gateway.routing.actions.deidentification.overrides import NO_OVERRIDES, Overrides
from gateway.routing.actions.deidentification.private import SafePrivate
from gateway.routing.actions.deidentification.rulings import Ruling, Rulings, Treatment
from gateway.routing.actions.pseudonym import NOT_OF_INSTANCES
from gateway.routing.language.pseudonym import hashed_uid, is_well_known, shifted

_FREE_TEXT: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_MEASURED: Final = frozenset({"DS", "IS", "FL", "FD"})
_DATES: Final = frozenset({"DA", "DT"})
_TEXT_VALUE: Final = 0x0040A160
"""The tag of a TEXT content item's value (PS3.3 §C.17.3.2.6): narrative, which cannot be cleaned."""
_CODING: Final = frozenset({0x00080100, 0x00080102, 0x00080103, 0x00080119, 0x00080120})
"""Code values and schemes, which are no free text (PS3.3 §8)."""
_CLASSES: Final = frozenset({0x00080016, 0x00081150})
"""SOP Class UID and Referenced SOP Class UID: private ones name no instance either."""
_GRAPHICS: Final = range(0x5000, 0x5100), range(0x6000, 0x6100)
"""Groups of curves and of overlay planes."""

_NOT_OF_DATA_SETS: Final = range(0x0000, 0x0008)
"""Groups of commands, file meta information and directories (PS3.5 §7.1): never part of an image."""
_PIXEL_DATA: Final = 0x7FE00010
_PIXELS: Final = frozenset({_PIXEL_DATA, 0x7FE00008, 0x7FE00009})

_KEPT: Final = Ruling(Treatment.KEEP)
_REMOVED: Final = Ruling(Treatment.REMOVE)
_OPEN: Final = frozenset({Treatment.DUMMY, Treatment.CLEAN})
"""The rulings on a sequence that also hold for elements in it without one of their own."""


@dataclass(frozen=True, slots=True)
class Deidentification:
    """`gateway.ports.edits.Rewrite` of one object. Its answers depend on nothing but what it was made of."""

    rulings: Rulings
    overrides: Overrides
    key: bytes = field(repr=False)
    shift_days: int
    identifying: frozenset[str] = field(repr=False)
    """Words of the object that identify, folded."""
    unlisted: Mapping[str, Ruling] = field(default_factory=dict, repr=False)
    """Rulings by VR on attributes without a row that the dictionary knows; those of other VRs stay."""
    safe_private: SafePrivate | None = None
    """None: every private element goes."""
    keeps_uids: bool = False
    repaint: Repainted | None = None
    """The change of the pixel data, which must be native."""
    tags: frozenset[int] | None = None

    def __call__(self, element: RewriteElement) -> Change:
        """The change of an element. Raises Refusal for pixels that cannot be painted."""
        if element.tag in _PIXELS and self.repaint is not None and not element.path:
            if element.tag != _PIXEL_DATA:
                raise Refusal("the pixels cannot be masked: they are floating point numbers")
            return self.repaint
        if self.overrides is not NO_OVERRIDES:
            override = self.overrides.change_of(element)
            if override is not None:
                return override
        ruling = self._ruling(element)
        if ruling is _KEPT:
            return KEEP
        for treatment in (ruling.treatment, ruling.otherwise):
            change = _MAKERS[treatment](self, element)
            if change is not None:
                return change
        return REMOVE

    def _ruling(self, element: RewriteElement) -> Ruling:
        tag = element.tag
        if is_private(tag):
            return self._of_private(element)
        if tag >> 16 in _GRAPHICS[0] or tag >> 16 in _GRAPHICS[1]:
            return _REMOVED
        own = (self.rulings.nested if element.path else self.rulings.top).get(tag)
        if own is not None:
            return own
        inherited = self._inherited(element) if element.path else _KEPT
        return self._unlisted(element) if inherited is _KEPT else inherited

    def _unlisted(self, element: RewriteElement) -> Ruling:
        """The table is no list of all that identifies (PS3.15 §E.1.1): a name is a name without a row too, and what
        nobody knows may be anything."""
        if element.tag >> 16 in _NOT_OF_DATA_SETS or _is_in_other_name(element):
            return _REMOVED
        return _KEPT if element.tag in NOT_OF_INSTANCES else self.unlisted.get(_vr(element), _KEPT)

    def _of_private(self, element: RewriteElement) -> Ruling:
        if self.safe_private is None or self._enclosing(element) is Treatment.DUMMY:
            return _REMOVED
        if not self.safe_private.keeps(element):
            return _REMOVED
        return self.safe_private.by_vr.get(element.vr, _KEPT)

    def _enclosing(self, element: RewriteElement) -> Treatment:
        """The strictest treatment among the sequences that an element lies in."""
        found = Treatment.KEEP
        for depth, (sequence, _index) in enumerate(element.path):
            ruling = (self.rulings.nested if depth else self.rulings.top).get(sequence)
            if ruling is None or ruling.treatment not in _OPEN:
                continue
            if self.overrides.covers_sequence(sequence, element.path[:depth]):
                continue
            if ruling.treatment is Treatment.DUMMY:
                return Treatment.DUMMY
            found = Treatment.CLEAN
        return found

    def _inherited(self, element: RewriteElement) -> Ruling:
        """The ruling on an element in a sequence, without a row of its own."""
        enclosing = self._enclosing(element)
        if enclosing is Treatment.CLEAN:
            return _within_cleaned(element)
        if enclosing is Treatment.DUMMY:
            return self._within_dummy(element)
        return _KEPT

    def _within_dummy(self, element: RewriteElement) -> Ruling:
        vr = _vr(element)
        if vr in _FREE_TEXT or vr in _MEASURED or vr in BULK or vr in _OTHER_TEXT:
            return _TO_DUMMY
        if vr == "UI":
            return _KEPT if self.keeps_uids or element.tag in _CLASSES else _TO_UID
        if vr == "CS" and any(value.casefold() in self.identifying for value in element.values):
            return _TO_DUMMY
        return _REMOVED if vr == "UN" else _KEPT  # structure: sequences, defined terms, counts, tags

    # --- the change that a treatment makes; None when it cannot be done ---

    def _dummy(self, element: RewriteElement) -> Change | None:
        vr = _vr(element)
        if vr == SEQUENCE:
            return KEEP
        if vr == "UI":
            return self._uid(element) if element.values else (hashed_uid(self.key, ""),)
        return dummy(element.tag, vr, len(element.values))

    def _uid(self, element: RewriteElement) -> Change | None:
        if _vr(element) not in ("UI", SEQUENCE):
            return dummy(element.tag, _vr(element), len(element.values))
        if not any(element.values):
            return KEEP
        return tuple(
            value if not value or is_well_known(value) else hashed_uid(self.key, value) for value in element.values
        )

    def _shift(self, element: RewriteElement) -> Change | None:
        vr = _vr(element)
        if vr == "TM":
            return KEEP
        if vr not in _DATES:
            return None
        try:
            return tuple(shifted(value, vr, self.shift_days) for value in element.values)
        except ValueError:
            return None

    def _clean(self, element: RewriteElement) -> Change | None:
        vr = _vr(element)
        if vr == SEQUENCE or (not element.values and not element.length_bytes):
            return KEEP
        if vr == "UI" or vr not in _CLEANABLE or not element.values:
            return None
        after = tuple(cleaned(value, self.identifying) for value in element.values)
        if after == element.values:
            return KEEP
        is_writable = not problem_with(after, vr) and UNDECODABLE not in "".join(after)
        return after if any(after) and is_writable else None


_OTHER_TEXT: Final = frozenset({"AE", "AS", "DA", "DT", "PN", "TM", "UR"})
_CLEANABLE: Final = _FREE_TEXT | {"AE", "CS"}
_TO_DUMMY: Final = Ruling(Treatment.DUMMY)
_TO_UID: Final = Ruling(Treatment.UID)
_TO_CLEAN: Final = Ruling(Treatment.CLEAN, Treatment.DUMMY)

_MAKERS: Final[Mapping[Treatment, Callable[[Deidentification, RewriteElement], Change | None]]] = {
    Treatment.KEEP: lambda _, __: KEEP,
    Treatment.REMOVE: lambda _, __: REMOVE,
    Treatment.EMPTY: lambda _, __: (),
    Treatment.DUMMY: Deidentification._dummy,
    Treatment.UID: Deidentification._uid,
    Treatment.SHIFT: Deidentification._shift,
    Treatment.CLEAN: Deidentification._clean,
}


def _within_cleaned(element: RewriteElement) -> Ruling:
    vr = _vr(element)
    if element.tag == _TEXT_VALUE or vr == "PN":
        return _TO_DUMMY
    return _TO_CLEAN if vr in _FREE_TEXT and element.tag not in _CODING else _KEPT


def _is_in_other_name(element: RewriteElement) -> bool:
    """True for what the dictionary does not know, and for sequences and coded values whose bytes are said to be
    something else, which nobody looks into."""
    known = vr_of(element.tag)
    if known is None or (known == SEQUENCE) is not (element.vr == SEQUENCE):
        return True
    return element.vr in _FREE_TEXT and known not in _FREE_TEXT


def _vr(element: RewriteElement) -> str:
    """The VR that a new value is written in; of a UN the dictionary's, as the writer of the bytes takes it."""
    if element.vr != "UN":
        return element.vr
    return (vr_of(element.tag) or "UN").partition(" ")[0]
