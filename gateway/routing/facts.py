"""The facts of one object that rules are decided on: its association, its UIDs and the attributes that were scanned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar

from gateway.common.plain_text import shown_uid
from gateway.dataset.dictionary import SPECIFIC_CHARACTER_SET
from gateway.dataset.encoding import DEFLATED
from gateway.dataset.header_memory import HeaderMemory
from gateway.dataset.header_pattern import HeaderFit
from gateway.dataset.inflation import InflationSteps
from gateway.dataset.original import ORIGINAL_ATTRIBUTES
from gateway.dataset.private import takes_away
from gateway.dataset.rewrite import is_frame
from gateway.dataset.scan import NOTHING_ODD, Scanned, at_once, checking_lengths, scanning_body
from gateway.dataset.scanned_level import Level, WantedElements, wanted
from gateway.model.association import AssociationFacts
from gateway.model.attribute_path import AttributePath
from gateway.model.instance import Instance
from gateway.ports.edits import KEEP, REMOVE, Alteration, Change, Edit, OriginalAttributes, Recode, Rewrite
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import ClassMismatch, Unreadable
from gateway.routing.language.attribute_path import parse

SOP_CLASS_UID = parse("SOPClassUID")
SOP_INSTANCE_UID = parse("SOPInstanceUID")
STUDY_INSTANCE_UID = parse("StudyInstanceUID")
SERIES_INSTANCE_UID = parse("SeriesInstanceUID")
IDENTIFYING = (SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)
"""Read of every object, whatever the rules need."""
_HEADERS = HeaderMemory()
"""Headers of objects that arrive, and of stored ones, which look as they arrived."""


class ObjectFacts(NamedTuple):
    """`gateway.ports.facts.Facts` of a scanned object. Only attributes that were scanned for have values.

    A tuple, since one is made for each object.
    """

    association: AssociationFacts
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length_bytes: int
    received_at: datetime
    level: Level
    oddities: Mapping[str, str] = NOTHING_ODD
    """Oddities: the row of `gateway.leniency` → the place in the data set."""
    fit: HeaderFit | None = None
    """The places of all elements in the bytes that were scanned, where they are known; None after edits."""

    def values(self, path: AttributePath) -> tuple[str, ...] | None:
        """The values at `path` as text, () when empty, None when absent."""
        if path.steps or path.creator:
            return self.level.values(path)
        known = self.level.known.get(path.tag)  # here, as a call would cost as much as the answer
        return known if known is not None else self.level.text(path.tag)

    def places(self, path: AttributePath) -> tuple[AttributePath, ...]:
        """The places of the attribute of `path`: one path an item. Raises Refusal when there are too many."""
        return tuple(self.level.places(path))

    @property
    def study_instance_uid(self) -> str:
        """Empty when the object has none."""
        return _first(self.level, STUDY_INSTANCE_UID)

    @property
    def series_instance_uid(self) -> str:
        """Empty when the object has none."""
        return _first(self.level, SERIES_INSTANCE_UID)

    def edited(self, edits: Iterable[Alteration]) -> ObjectFacts:
        """The facts after `edits`, without reading the object again. These stay as they are."""
        own = _Own()
        level = self.level.copy()
        for edit in edits:
            level = _changed(level, edit, own)
        return ObjectFacts(  # on the way of every edited object: `dataclasses.replace` is slower
            self.association,
            _first(level, SOP_CLASS_UID) or self.sop_class_uid,
            _first(level, SOP_INSTANCE_UID) or self.sop_instance_uid,
            self.transfer_syntax_uid,
            self.length_bytes,
            self.received_at,
            level,
        )


def _first(level: Level, path: AttributePath) -> str:
    values = level.text(path.tag)
    return values[0] if values else ""


def needed(paths: Iterable[AttributePath]) -> tuple[AttributePath, ...]:
    """Each path once, with those that every object is read for."""
    return tuple(dict.fromkeys((*IDENTIFYING, *paths)))


def read_by(edits: Iterable[Alteration]) -> set[AttributePath]:
    """The attributes that must be read so that `ObjectFacts.edited` decides as on the bytes."""
    return {edit.path for edit in edits if isinstance(edit, Edit)}


def reading_facts(
    *,
    association: AssociationFacts,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    body: EncodedDataSet,
    received_at: datetime,
    attributes: WantedElements,
    is_strict: bool = False,
) -> InflationSteps[ObjectFacts]:
    """One scan over the encoded data set, in steps; `is_strict`: nothing is taken that the standard does not allow.

    Raises:
        Unreadable: the bytes are not a data set in this transfer syntax.
        ClassMismatch: the data set names another SOP class or instance than the command (PS3.4 §B.2.3). One that
            names none is told by `check_identified`.
    """
    known = _HEADERS.of(association.calling_ae_title, sop_class_uid, transfer_syntax_uid)
    scanned = yield from scanning_body(body, transfer_syntax_uid, attributes, is_strict=is_strict, known=known)
    level, oddities = scanned.level, scanned.oddities
    if is_strict:
        yield from _to_the_letter(body, transfer_syntax_uid, scanned)
    elif body.length_bytes & 1:
        oddities = {**oddities, "odd_length": f"{body.length_bytes} bytes in all"}
    if level.text(SOP_CLASS_UID.tag) != (sop_class_uid,):
        _check_named(level, SOP_CLASS_UID, sop_class_uid)
    if level.text(SOP_INSTANCE_UID.tag) != (sop_instance_uid,):
        _check_named(level, SOP_INSTANCE_UID, sop_instance_uid)
    return ObjectFacts(
        association,
        sop_class_uid,
        sop_instance_uid,
        transfer_syntax_uid,
        body.length_bytes,
        received_at,
        level,
        oddities,
        scanned.fit,
    )


def _check_named(level: Level, path: AttributePath, expected: str) -> None:
    """Raises ClassMismatch when the data set has another UID than the command, or several."""
    found = level.text(path.tag)
    if found and (found[0] != expected or any(found[1:])):
        one, other = " and ".join(map(shown_uid, found[:2])), shown_uid(expected)
        raise ClassMismatch(f"{path.text} differs: {one} in the data set, {other} in the command")


def _to_the_letter(body: EncodedDataSet, transfer_syntax_uid: str, scanned: Scanned) -> InflationSteps[None]:
    """Raises Unreadable for what a scan passes over also of a strict peer."""
    for where in scanned.oddities.values():
        raise Unreadable(f"{where} has no place in a data set (PS3.10 §7.1)")
    if body.length_bytes & 1:
        raise Unreadable(f"the data set has an odd length of {body.length_bytes} bytes (PS3.5 §7.1.1)")
    if transfer_syntax_uid not in DEFLATED:
        yield from checking_lengths(body.view(), scanned.encoding)


def check_identified(facts: ObjectFacts) -> None:
    """Refuse what does not say which object it is: receivers would refuse it later, when its sender no longer hears
    of it.

    Raises:
        ClassMismatch: SOP Class UID or SOP Instance UID is absent or empty.
    """
    for path in (SOP_CLASS_UID, SOP_INSTANCE_UID):
        if not any(facts.level.known.get(path.tag) or facts.level.text(path.tag) or ()):
            raise ClassMismatch(f"the data set has no {path.text}")


def facts_for(instance: Instance, body: EncodedDataSet, attributes: Iterable[AttributePath]) -> ObjectFacts:
    """The facts of a stored object, for actions at delivery.

    Raises:
        Unreadable: the stored bytes are not a data set.
    """
    return at_once(finding_facts(instance, body, attributes))


def finding_facts(
    instance: Instance, body: EncodedDataSet, attributes: Iterable[AttributePath]
) -> InflationSteps[ObjectFacts]:
    """`facts_for` in steps. Raises as it does."""
    title, syntax = instance.association.calling_ae_title, instance.transfer_syntax_uid
    known = _HEADERS.of(title, instance.sop_class_uid, syntax)
    scanned = yield from scanning_body(body, syntax, wanted(needed(attributes)), known=known)
    return ObjectFacts(
        instance.association,
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        body.length_bytes,
        instance.received_at,
        scanned.level,
        fit=scanned.fit,
    )


_Copied = TypeVar("_Copied", Level, list[Level])


class _Own:
    """The items that were copied for one call of `edited`: they are copied once, however many edits there are."""

    def __init__(self) -> None:
        self._copies: dict[int, Level | list[Level]] = {}  # held, so that no other object gets one's id

    def items(self, level: Level, sequence: int) -> list[Level]:
        """The items of a sequence, also an empty list when none were read; the list may change."""
        shared = level.items.get(sequence, [])
        if id(shared) in self._copies:
            return shared
        return self._kept(list(shared))

    def item(self, shared: Level) -> Level:
        """`shared`, or a copy that may change."""
        return shared if id(shared) in self._copies else self._kept(shared.copy())

    def _kept(self, copy: _Copied) -> _Copied:
        self._copies[id(copy)] = copy
        return copy


def _apply(level: Level, edit: Edit, depth: int, own: _Own) -> None:
    """Change `level`, which is a copy; items are copied before they change."""
    path = edit.path
    sequence = level.tag_of(path, depth)
    index = path.steps[depth][1] if depth < len(path.steps) else 0
    if sequence is None:
        if edit.value is None or edit.where == "present" or index is None:
            return
        sequence = level.reserve(path, depth)
    if len(path.steps) == depth:
        for tag in level.tags_of(path, depth) if takes_away(edit) else (sequence,):
            _put(level, tag, edit)
        return
    levels = own.items(level, sequence)
    if index == len(levels) and edit.value is not None and edit.where != "present":
        levels.append(Level(level.encoding, level))
        level.mark_present(sequence)
    chosen = range(len(levels)) if index is None else range(index, min(index + 1, len(levels)))
    for position in chosen:
        levels[position] = own.item(levels[position])
        _apply(levels[position], edit, depth + 1, own)
    level.items[sequence] = levels


def _changed(level: Level, change: Alteration, own: _Own) -> Level:
    """`level`, which is a copy, or another one after `change`."""
    match change:
        case Edit():
            _apply(level, change, 0, own)
        case Recode():
            if change.undeclared and change.undeclared != level.undeclared:
                level = level.read_as(change.undeclared)
            level.put(SPECIFIC_CHARACTER_SET, change.to)
        case OriginalAttributes():
            level.mark_present(ORIGINAL_ATTRIBUTES)
        case _:
            return _rewritten(level, change, ())
    return level


def _rewritten(level: Level, rewrite: Rewrite, path: tuple[tuple[int, int], ...]) -> Level:
    """A copy of `level` after `rewrite`; every element is shown as it was before it."""
    after = level.copy()
    for tag in level.present():
        if is_frame(tag):
            continue
        change: Change = KEEP
        if rewrite.tags is None or tag in rewrite.tags:
            change = rewrite(level.shown(tag, path))
        if change is REMOVE:
            after.put(tag, None)
        elif isinstance(change, tuple):
            after.put(tag, tuple(text.strip(" \0") for text in change))
        elif tag in level.items:
            inner = [_rewritten(item, rewrite, (*path, (tag, at))) for at, item in enumerate(level.items[tag])]
            after.items[tag] = inner
    return after


def _put(level: Level, tag: int, edit: Edit) -> None:
    if edit.where != "always":
        before = level.text(tag)
        is_wanted = before is not None if edit.where == "present" else not any(before or ())
        if not is_wanted:
            return
    value = edit.value
    level.put(tag, None if value is None else tuple(text.strip(" \0") for text in value))
