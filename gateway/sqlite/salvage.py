"""The readable part of a damaged database, copied into a new one row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import structlog

from gateway.model.instance import PayloadRef
from gateway.ports.errors import GatewayError
from gateway.relational.rows import NEVER_US
from gateway.sqlite import inspection
from gateway.sqlite.connection import fill_likeness, our_errors
from gateway.sqlite.statements import SQL
from gateway.sqlite.store import SQLiteStore

log = structlog.get_logger()

LEAST, MOST = -(2**63), 2**63 - 1
LOOKUPS = 10_000_000
"""Keys that are tried one by one where a table cannot be read in order."""

TABLES = (
    ("association", "association_id"),
    ("patient", "patient_key"),
    ("study", "study_key"),
    ("series", "series_key"),
    ("instance", "instance_id"),
    ("delivery", "delivery_id"),
    ("attempt", "delivery_id"),
    ("kept_copy", "instance_id"),
    ("operation", "operation_id"),
    ("pause", "pause_id"),
    ("group_affinity", "affinity_id"),
    ("trace_entry", "entry_id"),
)
"""Table and the key it is read by, parents first."""

PARENTS = {
    "study": ("patient_key",),
    "series": ("study_key",),
    "delivery": ("instance_id",),
    "attempt": ("delivery_id",),
    "kept_copy": ("instance_id",),
}
"""Rows of a table go without the row that this column names."""

SalvagedRow = Sequence[Any]


@dataclass(slots=True)
class Salvaged:
    """The result of a salvage."""

    is_complete: bool = False
    """True when the old database has no damage: what it does not know was settled and forgotten."""
    replayed_position: tuple[str, int] = ("", 0)
    spool_id: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    """Table → rows taken."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Table → rows that contradict the spool, or have lost the row that they belong to."""
    confirmed: int = 0
    """Instances whose payload is in the spool."""
    unconfirmed: list[str] = field(default_factory=list)
    """SOP Instance UIDs of instances whose row contradicts the spool."""
    without_payload: set[tuple[str, int]] = field(default_factory=set)
    """Places (file, offset in bytes) of payloads that are not in the spool, while their instances are kept."""
    problems: Sequence[str] = ()


def salvage(
    old: Path, new: SQLiteStore, is_stored: Callable[[PayloadRef], bool], *, keeps_lost: bool = False
) -> Salvaged:
    """Copy the readable rows. `is_stored` says whether the spool has a payload as a row describes it. Instances without
    one are left out; with `keeps_lost` a database without damage is believed, and they stay, so that their deliveries
    become dead letters.

    Raises what the new database does; never for what the old one is.
    """
    found = Salvaged()
    try:
        found.problems = inspection.problems_of(old, is_cut_logged=True)
        found.is_complete = not found.problems
    except GatewayError as error:
        found.problems = [str(error)]
    try:
        connection = inspection.open_read_only(old)
    except GatewayError:
        return found
    with contextlib.closing(connection):
        _Copying(connection, new.connection, is_stored, found, keeps_lost=keeps_lost and found.is_complete).run()
        with contextlib.suppress(apsw.Error, TypeError):
            name, end_bytes = connection.execute(SQL["read_known"]).get
            found.replayed_position = (str(name), int(end_bytes))
        with contextlib.suppress(apsw.Error, TypeError):  # ages go on from where they were
            queue_time, wall_time = connection.execute(SQL["read_clock"]).get
            values = {"queue_time": int(queue_time), "wall_time": int(wall_time)}
            new.connection.execute(SQL["keep_clock"], values)
        with contextlib.suppress(apsw.Error):
            found.spool_id = str(connection.execute(SQL["read_spool"]).get or "")
    return found


def restore_holds(old: Path, new: SQLiteStore) -> int:
    """Hold deliveries that an untrusted page of the old database has as held or dead; how many there are.

    Nothing else of such a page is believed. Such a delivery waits for an operator, in the new database too, when all
    else in the row agrees with the new database's row, which comes from the spool.
    """
    try:
        connection = inspection.open_read_only(old)
    except GatewayError:
        return 0
    changed = 0
    with contextlib.closing(connection), new.transaction():
        with contextlib.suppress(apsw.Error):
            connection.execute("PRAGMA checksum_verification = OFF")
        for values in _until_damage(connection, SQL["salvage_waiting"]):
            with contextlib.suppress(apsw.ConstraintError, apsw.MismatchError):
                new.connection.execute(SQL["salvage_wait"], values)
                changed += new.connection.changes()
    return changed


def _until_damage(connection: apsw.Connection, statement: str) -> Iterator[SalvagedRow]:
    with contextlib.suppress(apsw.Error, UnicodeDecodeError):
        yield from connection.execute(statement)


def dispatches_at(queue: SQLiteStore, payload: PayloadRef) -> set[tuple[str, str]] | None:
    """Destination and actions of the deliveries that the queue knows for a place in the spool; None: no instance."""
    with our_errors(queue.path):
        values = {"name": payload.name, "offset_bytes": payload.offset_bytes}
        rows = list(queue.connection.execute(SQL["salvage_dispatches"], values))
    if not rows:
        return None
    return {(destination, actions) for destination, actions in rows if destination is not None}


