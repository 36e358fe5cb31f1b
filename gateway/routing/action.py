"""Actions: what a rule may change in an object. One frozen dataclass a kind, see `gateway.ports`.

All edits of one action are decided on the facts before it; the next action sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.dataset.dictionary import SEQUENCE, name_of, takes_count, vm_of, vr_of
from gateway.dataset.encode import problem_with
from gateway.dataset.value import TEXT_WITH_BACKSLASH
from gateway.model import AttributePath
from gateway.ports import Edit, Facts, action
from gateway.routing.field import RemoveTarget, SetTarget
from gateway.routing.template import Template

Problems = Iterable[tuple[tuple[str | int, ...], str]]


def split(path: AttributePath, text: str) -> tuple[str, ...]:
    """The values in `text` for the attribute at `path`; () for an empty text."""
    if not text:
        return ()
    return (text,) if vr_of(path.tag) in TEXT_WITH_BACKSLASH else tuple(text.split("\\"))


@action("set")
@dataclass(frozen=True, slots=True)
class Set:
    """Gives attributes a value, there already or not. A value is text, a list of texts, or a template."""

    values: Mapping[SetTarget, Template]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [Edit(path, split(path, template.render(facts))) for path, template in self.values.items()]

    def attributes(self) -> Iterable[AttributePath]:
        return [path for template in self.values.values() for _name, path in template.attributes]

    def problems(self) -> Problems:
        return _problems_of_constants(self.values)


@action("set_if_missing")
@dataclass(frozen=True, slots=True)
class SetIfMissing:
    """Gives a value to those attributes that are absent or empty. Values are as in `set`."""

    values: Mapping[SetTarget, Template]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [
            Edit(path, split(path, template.render(facts)), where="missing")
            for path, template in self.values.items()
            if path.steps or not any(facts.values(path) or ())  # which items miss it is seen when the edit is made
        ]

    def attributes(self) -> Iterable[AttributePath]:
        return [*self.values, *(path for template in self.values.values() for _name, path in template.attributes)]

    def problems(self) -> Problems:
        return _problems_of_constants(self.values)


@action("remove")
@dataclass(frozen=True, slots=True)
class Remove:
    """Takes attributes out of the object, sequences with all their items."""

    paths: tuple[RemoveTarget, ...]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [Edit(path, None) for path in self.paths if path.steps or facts.values(path) is not None]

    def attributes(self) -> Iterable[AttributePath]:
        return self.paths


@action("empty")
@dataclass(frozen=True, slots=True)
class Empty:
    """Leaves attributes in the object without a value; those that are absent stay absent."""

    paths: tuple[RemoveTarget, ...]

    def edits(self, facts: Facts) -> Iterable[Edit]:
        return [Edit(path, (), where="present") for path in self.paths if path.steps or facts.values(path) is not None]

    def attributes(self) -> Iterable[AttributePath]:
        return self.paths


@action("copy")
@dataclass(frozen=True, slots=True)
class Copy:
    """Gives the attribute `to` the value of the attribute `from`; when that is absent, `to` stays as it is."""

    from_: AttributePath
    to: SetTarget

    def edits(self, facts: Facts) -> Iterable[Edit]:
        values = facts.values(self.from_)
        return () if values is None else (Edit(self.to, values),)

    def attributes(self) -> Iterable[AttributePath]:
        return (self.from_,)

    def problems(self) -> Problems:
        if vr_of(self.from_.tag) == SEQUENCE:
            yield ("from",), f"{name_of(self.from_.tag)} is a sequence: copy takes attributes with a text"


def _problems_of_constants(values: Mapping[SetTarget, Template]) -> Problems:
    """Values without a template are checked against their VR when the configuration is read."""
    for path, template in values.items():
        vr = vr_of(path.tag)
        if vr is None or not template.is_constant:
            continue
        constant = split(path, template.text)
        problem = problem_with(constant, vr)
        if not takes_count(path.tag, len(constant)):
            problem = f"takes {vm_of(path.tag)} values, not {len(constant)}"
        if problem:
            yield (path.text,), f"{name_of(path.tag)}: {problem}"
