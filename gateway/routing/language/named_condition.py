"""A condition that stands in the section `conditions`, where a rule names it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.ports.kinds import Predicate


@dataclass(frozen=True, slots=True)
class NamedCondition:
    """The name and what it stands for, looked up when the configuration is compiled."""

    name: str
    predicate: Predicate = field(repr=False)


class ConditionProblem(ValueError):
    """A name that cannot be used where it stands; the text has the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
