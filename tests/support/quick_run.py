"""The quick run, `pytest --quick`: a choice of the tests that need no dcmtk and no Orthanc, made for each edit.

It leaves out tests with the marker `peers`, `campaign`, `postgresql` or `s3`, and those with the marker `process` that
have no marker `quick`. It takes `MOST_ROWS` rows of a larger table, the same ones each time, and a tenth of the
examples of a property. The run without the option takes everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

MOST_ROWS = 4
FEWEST_EXAMPLES = 10
HEADER = (
    f"quick run: no peers, no campaigns, few processes; at most {MOST_ROWS} rows of a table, a tenth of the examples"
)


class QuickRun:
    """True in `is_on` when this process makes the quick run."""

    def __init__(self) -> None:
        self.is_on = False

    def takes(self, markers: set[str]) -> bool:
        """True when a test with these markers runs."""
        return not self.is_on or not (
            markers & {"peers", "campaign", "postgresql", "s3"} or ("process" in markers and "quick" not in markers)
        )

    def rows(self, name: str, rows: Sequence[T]) -> Sequence[T]:
        """The rows that run of the table of the test `name`."""
        if not self.is_on or len(rows) <= MOST_ROWS:
            return rows
        return [rows[number] for number in sorted(Random(name).sample(range(len(rows)), MOST_ROWS))]

    def examples(self, number: int) -> int:
        """How many examples of a property run where the full run has `number`."""
        return max(FEWEST_EXAMPLES, number // 10) if self.is_on else number


QUICK_RUN = QuickRun()
"""Of this process; `tests/conftest.py` sets it before test modules are imported."""
