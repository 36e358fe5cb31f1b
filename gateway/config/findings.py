"""Collecting mistakes: every one, in the order of their places."""

from __future__ import annotations

from gateway.model.problem import Mark, Problem, Severity


class Findings:
    """The problems that were found so far. Equal findings at one place count once."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self.has_errors = False

    def error(self, mark: Mark, code: str, message: str) -> None:
        self._add(mark, code, message, "error")

    def warning(self, mark: Mark, code: str, message: str) -> None:
        self._add(mark, code, message, "warning")

    def _add(self, mark: Mark, code: str, message: str, severity: Severity) -> None:
        self._problems[Problem(mark, code, message, severity)] = None
        self.has_errors = self.has_errors or severity == "error"

    def sorted(self) -> tuple[Problem, ...]:
        """Problems by file, line and column; at one place in the order in which they were found."""
        return tuple(sorted(self._problems, key=lambda problem: problem.mark))
