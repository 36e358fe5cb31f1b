"""Problems of a configuration, with their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

SettingPath = tuple[str | int, ...]
"""Names and indexes that lead to a setting."""

SettingProblem = tuple[SettingPath, str]
"""A mistake that no single field of a kind shows: (path inside the value of the kind, message)."""

Severity = Literal["error", "warning"]


class Mark(NamedTuple):
    """A place in a file; line and column count from 1. Thousands of rules have hundreds of thousands of places, and a
    tuple is made in half of a dataclass's time."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the configuration, as a value with a place."""

    mark: Mark
    code: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.mark}: {self.severity}: {self.code}: {self.message}"
