"""Figures → Markdown, and the sections of benchmarks/README.md that commands write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import REPOSITORY

README = REPOSITORY / "benchmarks" / "README.md"


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be reached: `value` of `unit`, at least (or at most) `limit`."""

    what: str
    value: float
    limit: float
    unit: str
    is_ceiling: bool = False

    @property
    def is_reached(self) -> bool:
        return self.value <= self.limit if self.is_ceiling else self.value >= self.limit

    def row(self) -> list[str]:
        sign = "≤" if self.is_ceiling else "≥"
        verdict = "reached" if self.is_reached else "**missed**"
        return [self.what, f"{sign} {number(self.limit)} {self.unit}", f"{number(self.value)} {self.unit}", verdict]


def number(value: float) -> str:
    """With three significant digits, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_section(name: str, text: str, path: Path = README) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: the page has no such section.
    """
    page = path.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{path} has no section {name}")
    path.write_text(pattern.sub(lambda match: f"{match[1]}{text.rstrip()}\n{match[2]}", page))
