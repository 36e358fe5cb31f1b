"""The queue on SQLite: plain SQL by name, a few statements for any number of rows, leases fenced by tokens."""

from __future__ import annotations

import builtins
import dataclasses
import json
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw
import structlog

from gateway.common.steady_clock import SteadyClock, utc_now
from gateway.model.association import AssociationFacts
from gateway.model.delivery import Attempt, Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.instance import IndexEntry, Instance, PayloadRef
from gateway.model.likeness import Apart
from gateway.model.query import Attributes, Query
from gateway.ports.delivery_queue import AcceptedInstance, DeliveryFilter, QueueDepth
from gateway.ports.errors import SpoolFull
from gateway.sqlite import rows
from gateway.sqlite.checkpointer import Checkpointer
from gateway.sqlite.connection import (
    INCREMENTAL,
    MOST_PAGES_ASIDE,
    PAGES_BEFORE_CHECKPOINT,
    PAGES_WHEN_SHORT,
    OpenedFiles,
    connect,
    is_about_room,
    our_errors,
    single,
)
from gateway.sqlite.database_room import give_up_reserve, reserve_of, reserved_bytes
from gateway.sqlite.delivery_filters import select
from gateway.sqlite.delivery_selection import DeliverySelection
from gateway.sqlite.index_tables import IndexTables
from gateway.sqlite.inspection import look_at
from gateway.sqlite.rows import batch, microseconds, moment
from gateway.sqlite.running_gateway import is_gateway_running
from gateway.sqlite.statements import SQL

log = structlog.get_logger()

ATTEMPTS_KEPT = 20
"""Per delivery; the oldest go."""

CLOCK_STEP_US = 3600 * 1_000_000
"""A clock that is set back by up to this much does not change the order of arrival; by more, all that waits is due."""

KEEP_CLOCK_S = 10.0
"""How often the queue's time is written: a crash takes away as much of the age of what waits."""

MOST_UNWRITTEN_S = 60.0
"""How much later than the time that was last written the queue's time can be: a gateway that is idle writes it every
20 seconds. Where the wall clock says more, it was set ahead."""

FREE_PAGES_KEPT = 2048
"""8 MB: what arrives and goes again needs them soon."""

ASSOCIATIONS_CACHED = 4096


_Identity = tuple[str, bytes, str, str, tuple[object, ...]]
"""SOP Instance UID, digest, transfer syntax UID, SOP class UID, sender: what a duplicate has in common. Paths and edits
of a delivery may depend on who sent it."""


def _identity(instance: Instance) -> _Identity:
    return (
        instance.sop_instance_uid,
        instance.payload.digest,
        instance.transfer_syntax_uid,
        instance.sop_class_uid,
        rows.sender(instance.association),
    )


@dataclasses.dataclass(slots=True)
class _Known:
    """What the last transaction knew of the file; void as soon as another connection wrote."""

    data_version: int = -1
    instance_id: int = 0
    delivery_id: int = 0
    created_at: int = 0
    associations: dict[AssociationFacts, int] = dataclasses.field(default_factory=dict)


class _Transaction:
    """What `SQLiteQueue.transaction` gives; a generator takes longer than some of the statements inside."""

    __slots__ = ("_is_durable", "_queue")

    def __init__(self, queue: SQLiteQueue, is_durable: bool) -> None:
        self._queue = queue
        self._is_durable = is_durable

    def __enter__(self) -> SQLiteQueue:
        with our_errors(self._queue.path):
            self._queue.begin(self._is_durable)
        return self._queue

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with our_errors(self._queue.path):
            if error is None:
                self._queue.commit()
                return
            self._queue.give_up(error)
            if isinstance(error, apsw.Error):
                raise error


