"""The results of tests: values alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.model.problem import Mark, Problem


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that does not hold."""

    what: str
    expected: str
    found: str
    mark: Mark
    """The place of the expectation."""
    is_from_file: bool = False
    """`found` quotes an object from a file: it may name a patient."""

    def found_text(self, *, with_values: bool) -> str:
        """The value found, unless it is to be hidden."""
        return self.found if with_values or not self.is_from_file else "(something else; --show-values shows it)"


@dataclass(frozen=True, slots=True)
class RuleTestResult:
    """One test that ran."""

    name: str
    mark: Mark
    failures: tuple[Failure, ...]
    duration_s: float = 0.0

    @property
    def is_passed(self) -> bool:
        return not self.failures


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file of tests; with problems nothing of it ran."""

    path: Path
    problems: tuple[Problem, ...]
    results: tuple[RuleTestResult, ...]
    deselected: int = 0