class _Copying:
    def __init__(
        self,
        old: apsw.Connection,
        new: apsw.Connection,
        is_stored: Callable[[PayloadRef], bool],
        found: Salvaged,
        *,
        keeps_lost: bool,
    ) -> None:
        self._old = old
        self._new = new
        self._is_stored = is_stored
        self._found = found
        self._keeps_lost = keeps_lost
        self._kept: dict[str, set[int]] = {}

    def run(self) -> None:
        for table, key in TABLES:
            with contextlib.suppress(apsw.Error):  # a table that is not there, or of which nothing can be read
                self._copy(table, key)
        fill_likeness(self._new)

    def _copy(self, table: str, key: str) -> None:
        names = [each for each in _columns(self._new, table) if each in _columns(self._old, table)]
        if key not in names:
            return
        kept = self._kept[key] = self._kept.get(key, set()) if key in PARENTS.get(table, ()) else set()
        insert = SQL["salvage_insert"].format(table=table, columns=",".join(names), places=",".join("?" * len(names)))
        taken = left_out = 0
        with self._new:
            for values in self._rows(table, key, names):
                row = dict(zip(names, values, strict=True))
                if self._is_fit(table, row) and self._insert(insert, self._repaired(table, row)):
                    taken += 1
                    kept.add(row[key])
                    continue
                left_out += 1
                if table == "instance":
                    self._found.unconfirmed.append(str(row["sop_instance_uid"]))
        self._found.rows[table] = taken
        if left_out:
            self._found.left_out[table] = left_out

    def _insert(self, statement: str, row: Mapping[str, Any]) -> bool:
        try:
            self._new.execute(statement, tuple(row.values()))
        except (apsw.ConstraintError, apsw.MismatchError):
            return False
        return bool(self._new.changes())

    def _is_fit(self, table: str, row: Mapping[str, Any]) -> bool:
        if any(row[column] not in self._kept.get(column, ()) for column in PARENTS.get(table, ())):
            return False
        if table != "instance":
            return True
        try:
            payload = PayloadRef(
                row["payload_name"], row["payload_offset"], row["payload_length"], bytes(row["payload_digest"])
            )
            is_there = self._is_there(payload)  # counted, whatever else the row has lost
            return is_there and row["association_id"] in self._kept["association_id"]
        except (TypeError, ValueError, KeyError):
            return False

    def _is_there(self, payload: PayloadRef) -> bool:
        """True as well for what is kept though it is not."""
        if self._is_stored(payload):
            self._found.confirmed += 1
            return True
        if self._keeps_lost:
            self._found.without_payload.add((payload.name, payload.offset_bytes))
        return self._keeps_lost

    def _repaired(self, table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Leases end. Deliveries that wait for a collection, which is lost, are due. An image whose series is lost
        stands in no index."""
        if table == "delivery":
            kept = {**row, "leased_until": None, "ready_at": None, "due_at": row["ready_at"] or row["due_at"]}
            return {**kept, **NOT_COLLECTED, "due_at": row["created_at"]} if row["due_at"] == NEVER_US else kept
        if table == "instance" and row.get("series_key") not in self._kept.get("series_key", set()):
            return {**row, "series_key": None, "is_current": 0}
        return row

    # --- reading ----------------------------------------------------------------------------------------------------

    def _rows(self, table: str, key: str, names: Sequence[str]) -> Iterator[SalvagedRow]:
        """The rows from the front, from the back, and one by one between, where pages cannot be read."""
        place = {"columns": ",".join(names), "table": table, "key": key}
        at = names.index(key)
        last = LEAST
        forwards = self._until_damage(table, SQL["salvage_rows"].format(**place), last)
        while True:
            row = next(forwards, None)
            if row is None:
                return
            if row is DAMAGED:
                break
            last = row[at]
            yield row
        self._found.is_complete = False
        first = MOST
        behind: list[SalvagedRow] = []
        for row in self._until_damage(table, SQL["salvage_rows_backwards"].format(**place), last):
            if row is DAMAGED:
                break
            first = row[at]
            behind.append(row)
        end = first if behind else self._end_of_keys(table)
        yield from self._one_by_one(SQL["salvage_row"].format(**place), range(max(last + 1, 1), end))
        yield from reversed(behind)

    def _until_damage(self, table: str, statement: str, after: int) -> Iterator[SalvagedRow]:
        """Rows, and DAMAGED where reading ends early."""
        try:
            yield from self._old.execute(statement, {"after": after})
        except (apsw.Error, UnicodeDecodeError) as error:
            log.warning("table_truncated", table=table, error=str(error))
            yield DAMAGED

    def _end_of_keys(self, table: str) -> int:
        """The key behind the last one that was ever given."""
        try:
            return int(self._old.execute(SQL["salvage_sequence"], {"table": table}).get or 0) + 1
        except (apsw.Error, TypeError, ValueError):
            return 0

    def _one_by_one(self, statement: str, keys: range) -> Iterator[SalvagedRow]:
        for key in keys[:LOOKUPS]:
            with contextlib.suppress(apsw.Error, UnicodeDecodeError):
                yield from list(self._old.execute(statement, {"key": key}))


DAMAGED: SalvagedRow = ()
NOT_COLLECTED = {"collection_id": None, "likeness": 0}
"""Values of a delivery that waits for nothing; `fill_likeness` makes its likeness."""


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    """The stored columns; generated ones are left out."""
    return [row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0]
