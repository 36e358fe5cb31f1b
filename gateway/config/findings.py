"""Collecting mistakes: every one, in the order of their places."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.common.nearest import nearest
from gateway.model.problem import Mark, Problem, Severity


class Findings:
    """What was found wrong so far. Equal findings at one place count once."""

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
        """By file, line and column; what was found first comes first at one place."""
        return tuple(sorted(self._problems, key=lambda problem: problem.mark))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean `pacs`?)``, or nothing when no known word is near."""
    near = nearest(word, known, 0.65)
    return f" (did you mean `{near}`?)" if near else ""


def listed(words: Iterable[str]) -> str:
    """`` `a`, `b` or `c` ``."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
