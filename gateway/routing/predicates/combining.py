"""Predicates that combine others. Predicates on an object stand in the other modules of this folder, one subject
each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from gateway.model.attribute_path import AttributePath
from gateway.model.problem import SettingProblem
from gateway.ports.facts import Facts
from gateway.ports.kinds import Predicate, Resources, predicate
from gateway.routing.language.fields import FIELD_TYPES, FieldType
from gateway.routing.language.named_condition import NamedCondition


@predicate("all")
@dataclass(frozen=True, slots=True)
class AllConditions:
    """True when every condition in the list holds; an empty list always holds."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "all: [{modality: [MR]}, {calling_ae_title: [MR1, MR2]}]"

    conditions: tuple[Predicate, ...]

    def __call__(self, facts: Facts) -> bool:
        for condition in self.conditions:  # noqa: SIM110 - a loop is half the cost of all() on the hot path
            if not condition(facts):
                return False
        return True

    def attributes(self) -> Iterable[AttributePath]:
        return [path for condition in self.conditions for path in condition.attributes()]


@predicate("any")
@dataclass(frozen=True, slots=True)
class AnyCondition:
    """True when at least one condition in the list holds."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "any: [{modality: [MR]}, {attribute: {select: BodyPartExamined, equals: HEAD}}]"

    conditions: tuple[Predicate, ...]

    def __call__(self, facts: Facts) -> bool:
        for condition in self.conditions:  # noqa: SIM110 - as in All
            if condition(facts):
                return True
        return False

    def attributes(self) -> Iterable[AttributePath]:
        return [path for condition in self.conditions for path in condition.attributes()]

    def problems(self) -> Iterable[SettingProblem]:
        if not self.conditions:
            yield (), "the list is empty: it would never hold"


@predicate("not")
@dataclass(frozen=True, slots=True)
class NotCondition:
    """True when the condition does not hold."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "not: {modality: [SR]}"

    condition: Predicate

    def __call__(self, facts: Facts) -> bool:
        return not self.condition(facts)

    def attributes(self) -> Iterable[AttributePath]:
        return self.condition.attributes()


def named_condition(name: str, resources: Resources) -> NamedCondition:
    """Raises ValueError for a name that the section `conditions` does not have, or that leads in a circle."""
    return NamedCondition(name, resources.condition(name))


FIELD_TYPES[NamedCondition] = FieldType(
    named_condition,
    "unknown-condition",
    {"type": "string", "description": "Name in the section conditions"},
    needs_resources=True,
)


@predicate("condition")
@dataclass(frozen=True, slots=True)
class NamedConditionHolds:
    """True when the condition of this name in the section `conditions` holds."""

    is_about_studies: ClassVar[bool] = True
    example: ClassVar[str] = "condition: head"

    named: NamedCondition
    _predicate: Predicate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_predicate", self.named.predicate)

    def __call__(self, facts: Facts) -> bool:
        return self._predicate(facts)

    def attributes(self) -> Iterable[AttributePath]:
        return self._predicate.attributes()
