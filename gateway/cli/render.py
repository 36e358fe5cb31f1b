"""Text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from gateway.common.plain_text import printable
from gateway.common.quantity import size

__all__ = ["age", "count", "local_time", "size", "table"]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need to be; text from peers and objects commands no terminal."""
    cells = [tuple(heads), *(tuple(printable(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def local_time(moment: datetime | str) -> str:
    """The time to the second, in the time zone of this machine, which is named: 2026-11-29 14:03:07 CET."""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{found.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def count(number: int, noun: str) -> str:
    """2 problems, 1 problem."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def age(seconds: float) -> str:
    """The duration in the largest unit that says something."""
    for limit, unit, divisor in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
