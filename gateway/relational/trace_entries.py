"""Entries of studies whose instances were forgotten, in a relational database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from gateway.ports.trace_entries import TraceEntry, TraceRole
from gateway.relational.row_reader import RowReader
from gateway.relational.rows import batch, microseconds, moment
from gateway.relational.statements import Statements


class RelationalTraceEntries:
    """The `TraceEntries` port on one connection."""

    def __init__(self, statements: Statements, reader: RowReader) -> None:
        self._statements = statements
        self._reader = reader

    def one_state(self) -> AbstractContextManager[object]:
        """Reads of the store inside it are of one moment."""
        return self._statements.one_state()

    def entries(self, study_instance_uids: Sequence[str]) -> Sequence[TraceEntry]:
        """The entries of these studies; of each its senders first, by name."""
        with self._statements.errors():
            return [_entry(*row) for row in self._read("trace_entries", study_instance_uids)]

    def senders(self, study_instance_uids: Sequence[str]) -> Sequence[TraceEntry]:
        """The senders of what the store has of these studies."""
        with self._statements.one_state():
            there = [*self._read("trace_senders", study_instance_uids)]
            names = self._reader.senders(row[2] for row in there)
        found: dict[tuple[str, str], TraceEntry] = {}
        for study, role, association_id, *numbers in there:
            key = study, names.get(association_id, "")
            one = _entry(study, role, key[1], *numbers)
            found[key] = found[key] + one if key in found else one
        return [found[key] for key in sorted(found)]

    def forget_entries(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` entries to which nothing came since `before`: the number."""
        return self._statements.do("forget_trace_entries", before=microseconds(before), limit=limit)

    def _read(self, name: str, study_instance_uids: Sequence[str]) -> Iterable[tuple[Any, ...]]:
        return self._statements.rows(name, studies=batch([*study_instance_uids]))


def _entry(
    study: str,
    role: TraceRole,
    name: str,
    instances: int,
    delivered: int,
    size_bytes: int,
    most_attempts: int,
    first_received_at: int,
    last_received_at: int,
    last_delivered_at: int | None,
) -> TraceEntry:
    """The entry of a row."""
    numbers = int(instances), int(delivered), int(size_bytes), int(most_attempts)
    delivered_at = None if last_delivered_at is None else moment(last_delivered_at)
    return TraceEntry(study, role, name, *numbers, moment(first_received_at), moment(last_received_at), delivered_at)
