"""The record of what operators did, in the store: who, when, why, what was meant, and how much of it was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

OPERATIONS_KEPT = 10_000
"""The oldest go."""
SILENT_AFTER = timedelta(minutes=5)
"""One that runs notes each transaction, some milliseconds apart. After this time without any it was cut off."""


class OperationState(Enum):
    """How far an operation has come."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    """By a signal, between two transactions."""


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One act of an operator. Times are the wall clock's."""

    verb: str
    operator: str
    """The user of the operating system, or the name that a caller gave."""
    why: str
    """The operator's own words, which no log repeats."""
    target: str
    """The destination that deliveries were sent to, where one was named."""
    filter_json: str
    """The deliveries that were meant."""
    meant: int
    """Their number when it began."""
    began_at: datetime
    changed_at: datetime
    """The time of its last transaction."""
    done: int = 0
    stayed: int = 0
    """Those that were meant, and that it was not done to: they were being sent, or had no destination."""
    state: OperationState = OperationState.RUNNING
    operation_id: int = 0

    def standing(self, now: datetime) -> str:
        """The state in a word: one that says it runs, and did nothing for long, was cut off."""
        if self.state is OperationState.RUNNING and now - self.changed_at > SILENT_AFTER:
            return "cut off"
        return self.state.value


class OperationLog(Protocol):
    """Part of a `Store`. An operation is noted in the transactions that do it, so that its numbers are exact whenever
    it is cut off."""

    def begin_operation(self, operation: OperationRecord) -> int:
        """Keep it, with an identifier of its own; of more than `OPERATIONS_KEPT` the oldest goes."""
        ...

    def note_operation(self, operation_id: int, done: int, stayed: int, state: OperationState, now: datetime) -> None:
        """So many more are done, and stayed."""
        ...

    def last_operations(self, limit: int) -> Sequence[OperationRecord]:
        """The newest first."""
        ...
