"""Actions on single attributes: give, take away, carry over. One frozen dataclass a kind, see `gateway.ports`.

All edits of one action are decided on the facts before it; the next action sees them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from gateway.dataset.dictionary import SEQUENCE, takes_count, vm_of
from gateway.dataset.encode import problem_with
from gateway.dataset.level import NEVER_EMPTY
from gateway.dataset.private import vr_at
from gateway.dataset.value import BULK, MAX_TEXT_BYTES, TEXT_WITH_BACKSLASH
from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.edits import Edit
from gateway.ports.errors import Refusal
from gateway.ports.facts import Facts
from gateway.ports.kinds import action
from gateway.routing.language.attribute_path import called
from gateway.routing.language.fields import RemoveTarget, SetTarget
from gateway.routing.language.template import Template

MAX_EDITED_CHARACTERS: Final = MAX_TEXT_BYTES // 4
"""The most characters of an edited value, in any character set: no more than four bytes a character are read."""


def split(path: AttributePath, text: str) -> tuple[str, ...]:
    """The values in `text` for the attribute at `path`; () for an empty text."""
    if not text:
        return ()
    return (text,) if vr_at(path) in TEXT_WITH_BACKSLASH else tuple(text.split("\\"))


def whole_values(facts: Facts, path: AttributePath) -> tuple[str, ...] | None:
    """`facts.values`, for what new values are made of.

    Raises:
        Refusal: the text is so long that `facts` may have read only its beginning.
    """
    values = facts.values(path)
    if values and sum(map(len, values)) > MAX_EDITED_CHARACTERS:
        raise Refusal(f"{called(path)} cannot be edited: it has more than {MAX_EDITED_CHARACTERS} characters")
    return values


@action("set")
@dataclass(frozen=True, slots=True)
class Set:
    """Gives attributes a value, there already or not. A value is text, a list of texts, or a template.

    Below a sequence, ``[0]`` is its first item (made when the sequence has none), ``[*]`` every item that is there. A
    private attribute is named by its creator, as ``(0029,[SIEMENS CSA HEADER],10)``; the object's block is found, or a
    free one is reserved. Its VR is the object's, or the one that is known of the creator.
    """

    example: ClassVar[str] = 'set: {InstitutionName: "North {{ association.calling_ae_title }}"}'

    values: Mapping[SetTarget, Template]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [Edit(path, split(path, template.render(facts))) for path, template in self.values.items()]

    def attributes(self) -> Iterable[AttributePath]:
        return [*_by_creator(self.values), *_read_by(self.values.values())]

    def problems(self) -> Iterable[SettingProblem]:
        return problems_of_constants(self.values)


@action("set_if_missing")
@dataclass(frozen=True, slots=True)
class SetIfMissing:
    """Gives a value to those attributes that are absent or empty. Values are as in `set`."""

    example: ClassVar[str] = 'set_if_missing: {PatientID: "UNKNOWN-{{ StudyInstanceUID[-8:] }}", PatientSex: O}'

    values: Mapping[SetTarget, Template]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [
            Edit(path, split(path, template.render(facts)), where="missing")
            for path, template in self.values.items()
            if path.steps or not any(facts.values(path) or ())  # which items miss it is seen when the edit is made
        ]

    def attributes(self) -> Iterable[AttributePath]:
        return [*self.values, *_read_by(self.values.values())]

    def problems(self) -> Iterable[SettingProblem]:
        return problems_of_constants(self.values)


@action("append")
@dataclass(frozen=True, slots=True)
class Append:
    """Adds values behind those that attributes have; one that is absent or empty gets them alone. Values are as in
    `set`: a list, or a text with backslashes, adds several."""

    example: ClassVar[str] = "append: {ImageType: RESEARCH}"

    values: Mapping[SetTarget, Template]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [edit for path, template in self.values.items() for edit in _appended(path, template, facts)]

    def attributes(self) -> Iterable[AttributePath]:
        return [*self.values, *_read_by(self.values.values())]

    def problems(self) -> Iterable[SettingProblem]:
        for path, template in self.values.items():
            if vm_of(path.tag) == "1":
                yield (path.text,), f"{called(path)} takes one value: nothing can be appended to it"
            elif template.is_constant and (problem := _problem(path, split(path, template.text))):
                yield (path.text,), f"{called(path)}: {problem}"


def _appended(path: AttributePath, template: Template, facts: Facts) -> Iterator[Edit]:
    added = split(path, template.render(facts))
    if not added:
        return
    filled = [(place, before) for place in facts.places(path) if (before := whole_values(facts, place))]
    for place, before in filled:
        yield Edit(place, (*before, *added))
    if path.steps or not filled:
        yield Edit(path, added, where="missing")


@action("remove")
@dataclass(frozen=True, slots=True)
class Remove:
    """Takes attributes out of the object, sequences with all their items."""

    example: ClassVar[str] = "remove: [OtherPatientIDs, 'RequestAttributesSequence[*].ScheduledProcedureStepID']"

    paths: tuple[RemoveTarget, ...]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [Edit(path, None) for path in self.paths if path.steps or facts.values(path) is not None]

    def attributes(self) -> Iterable[AttributePath]:
        return self.paths


@action("empty")
@dataclass(frozen=True, slots=True)
class Empty:
    """Leaves attributes in the object without a value; those that are absent stay absent."""

    example: ClassVar[str] = "empty: [ReferringPhysicianName, PatientAddress]"

    paths: tuple[RemoveTarget, ...]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [Edit(path, (), where="present") for path in self.paths if path.steps or facts.values(path) is not None]

    def attributes(self) -> Iterable[AttributePath]:
        return self.paths


@action("copy")
@dataclass(frozen=True, slots=True)
class Copy:
    """Gives the attribute `to` the value of the attribute `from`; when that is absent, `to` stays as it is.

    Where both begin with the same sequences and ``[*]``, each item gets its own value. Else ``[*]`` in `from` gives the
    values of all items, one after the other, and ``[*]`` in `to` gives the value to every item.
    """

    example: ClassVar[str] = "copy: {from: StudyID, to: AccessionNumber}"

    from_: AttributePath
    to: SetTarget

    def edits(self, facts: Facts) -> Iterable[Edit]:
        pairs = _pairs(self.from_, self.to, facts)
        return [Edit(to, values) for source, to in pairs if (values := whole_values(facts, source)) is not None]

    def attributes(self) -> Iterable[AttributePath]:
        return (self.from_, *_by_creator((self.to,)))

    def problems(self) -> Iterable[SettingProblem]:
        return _problems_of_source(self.from_, "copy")


@action("move")
@dataclass(frozen=True, slots=True)
class Move:
    """Gives the attribute `to` the value of the attribute `from`, and takes `from` away; when that is absent, both stay
    as they are. Items are matched as in `copy`."""

    example: ClassVar[str] = "move: {from: PatientComments, to: ImageComments}"

    from_: RemoveTarget
    to: SetTarget

    def edits(self, facts: Facts) -> Iterable[Edit]:
        edits: list[Edit] = []
        for source, to in _pairs(self.from_, self.to, facts):
            values = whole_values(facts, source)
            if values is not None:
                edits += [Edit(source, None), Edit(to, values)]
        return edits

    def attributes(self) -> Iterable[AttributePath]:
        return (self.from_, *_by_creator((self.to,)))

    def problems(self) -> Iterable[SettingProblem]:
        yield from _problems_of_source(self.from_, "move")
        source: AttributePath = self.from_
        if source == self.to:
            yield ("to",), f"{called(self.to)} is moved to itself"


def _problems_of_source(path: AttributePath, kind: str) -> Iterable[SettingProblem]:
    vr = vr_at(path) or ""
    if vr == SEQUENCE:
        yield ("from",), f"{called(path)} is a sequence: {kind} takes attributes with a text"
    elif all(one in BULK for one in vr.split(" or ")):
        yield ("from",), f"{called(path)} holds binary data (VR {vr}): {kind} takes attributes with a text"


def _pairs(source: AttributePath, target: AttributePath, facts: Facts) -> list[tuple[AttributePath, AttributePath]]:
    """(from, to) once for each item of the sequences that both share."""
    shared = _shared_steps(source, target)
    if all(index is not None for _tag, index in source.steps[:shared]):
        return [(source, target)]
    bound = dict.fromkeys(place.steps[:shared] for place in facts.places(source))
    return [(_bound(source, steps), _bound(target, steps)) for steps in bound]


def _shared_steps(one: AttributePath, other: AttributePath) -> int:
    count = 0
    for step, same in zip(_steps(one), _steps(other), strict=False):
        if step != same:
            break
        count += 1
    return count


def _steps(path: AttributePath) -> list[tuple[tuple[int, int | None], str]]:
    return list(zip(path.steps, path.step_creators or ("",) * len(path.steps), strict=True))


def _bound(path: AttributePath, steps: tuple[tuple[int, int | None], ...]) -> AttributePath:
    return dataclasses.replace(path, steps=(*steps, *path.steps[len(steps) :]))


# --- shared -----------------------------------------------------------------------------------------------------


def _read_by(templates: Iterable[Template]) -> list[AttributePath]:
    return [path for template in templates for _name, path in template.attributes]


def _by_creator(paths: Iterable[AttributePath]) -> list[AttributePath]:
    """The private creators whose blocks must be known, so that later actions find the attributes that were set."""
    return [path for path in paths if path.is_by_creator]


def problems_of_constants(values: Mapping[SetTarget, Template]) -> Iterable[SettingProblem]:
    """Values without a template are checked against their VR when the configuration is read."""
    for path, template in values.items():
        if not template.is_constant:
            continue
        constant = split(path, template.text)
        problem = _problem(path, constant)
        if problem is None and not any(constant) and not path.steps and path.tag in NEVER_EMPTY:
            problem = "cannot be empty"
        if problem is None and not takes_count(path.tag, len(constant)):
            problem = f"takes {vm_of(path.tag)} values, not {len(constant)}"
        if problem:
            yield (path.text,), f"{called(path)}: {problem}"


def _problem(path: AttributePath, values: tuple[str, ...]) -> str | None:
    vr = vr_at(path)
    return None if vr is None else problem_with(values, vr)
