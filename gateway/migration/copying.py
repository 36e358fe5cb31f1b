"""Copies everything from one gateway's store into another one: in batches, each of which is there as a whole or not.

The destination itself says how far it is: each table is filled in the order of its keys, and goes on behind its last
row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from gateway.migration.places import MigrationDestination, MigrationSource, PayloadPlace, SmallPayload
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import PayloadRef
from gateway.model.priority import Priority
from gateway.ports.errors import PayloadLost, PayloadMissing
from gateway.ports.store_rows import KEY_COLUMNS, TABLES, OwedRow, RowKey, StoredRow
from gateway.spool.digest import Proof, has_digest
from gateway.spool.replay import RecordedArrival

log = structlog.get_logger()

ROWS_AT_ONCE = 2000
"""Rows of one transaction, but for those of instances in one group."""
INSTANCES_AT_ONCE = 4096
UIDS_KEPT = 1000
"""Damaged objects whose SOP Instance UIDs are in the result; the log has all."""

COLUMN = {name: place for place, name in enumerate(TABLES["instance"])}
NAME, OFFSET, LENGTH, DIGEST = (COLUMN[f"payload_{each}"] for each in ("name", "offset", "length", "digest"))

MigrationProgress = Callable[[str, int], None]
"""Called with a table and the number of its rows that were copied in this run, after each step."""


def say_nothing(table: str, rows: int) -> None:
    """MigrationProgress that nobody follows."""


@dataclass(slots=True)
class CopiedPayloads:
    """The payloads of one run."""

    instances: int = 0
    length_bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    """SOP Instance UIDs of objects whose stored bytes had changed: they were copied as they are."""
    missing: list[str] = field(default_factory=list)
    """The same of objects whose bytes are not there."""
    not_whole: int = 0
    """The number of both."""


class Copying:
    """One run, over two sides that are paired."""

    def __init__(self, source: MigrationSource, destination: MigrationDestination, progress: MigrationProgress) -> None:
        self._source = source
        self._destination = destination
        self._progress = progress
        self.copied = CopiedPayloads()

    def run(self) -> None:
        """Copy what the destination lacks. Raises ConfigurationError, SpoolFull, Temporary, QueueBroken."""
        for table in TABLES:
            if table == "instance":
                self._copy_instances()
            else:
                self._copy_rows(table)

    def _copy_rows(self, table: str) -> None:
        done = 0
        for rows in self._pages(table, ROWS_AT_ONCE):
            with self._destination.store.transaction():
                self._destination.store.rows.add(table, rows)
            done += len(rows)
            self._progress(table, done)

    def _pages(self, table: str, rows_at_once: int) -> Iterator[Sequence[StoredRow]]:
        """Rows of a table that the destination lacks."""
        after: RowKey | None = self._destination.store.rows.last_key(table)
        while rows := self._source.store.rows.read(table, after, rows_at_once):
            yield rows
            after = rows[-1][: KEY_COLUMNS[table]]

    # --- instances ----------------------------------------------------------------------------------------------

    def _copy_instances(self) -> None:
        rows = itertools.chain.from_iterable(self._expected(self._pages("instance", ROWS_AT_ONCE)))
        batch, batch_bytes = _InstanceBatch(), 0
        for row in rows:
            batch_bytes += self._take(row, batch)
            if batch_bytes >= self._destination.group_bytes or len(batch.rows) >= INSTANCES_AT_ONCE:
                self._write(batch)
                batch, batch_bytes = _InstanceBatch(), 0
        if batch.rows:
            self._write(batch)

    def _expected(self, pages: Iterator[Sequence[StoredRow]]) -> Iterator[Sequence[StoredRow]]:
        for rows in pages:
            self._source.expect([_payload(row) for row in rows])
            yield rows

    def _take(self, row: StoredRow, batch: _InstanceBatch) -> int:
        """Read the payload of an instance, and put it at once where it is a large one; bytes that are in memory."""
        payload = _payload(row)
        syntax = row[COLUMN["transfer_syntax_uid"]]
        number = row[0]
        self.copied.instances += 1
        self.copied.length_bytes += payload.length_bytes
        try:
            if payload.length_bytes > self._destination.large_object_bytes:
                place = self._put_large(number, payload, syntax, row)
                batch.rows.append(_at(row, *place))
                self._progress("payload", self.copied.instances)
                return 0
            pieces = list(self._source.chunks(payload))
        except PayloadMissing as error:
            self._report(row, str(error), self.copied.missing)
            batch.rows.append(_at(row, *self._destination.no_place()))
            return 0
        if not has_digest(pieces, payload.digest):
            self._report(row, "the stored bytes have changed; they are copied as they are", self.copied.damaged)
        batch.in_group.append(len(batch.rows))
        batch.rows.append(row)
        batch.payloads.append(SmallPayload(number, pieces, syntax))
        return payload.length_bytes

    def _put_large(self, number: int, payload: PayloadRef, syntax: str, row: StoredRow) -> tuple[str, int]:
        """Raises PayloadMissing."""
        put = self._destination.put_large
        chunks = self._source.chunks(payload)
        try:
            return put(number, _proven(chunks, payload), payload.length_bytes, syntax)
        except PayloadLost as error:
            self._report(row, f"{error}; they are copied as they are", self.copied.damaged)
        return put(number, self._source.chunks(payload), payload.length_bytes, syntax)

    def _write(self, batch: _InstanceBatch) -> None:
        """Payloads first, then the rows that name them."""

        def owed(places: Sequence[PayloadPlace]) -> Sequence[RecordedArrival]:
            return self._owed(batch.placed(places))

        batch.rows = batch.placed(self._destination.put_group(batch.payloads, owed))
        self._progress("payload", self.copied.instances)
        with self._destination.store.transaction():
            self._destination.record()
            self._destination.store.rows.add("instance", batch.rows)
        self._progress("instance", self.copied.instances)

    def _owed(self, rows: Sequence[StoredRow]) -> Sequence[RecordedArrival]:
        """The instances of these rows that have a payload, and what they owe. The index is not among it."""
        nowhere = self._destination.no_place()
        places = {row[0]: _payload(row) for row in rows if (row[NAME], row[OFFSET]) != nowhere}
        source = self._source.store
        dispatches: dict[int, list[Dispatch]] = {instance_id: [] for instance_id in places}
        for row in source.rows.owed([*places]):
            dispatches[row[0]].append(_dispatch(row))
        return [
            (found.stored(places[found.instance_id]), dispatches[found.instance_id])
            for found in source.index.instances([*places])
        ]

    def _report(self, row: StoredRow, reason: str, kept: list[str]) -> None:
        uid = str(row[COLUMN["sop_instance_uid"]])
        self.copied.not_whole += 1
        if len(kept) < UIDS_KEPT:
            kept.append(uid)
        log.error(
            "payload_damaged",
            sop_instance_uid=uid,
            file=row[NAME],
            offset_bytes=row[OFFSET],
            length_bytes=row[LENGTH],
            error=reason,
        )


@dataclass(slots=True)
class _InstanceBatch:
    """Rows of instances, and the payloads of some that are still to be put."""

    rows: list[StoredRow] = field(default_factory=list)
    in_group: list[int] = field(default_factory=list)
    """Which of the rows have a payload in `payloads`, in its order."""
    payloads: list[SmallPayload] = field(default_factory=list)

    def placed(self, places: Sequence[PayloadPlace]) -> list[StoredRow]:
        """The rows, once the places of the payloads in the group are known."""
        rows = list(self.rows)
        for index, place in zip(self.in_group, places, strict=True):
            rows[index] = _at(rows[index], *place)
        return rows


def _dispatch(row: OwedRow) -> Dispatch:
    _, rule, destination, actions_json, state, group, reason, priority, passes_window, bundle, bundle_place = row
    kept = DeliveryState.HELD if state == DeliveryState.HELD else DeliveryState.PENDING
    how = (group, reason, Priority(priority), bool(passes_window), bundle, bundle_place)
    return Dispatch(rule, destination, actions_json, kept, *how)


def _payload(row: StoredRow) -> PayloadRef:
    return PayloadRef(row[NAME], row[OFFSET], row[LENGTH], bytes(row[DIGEST]))


def _at(row: StoredRow, name: str, offset_bytes: int) -> StoredRow:
    """The row of an instance whose payload lies there."""
    return (*row[:NAME], name, offset_bytes, *row[OFFSET + 1 :])


def _proven(chunks: Iterator[bytes], payload: PayloadRef) -> Iterator[bytes]:
    """The same chunks. Raises PayloadLost before the last one when all together have another digest."""
    proof = Proof()
    held: bytes | None = None
    for chunk in chunks:
        proof.update(chunk)
        if held is not None:
            yield held
        held = chunk
    if not proof.is_of(payload.digest):
        raise PayloadLost(f"payload {payload.name} at {payload.offset_bytes}: the stored bytes have changed")
    if held is not None:
        yield held


def differences(source: Mapping[str, int], destination: Mapping[str, int]) -> list[str]:
    """Numbers that differ on the two sides."""
    return [
        f"{name}: {source.get(name, 0)} and {destination.get(name, 0)}"
        for name in sorted(source.keys() | destination.keys())
        if source.get(name, 0) != destination.get(name, 0)
    ]
