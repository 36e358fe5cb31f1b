"""Problems of a configuration, with their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the configuration, as a value with a place."""

    mark: Mark
    code: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        return f"{place}: {self.severity}: {self.code}: {self.message}"