class SQLiteQueue:
    """The `Queue` port on one SQLite file in WAL mode with `synchronous=FULL`.

    One thread at a time uses one object; any number of processes may have the file open. Several gateways on one
    file are excluded by the spool's lock, not here.

    With `is_read_only` nothing on the disk is made or changed (`gateway.sqlite.inspection.open_read_only`), neither by
    opening nor by closing.

    Raises (opening): ConfigurationError; QueueBroken and Temporary with `is_read_only`.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        now: Callable[[], datetime] | None = None,
        clock: SteadyClock | None = None,
        busy_timeout_s: float = 30.0,
        must_exist: bool = False,
        wall: Callable[[], datetime] = utc_now,
        is_running: Callable[[Path], bool] = is_gateway_running,
        checkpoints_aside: bool = False,
        is_read_only: bool = False,
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._wall = wall
        self._is_running = is_running
        self._now = now or clock or self._remembered
        self._keep_clock_at_s = 0.0
        self._is_short = reserve_of(self.path).exists() and not reserved_bytes(self.path)
        """True from when the reserve was given up until it is held again: the log is kept small meanwhile."""
        self._connection = look_at(self.path) if is_read_only else self._connect(busy_timeout_s, must_exist=must_exist)
        self._aside = (
            Checkpointer(self._connect(busy_timeout_s, must_exist=True), str(path)) if checkpoints_aside else None
        )
        self._files = OpenedFiles(self.path)
        self._is_synchronous_full = True
        self._log_pages = 0
        self._connection.set_wal_hook(self._log_grew)  # instead of SQLite's own: that one hides a failed sync
        self._is_log_in_doubt = False
        """True after an I/O error: pages of the write-ahead log may be called clean and not be on the disk."""
        self._known = _Known()
        self._facts: dict[int, AssociationFacts] = {}
        self._index = IndexTables(self._connection)
        self.selection = DeliverySelection(self._connection, self.path)
        if clock is not None:
            clock.resume(self._clocks()[0] or self._last_acceptance())

    def _connect(self, busy_timeout_s: float, *, must_exist: bool) -> apsw.Connection:
        """On a full disk with the reserve's room."""
        try:
            return connect(self.path, busy_timeout_s=busy_timeout_s, must_exist=must_exist)
        except SpoolFull as error:
            if not self._has_made_room(error.__cause__):
                raise
        return connect(self.path, busy_timeout_s=busy_timeout_s, must_exist=must_exist)

    def close(self) -> None:
        if self._aside is not None:
            self._aside.close()
        self._connection.close()

    def _has_made_room(self, error: BaseException | None) -> bool:
        """True when `error` is a lack of room and the reserve was there: the same again may work now."""
        if not is_about_room(error):
            return False
        self._is_short = True
        return give_up_reserve(self.path)

    @property
    def connection(self) -> apsw.Connection:
        """For those who copy rows as they are (`gateway.sqlite.salvage`)."""
        return self._connection

    # --- transactions -------------------------------------------------------------------------------------------

    def transaction(self, *, is_durable: bool = True) -> AbstractContextManager[SQLiteQueue]:
        """One transaction; leaving it commits, an exception rolls all of it back."""
        return _Transaction(self, is_durable)

    def begin(self, is_durable: bool) -> None:
        """For `transaction`, as `commit` and `give_up`. Raises apsw.Error."""
        if self._is_log_in_doubt:
            self._begin_log_anew()
        if is_durable != self._is_synchronous_full:
            self._connection.pragma("synchronous", "FULL" if is_durable else "NORMAL")
            self._is_synchronous_full = is_durable
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._refresh()
        except BaseException:
            self._roll_back()
            raise

    def commit(self) -> None:
        """Raises apsw.Error; then all of it was rolled back."""
        try:
            self._keep_clock()
            self._connection.execute("COMMIT")
            self._known.data_version = self._connection.data_version()  # our own change is known
        except BaseException as error:
            self.give_up(error)
            raise
        if self._log_pages >= (PAGES_WHEN_SHORT if self._is_short else PAGES_BEFORE_CHECKPOINT):
            self._checkpoint_when_it_costs_little()

    def give_up(self, error: BaseException) -> None:
        """Roll back after `error`."""
        self._is_log_in_doubt |= isinstance(error, apsw.IOError)
        self._roll_back()
        if is_about_room(error):
            self._has_made_room(error)
            self._checkpoint()  # the log is written from its beginning then, and needs no room

    @contextmanager
    def _one_state(self) -> Generator[None]:
        """Several statements that read see one state of the file, whatever other connections commit meanwhile."""
        with our_errors(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._end_reading()

    def _end_reading(self) -> None:
        while self._connection.in_transaction:
            with suppress(apsw.InterruptError):  # meant for the statement before
                self._connection.execute("ROLLBACK")

    def _log_grew(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint_when_it_costs_little(self) -> None:
        """Another thread does most of it, if there is one; then what was committed meanwhile is put in, so that the log
        begins anew."""
        if self._aside is None or self._is_short or self._log_pages >= MOST_PAGES_ASIDE:
            self._checkpoint()
            return
        is_done, error = self._aside.take_result()
        self._is_log_in_doubt |= isinstance(error, apsw.IOError)
        if is_done and error is None:
            self._checkpoint()
        else:
            self._aside.ask()

    def _checkpoint(self) -> None:
        """Put what nobody reads of the log into the database. What was committed stays so, whatever happens here."""
        self._log_pages = 0
        self._is_short = self._is_short and not reserved_bytes(self.path)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:  # another process is at it
            return
        except apsw.Error as error:
            self._is_log_in_doubt |= isinstance(error, apsw.IOError)
            self._has_made_room(error)
            log.warning("checkpoint_failed", path=str(self.path), error=str(error))

    def _begin_log_anew(self) -> None:
        """Put the log's pages into the database and empty it. Raises apsw.Error; then nothing may be committed yet.

        After a failed sync the kernel may call pages clean that never reached the disk, those of claims before it too;
        what is committed behind such a hole would not survive a power cut.
        """
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            self._has_made_room(error)
            raise
        self._is_log_in_doubt = False
        log.warning("write_ahead_log_restarted", path=str(self.path))

    def _roll_back(self) -> None:
        self._known.data_version = -1  # the identifiers and associations of this transaction never were
        self._facts.clear()
        self._index.clear()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _refresh(self) -> None:
        """Learn the last identifiers, unless nobody else wrote since."""
        data_version = self._connection.data_version()
        known = self._known
        if known.data_version == data_version:
            return
        self._index.clear()
        instance_id, delivery_id, created_at = single(self._connection, "last_identifiers", {})
        self._known = _Known(
            data_version=data_version,
            instance_id=max(instance_id, known.instance_id),
            delivery_id=max(delivery_id, known.delivery_id),
            created_at=max(created_at, known.created_at),
        )

    def checkpoint(self) -> None:
        """Put what was committed into the database itself, outside a transaction; what fails is logged."""
        self._checkpoint()

    def surplus_pages(self) -> int | None:
        """Free pages that the file can do without: 0 until there are many, so that those that come and go stay. None
        for a file that cannot give them back, made by a former version."""
        with our_errors(self.path):
            if self._connection.pragma("auto_vacuum") != INCREMENTAL:
                return None
            free = int(self._connection.pragma("freelist_count"))
        return free - FREE_PAGES_KEPT if free >= 2 * FREE_PAGES_KEPT else 0

    def shrink(self, most_pages: int) -> None:
        """Give up to so many surplus pages back to the file system. They leave the file with the next checkpoint."""
        number = min(most_pages, self.surplus_pages() or 0)
        if number:
            self._connection.execute(f"PRAGMA incremental_vacuum({number})").fetchall()

    def moved(self, *, is_quick: bool = False) -> str:
        """Why its path does not name what was opened any more; empty when it does. Any thread."""
        return self._files.moved(is_quick=is_quick)

    def changes(self) -> int:
        """A number that differs after another connection wrote."""
        return int(self._connection.pragma("data_version"))

    # --- time ---------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The queue's time (`gateway.common.steady_clock`): the clock's that was given, else as the gateway last
        wrote it, and what has passed since while a gateway runs."""
        return self._now()

    def on_the_wall(self, moment: datetime) -> datetime:
        """What the wall clock shows at a moment of the queue's time that is near."""
        queue_time, wall_time = self._clocks()
        return moment if queue_time is None or wall_time is None else moment + (wall_time - queue_time)

    def _remembered(self) -> datetime:
        """Without a time that was written, the one with which a gateway would begin."""
        queue_time, wall_time = self._clocks()
        if queue_time is None or wall_time is None:
            return self._last_acceptance() or self._wall()
        if not self._is_running(self.path):
            return queue_time
        passed_s = (self._wall() - wall_time).total_seconds()
        return queue_time + timedelta(seconds=min(max(passed_s, 0.0), MOST_UNWRITTEN_S))

    def _clocks(self) -> tuple[datetime | None, datetime | None]:
        """The queue's time and the wall clock's as they were last written."""
        with our_errors(self.path):
            found = single(self._connection, "read_clock", {})
        return (None, None) if found is None else (moment(found[0]), moment(found[1]))

    def _last_acceptance(self) -> datetime | None:
        """Of a database that was made anew from the spool; None when there is none."""
        with our_errors(self.path):
            found = single(self._connection, "last_acceptance", {})
        return None if found is None else moment(found)

    def _keep_clock(self) -> None:
        """Write the time, once in a while, with what is written anyway."""
        if self._clock is None or time.monotonic() < self._keep_clock_at_s:
            return
        self._keep_clock_at_s = time.monotonic() + KEEP_CLOCK_S
        now, wall = microseconds(self._clock()), microseconds(self._clock.wall())
        self._do("keep_clock", queue_time=now, wall_time=wall)

    # --- accepting ----------------------------------------------------------------------------------------------

    def accept(self, instance: Instance, dispatches: Sequence[Dispatch], now: datetime) -> AcceptedInstance:
        return self.accept_all([(instance, dispatches)], now)[0]

    def accept_all(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]],
        now: datetime,
        is_readable: Callable[[PayloadRef], bool] = lambda _: True,
    ) -> builtins.list[AcceptedInstance]:
        """Add instances with a delivery a dispatch, except what is still owed already and can be read."""
        now_us = microseconds(now)
        identities = [_identity(instance) for instance, _ in arrivals]
        owed = self._owed(arrivals, identities, is_readable)
        instances: list[tuple[Any, ...]] = []
        deliveries: list[tuple[Any, ...]] = []
        entries: list[tuple[int, str, IndexEntry]] = []
        kept: list[tuple[int, str]] = []
        answers = []
        for (instance, dispatches), identity in zip(arrivals, identities, strict=True):
            same = owed.setdefault(identity, {})
            fresh: dict[tuple[str, str], Dispatch] = {}
            for dispatch in dispatches:
                if (key := (dispatch.destination, dispatch.actions_json)) not in same:
                    fresh.setdefault(key, dispatch)
            if dispatches and not fresh:
                instance_id, payload = same[dispatches[0].destination, dispatches[0].actions_json]
                answers.append(AcceptedInstance(instance_id, 0, payload))
                if instance.index is not None:
                    entries.append((instance_id, instance.sop_instance_uid, instance.index))
                continue
            self._known.instance_id = instance_id = self._known.instance_id + 1
            association_id = self._association_id(instance.association)
            if instance.index is not None:
                entries.append((instance_id, instance.sop_instance_uid, instance.index))
            if instance.kept_facts:
                kept.append((instance_id, instance.kept_facts))
            instances.append(rows.instance_row(instance_id, instance, association_id, None if dispatches else now_us))
            for key, dispatch in fresh.items():
                self._known.delivery_id += 1
                deliveries.append(rows.delivery_row(self._known.delivery_id, instance_id, instance, dispatch))
                same[key] = (instance_id, instance.payload)
            answers.append(AcceptedInstance(instance_id, len(fresh)))
        if entries:
            placed = self._index.place(entries, {row[0] for row in instances})
            instances = [(*row, *placed.get(row[0], ())) for row in instances]
        self._insert(instances, deliveries, now_us)
        if kept:
            self._do("keep_facts", kept=batch(kept))
        return answers

    def _owed(
        self,
        arrivals: Sequence[tuple[Instance, Sequence[Dispatch]]],
        identities: Sequence[_Identity],
        is_readable: Callable[[PayloadRef], bool],
    ) -> dict[_Identity, dict[tuple[str, str], tuple[int, PayloadRef]]]:
        """What is still owed of the same objects: identity → (destination, actions) → its instance."""
        asked = [(uid, digest.hex(), syntax, sop_class) for uid, digest, syntax, sop_class, _ in identities]
        found: dict[_Identity, dict[tuple[str, str], tuple[int, PayloadRef]]] = {}
        readable: dict[int, bool] = {}
        for index, instance_id, destination, actions, name, offset, length, facts in self._json(
            "find_duplicates", arrivals=batch(asked)
        ):
            if rows.sender(rows.association_facts(facts)) != identities[index][-1]:
                continue
            payload = PayloadRef(name, offset, length, arrivals[index][0].payload.digest)
            if instance_id not in readable:
                readable[instance_id] = is_readable(payload)
            if readable[instance_id]:
                same = found.setdefault(identities[index], {})
                same.setdefault((destination, actions), (instance_id, payload))
        return found

    def _association_id(self, facts: AssociationFacts) -> int:
        known = self._known.associations
        association_id = known.get(facts)
        if association_id is not None:
            return association_id
        association_id = int(single(self._connection, "insert_association", {"facts": rows.association_text(facts)}))
        if len(known) >= ASSOCIATIONS_CACHED:
            known.clear()
        known[facts] = association_id
        return association_id

    def _insert(self, instances: Sequence[object], deliveries: Sequence[object], now_us: int) -> None:
        if instances:
            self._do("insert_instances", instances=batch(instances))
        if deliveries:
            self._known.created_at = due_at = self._horizon(now_us)
            self._do("insert_deliveries", deliveries=batch(deliveries), due_at=due_at)

    def _horizon(self, now_us: int) -> int:
        """The present, or the newest arrival when the clock was set back a little."""
        newest = self._known.created_at
        if newest > now_us + CLOCK_STEP_US:
            self._clock_was_set_back(now_us)
        return newest if now_us < newest <= now_us + CLOCK_STEP_US else now_us

    def _clock_was_set_back(self, now_us: int) -> None:
        """Nothing waits for the time that the clock showed before: it may have been years ahead."""
        delayed = self._do("clock_was_set_back", now=now_us)
        self._do("settled_in_future", now=now_us)
        self._known.created_at = now_us
        log.warning("clock_set_back", path=str(self.path), deliveries=delayed)

    # --- working ------------------------------------------------------------------------------------------------

    def claim(
        self, destination: str, limit: int, lease_s: float, now: datetime, apart: Apart | None = None
    ) -> builtins.list[Delivery]:
        """Take due deliveries under a lease of `lease_s` seconds, oldest due first, then in order of arrival; with
        `apart` by likeness."""
        now_us = microseconds(now)
        values = {"destination": destination, "now": now_us, "horizon": self._horizon(now_us), "limit": limit}
        ids = single(self._connection, "find_due", values) if apart is None else self._find_apart(values, apart)
        if ids == "[]":
            return []
        self._do("lease", ids=ids, until=now_us + round(lease_s * 1_000_000))
        return self._read(ids)

    def _find_apart(self, values: dict[str, Any], apart: Apart) -> str:
        """From `apart.start` to the end, then from the beginning."""
        ranges = json.dumps(apart.ranges)
        for start in dict.fromkeys((apart.start, 0)):
            ids: str = single(self._connection, "find_due_apart", {**values, "start": start, "apart": ranges})
            if ids != "[]":
                break
        return ids

    def settle(self, settlements: Sequence[Settlement]) -> int:
        return sum(self.settle_each(settlements))

    def settle_each(self, settlements: Sequence[Settlement]) -> builtins.list[bool]:
        """Write attempts and states of those that still hold their lease; of one delivery the first counts."""
        found = self._json("find_leased", settlements=batch([(each.delivery_id, each.lease) for each in settlements]))
        attempts_before: dict[int, int] = {}
        held: dict[int, Settlement] = {}
        for index, attempts in sorted(found):
            settlement = settlements[index]
            if settlement.delivery_id not in attempts_before:
                attempts_before[settlement.delivery_id] = attempts
                held[index] = settlement
        if held:
            self._write_attempts([each for each in held.values() if each.is_attempt], attempts_before)
            self._write_states(list(held.values()))
        return [index in held for index in range(len(settlements))]

    def _write_attempts(self, settlements: Sequence[Settlement], before: dict[int, int]) -> None:
        if not settlements:
            return
        made = [rows.attempt_row(each, before[each.delivery_id] + 1) for each in settlements]
        self._do("insert_attempts", attempts=batch(made))
        surplus = [(row[0], row[1] - ATTEMPTS_KEPT) for row in made if row[1] > ATTEMPTS_KEPT]
        if surplus:
            self._do("drop_old_attempts", drops=batch(surplus))

    def _write_states(self, settlements: Sequence[Settlement]) -> None:
        now_us = self._present()
        self._do("settle", settlements=batch([rows.settlement_row(each) for each in settlements]), now=now_us)
        delivered = [each.delivery_id for each in settlements if each.state is DeliveryState.DELIVERED]
        if delivered:
            self._do("mark_settled", ids=batch(delivered), now=now_us)

    def next_due(self, destination: str) -> datetime | None:
        """When the next pending delivery of `destination` is due; the end of its lease for one under a lease."""
        with our_errors(self.path):
            due_at = single(self._connection, "next_due", {"destination": destination, "now": self._present()})
        return None if due_at is None else moment(due_at)

    def expire_leases(self) -> int:
        return self._do("expire_leases")

    # --- operating ----------------------------------------------------------------------------------------------

    def list(self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False) -> builtins.list[Delivery]:
        """Deliveries that fit, oldest first or newest first."""
        with self._one_state():
            return self._read(self._find(which, limit, is_newest_first=is_newest_first))

    def attempts(self, delivery_id: int) -> builtins.list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        with our_errors(self.path):
            return [rows.attempt(row) for row in self._rows("attempts", delivery_id=delivery_id)]

    def depths(self) -> builtins.list[QueueDepth]:
        """Counts of what is still kept for somebody; reads every such row."""
        with our_errors(self.path):
            return [
                QueueDepth(destination, rows.STATES[state], count, size_bytes, moment(oldest_at))
                for destination, state, count, size_bytes, oldest_at in self._rows("depths")
            ]

    def pending_destinations(self) -> builtins.list[str]:
        with our_errors(self.path):
            return [destination for (destination,) in self._rows("pending_destinations")]

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones that nobody works on: due now, and given up as late as if they had arrived now."""
        return self._do("retry", ids=self._find(which), now=microseconds(now), present=self._present())

    def hold(self, which: DeliveryFilter) -> int:
        """Pending and dead ones that nobody works on wait for an operator."""
        return self._do("hold", ids=self._find(which), present=self._present())

    def release(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """Held → pending: to `destination` when it is given, whatever they were held for, else to their own. Those held
        without one stay when none is given."""
        return self._do("release", ids=self._find(which), now=microseconds(now), destination=destination or "")

    def discard(self, which: DeliveryFilter) -> int:
        """Delete dead, held and pending deliveries that nobody works on."""
        gone = list(self._rows("discard", ids=self._find(which), present=self._present()))
        if not gone:
            return 0
        self._do("delete_attempts", ids=batch([row[0] for row in gone]))
        instances = batch(sorted({row[1] for row in gone}))
        self._do("mark_settled_instances", ids=instances, now=self._present())
        return len(gone)

    # --- forgetting ---------------------------------------------------------------------------------------------

    def forget(self, settled_before: datetime, limit: int, indexed_before: datetime | None = None) -> int:
        """Delete up to `limit` instances that owe nothing and settled earlier, with all that belongs to them; of those
        in the index what settled before `indexed_before`."""
        gone = self._forget("find_forgettable", settled_before, limit)
        return gone + self._forget("find_forgettable_indexed", indexed_before or settled_before, limit - gone)

    def _forget(self, find: str, settled_before: datetime, limit: int) -> int:
        ids, association_ids, series_keys = self._json(find, before=microseconds(settled_before), limit=limit)
        if not ids:
            return 0
        instances = batch(ids)
        if series_keys:
            self._index.promote(instances)
        for name in ("forget_attempts", "forget_deliveries", "forget_instances"):
            self._do(name, ids=instances)
        self._index.forget_series(series_keys)
        self._forget_associations(association_ids)
        return len(ids)

    def _forget_associations(self, association_ids: Iterable[int]) -> None:
        orphans = set(self._json("find_orphan_associations", ids=batch(list(association_ids))))
        if not orphans:
            return
        self._do("forget_associations", ids=batch(sorted(orphans)))
        known = self._known.associations
        for facts in [facts for facts, association_id in known.items() if association_id in orphans]:
            del known[facts]

    def payload_names(self) -> dict[str, int]:
        """Segment or file → the number of bytes that must be there."""
        with our_errors(self.path):
            return dict(self._json("payload_names"))

    def spool_id(self) -> str:
        with our_errors(self.path):
            return single(self._connection, "read_spool", {}) or ""

    def bind_spool(self, spool_id: str) -> None:
        self._do("delete_spool")
        self._do("insert_spool", spool_id=spool_id)

    def replayed_position(self) -> tuple[str, int]:
        with our_errors(self.path):
            name, end_bytes = single(self._connection, "read_known", {})
        return str(name), int(end_bytes)

    def set_replayed_position(self, name: str, end_bytes: int) -> None:
        self._do("update_known", segment=name, end_bytes=end_bytes)

    def force_sync(self) -> None:
        self._do("touch_known")

    # --- the index ----------------------------------------------------------------------------------------------

    def find(self, query: Query, limit: int = 0) -> Sequence[int]:
        """Keys of what fits `query`, in a stable order, for `matches`."""
        with our_errors(self.path):
            return self._index.find(query, limit)

    def matches(self, query: Query, keys: Sequence[int]) -> builtins.list[Attributes]:
        """What a response to `query` says of each; what was forgotten meanwhile is left out."""
        with self._one_state():
            return self._index.matches(query, keys)

    def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the current instances below what fits `query`, in a stable order."""
        with our_errors(self.path):
            return self._index.find_instances(query)

    def instances(self, instance_ids: Sequence[int]) -> builtins.list[Instance]:
        """These instances, in order; what was forgotten meanwhile is left out."""
        with self._one_state():
            found = self._json("read_instances", ids=batch(builtins.list(instance_ids)))
            self._load_facts({row[rows.INSTANCE_ASSOCIATION_COLUMN] for row in found})
            return [rows.instance(row, self._facts) for row in found]

    def interrupt(self) -> None:
        """From any thread: a statement that runs ends with Temporary."""
        self._connection.interrupt()

    def _present(self) -> int:
        return microseconds(self._now())

    # --- statements ---------------------------------------------------------------------------------------------

    def _do(self, name: str, **values: Any) -> int:
        """Run a named statement; the number of rows it changed."""
        self._connection.execute(SQL[name], values)
        return self._connection.changes()

    def _rows(self, name: str, **values: Any) -> Iterable[tuple[Any, ...]]:
        return self._connection.execute(SQL[name], values)

    def _json(self, name: str, **values: Any) -> Any:
        text = single(self._connection, name, values)
        return [] if text == "[]" else json.loads(text)

    def _find(self, which: DeliveryFilter, limit: int = -1, *, is_newest_first: bool = False) -> str:
        """Identifiers of the deliveries that fit, as JSON."""
        statement, values = select(which, limit, is_newest_first=is_newest_first)
        return str(self._connection.execute(statement, values).get)

    def _read(self, ids: str) -> builtins.list[Delivery]:
        found = self._json("read_deliveries", ids=ids)
        self._load_facts({row[rows.ASSOCIATION_COLUMN] for row in found})
        return [rows.delivery(row, self._facts) for row in found]

    def _load_facts(self, association_ids: set[int]) -> None:
        missing = association_ids - self._facts.keys()
        if not missing:
            return
        if len(self._facts) + len(missing) > ASSOCIATIONS_CACHED:
            self._facts.clear()
            missing = association_ids
        loaded = self._json("read_associations", ids=batch(sorted(missing)))
        self._facts |= {association_id: rows.association_facts(text) for association_id, text in loaded}
