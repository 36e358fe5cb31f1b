"""Settings that predicates share: how many, how long, which texts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from gateway.model.problem import SettingProblem
from gateway.routing.language.calendar_span import CalendarSpan, span
from gateway.routing.language.fields import FIELD_TYPES, FieldType, TableFile

SHOWN_TEXTS = 5
"""The most texts of a list in an explanation."""


@dataclass(frozen=True, slots=True)
class Times:
    """A number of times: from `least` to `most`, without end when that is None."""

    least: int
    most: int | None

    def __contains__(self, count: int) -> bool:
        return count >= self.least and (self.most is None or count <= self.most)

    def __str__(self) -> str:
        return str(self.least) if self.most == self.least else f"{self.least}-{'n' if self.most is None else self.most}"


def times(text: str) -> Times:
    """``2`` · ``1-3`` · ``2-n``, as PS3.6 writes value multiplicities. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}|n))?", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a count such as 2, 1-3 or 2-n")
    least = int(match[1])
    most = least if match[2] is None else None if match[2] == "n" else int(match[2])
    if most is not None and most < least:
        raise ValueError(f"{text!r} can never hold: the smaller number stands first")
    return Times(least, most)


FIELD_TYPES[Times] = FieldType(
    times, "bad-count", {"type": ["string", "integer"], "description": "2, 1-3, or 2-n for two and more"}
)
FIELD_TYPES[CalendarSpan] = FieldType(
    span, "bad-span", {"type": "string", "description": "Span: 18 Y, 6 M (months), 2 W, 30 D, 12 h, 90 min, 10 s"}
)


@dataclass(frozen=True, slots=True)
class Among:
    """A text, a list of texts, or those of a file: one a line, or the first column of a CSV file."""

    shorthand: ClassVar[str] = "values"

    values: tuple[str, ...] | None = None
    file: TableFile | None = None

    def texts(self) -> Iterable[str]:
        return self.values or self.file or ()

    def __str__(self) -> str:
        return "the texts of the file" if self.values is None else " or ".join(map(repr, self.values[:SHOWN_TEXTS]))

    def problems(self) -> Iterable[SettingProblem]:
        if (self.values is None) is (self.file is None):
            yield (), "give either texts, or a file of them as file:"
