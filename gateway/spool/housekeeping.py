"""Housekeeping: other processes' changes, the end of retention, files that no row names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from gateway.ports.errors import Temporary
from gateway.ports.meter import Meter
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.spool.recovery import number
from gateway.spool.redo import NOWHERE, Position
from gateway.spool.store import SpoolStore
from gateway.spool.writing import Writing

log = structlog.get_logger()

POLL_S = 1.0
"""Interval between looks for other processes' changes to the queue, and between applications of retention."""

SWEEP_S = 10.0
"""Interval between searches for files that no row names; they come sooner when room is low."""

FORGET_AT_ONCE = 200
"""The number of instances, and of entries of traces, that are forgotten in one group, so that a waiting commit does not
wait for housekeeping."""

MAKE_ROOM_AT_ONCE = 1000
"""Instances that are kept for queries alone and are given up in one round when room is low, the oldest first."""

DROPPED_AT_LEAST_BYTES = 64 * 1024**2
"""Kept copies of so many bytes more than is missing are given up in one round: a segment goes as a whole."""

BLOCKS_A_STEP = 256
"""The number of free blocks that are given back at once: 1 MB on SQLite, some milliseconds."""

MOST_STEPS = 64
"""The greatest number of steps of one round, so that all other work has its turn."""

DOES_NOT_SHRINK = (
    "the database was made by a former version: it uses free pages again, and does not give them back to the file "
    "system; `gateway rebuild` makes it anew"
)

T = TypeVar("T")


class RunOnStore(Protocol):
    """Runs a function on a store in the thread that owns it."""

    def __call__(self, function: Callable[[Store], T], /) -> Awaitable[T]: ...


class Housekeeping:
    """`call` runs a function on the store that commits, `read` on the one for reading. `changed` gets the destinations
    with pending deliveries after another process wrote. `keep_s` gives the least time for which instances stay in the
    index. `is_idle` is true while no object arrives."""

    def __init__(
        self,
        *,
        payloads: SpoolStore,
        call: RunOnStore,
        read: RunOnStore,
        changed: Callable[[set[str]], None],
        retention_s: float,
        keep_trace_s: float,
        keep_s: Callable[[], float],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        meter: Meter,
        writing: Writing,
        queue_room: StoreRoom,
        is_idle: Callable[[], bool],
    ) -> None:
        self._payloads = payloads
        self._call = call
        self._read = read
        self._changed = changed
        self._retention_s, self._keep_trace_s = retention_s, keep_trace_s
        self._keep_s = keep_s
        self._now = now
        self._monotonic = monotonic
        self._meter = meter
        self._writing = writing
        self._queue_room = queue_room
        self._is_idle = is_idle
        self.forgotten_early = 0
        """Instances that went before their retention was over, for want of room."""
        self.kept_copies_dropped = 0
        """Kept copies that were given up before their time was over, for want of room."""
        self._is_reported = False
        self._position = NOWHERE

    async def run(self, poll_s: float, sweep_s: float) -> None:
        """Sweep and probe until cancelled. A step that is short of room or held by others is tried again the next time;
        any other error is raised.
        """
        sweep_at_s = self._monotonic()
        while True:
            try:
                if await self.is_in_place():
                    await self.probe()
                    await self.look_for_changes()
                    is_low = not await self._read(lambda _: self._queue_room.keep()) or self._payloads.room.is_low
                    self._meter.set("gateway_spool_free_bytes", self._payloads.room.free_bytes)
                    forgotten = await self.forget(is_low=is_low)
                    await self.release_surplus()
                    if self._monotonic() >= sweep_at_s or (is_low and forgotten):
                        await self.forget_traces()
                        await self.sweep(is_low=is_low)
                        sweep_at_s = self._monotonic() + sweep_s
            except (Temporary, OSError) as error:
                log.warning("housekeeping_failed", error=str(error))
            await asyncio.sleep(poll_s)

    async def is_in_place(self) -> bool:
        """False while spool or queue are not what was opened at the start; then nothing may be deleted.

        Meanwhile the store is consolidated again and again: one of its files may be the one that was deleted.
        """
        if not await self._read(lambda _: self._payloads.presence.look()):
            return True
        await self._read(lambda reader: reader.consolidate())
        return False

    async def probe(self) -> None:
        """Try a write while writes fail, and now and then. A failure is not raised; `Writing` records it."""
        if self._writing.is_probe_due("spool"):
            try:
                await self._read(lambda _: self._payloads.probe())
                self._writing.worked("spool")
            except OSError as error:
                self._writing.failed(
                    "spool", f"spool {self._payloads.root}: {error.strerror or error}; look at the disk"
                )
        if self._writing.is_probe_due("database"):
            try:
                await self._call(lambda store: store.sync())
                self._writing.worked("database")
            except Temporary as error:
                self._writing.failed("database", str(error))

    async def look_for_changes(self) -> None:
        """Report that another process wrote; the gateway's own commits do not count."""
        if not await self._call(lambda store: store.changed_elsewhere()):
            return
        self._changed(set(await self._read(lambda reader: reader.deliveries.pending_destinations())))

    async def forget(self, *, is_low: bool) -> int:
        """Delete instances whose retention is over; how many. When room is low, the oldest kept copies go first. When
        nothing goes by that, all that owe nothing go, and as many of those that are kept for queries as are needed."""
        now = self._now()
        await self._end_kept(now)
        dropped = is_low and await self._drop_kept()
        before = now - timedelta(seconds=self._retention_s)
        indexed_before = now - timedelta(seconds=max(self._keep_s(), self._retention_s))
        total = await self._forget(before, indexed_before)
        if not is_low or (dropped and total):
            return total
        early = await self._forget(now, now if indexed_before == before else indexed_before)
        if indexed_before < before:
            early += await self._call(lambda store: store.deliveries.forget(now, MAKE_ROOM_AT_ONCE))
        if early:
            self._log_early(early)
        return total + early

    async def _end_kept(self, now: datetime) -> None:
        while await self._call(lambda store: store.kept.end_kept(now, FORGET_AT_ONCE)) == FORGET_AT_ONCE:
            pass

    async def _drop_kept(self) -> bool:
        """Give up the oldest kept copies, as many as are missing; False when there are none."""
        missing, number = self._payloads.room.shortage_bytes + DROPPED_AT_LEAST_BYTES, 0
        while missing > 0:
            ended = await self._call(lambda store: store.kept.end_oldest_kept(FORGET_AT_ONCE))
            number, missing = number + ended.number, missing - ended.size_bytes
            if ended.number < FORGET_AT_ONCE:
                break
        if number:
            self.kept_copies_dropped += number
            self._meter.count("gateway_kept_copies_dropped_total", number)
            log.warning(
                "kept_copies_dropped",
                copies=number,
                consequence="they cannot be sent again from here; all of them were delivered",
                action="free space on the file systems of spool and database, or shorten `keep` of routes and peers",
            )
        return number > 0

    def _log_early(self, number: int) -> None:
        self.forgotten_early += number
        self._meter.count("gateway_instances_forgotten_early_total", number)
        log.warning(
            "instances_forgotten_early",
            instances=number,
            consequence="queries and retrieves do not find them here any more; all of them were delivered",
            action="free space on the file systems of spool and database, or shorten the retention",
        )

    async def _forget(self, before: datetime, indexed_before: datetime) -> int:
        total = 0
        while forgotten := await self._call(
            lambda store: store.deliveries.forget(before, FORGET_AT_ONCE, indexed_before)
        ):
            total += forgotten
            if forgotten < FORGET_AT_ONCE:
                break
        return total

    async def forget_traces(self) -> None:
        """Delete entries of studies of which nothing was forgotten for long, some at a time."""
        before = self._now() - timedelta(seconds=self._keep_trace_s)
        await self._call(lambda store: store.traces.forget_entries(before, FORGET_AT_ONCE))

    async def release_surplus(self) -> None:
        """Give surplus blocks of the store back to the file system, in small steps, while no objects arrive: an object
        that arrives meanwhile waits for one step."""
        if not self._is_idle():
            return
        left = await self._read(lambda reader: reader.surplus_blocks())
        if left is None:
            if not self._is_reported:
                self._is_reported = True
                log.info("database_not_shrunk", hint=DOES_NOT_SHRINK)
            return
        steps = 0
        while left and self._is_idle() and steps < MOST_STEPS:
            await self._call(lambda store: store.release_blocks(BLOCKS_A_STEP))
            left = await self._read(lambda reader: reader.surplus_blocks())
            steps += 1
        if steps:
            await self._read(lambda reader: reader.consolidate())

    async def sweep(self, *, is_low: bool) -> int:
        """Delete files that nothing names; how many. When room is low the active segment ends, so that it can go."""
        if is_low:
            await self._call(lambda store: self._payloads.segments.retire())
        await self._read(lambda _: self._payloads.empty_quarantine())
        candidates = await self._read(lambda _: self._payloads.candidates())
        if not candidates:
            return 0
        # A segment also holds the redo records of transactions without a sync: nothing goes before the store's own.
        synced = await self._call(_synced)
        return await self._read(lambda reader: self._sweep(candidates, reader, synced))

    def _sweep(self, candidates: Sequence[str], reader: Store, synced: Position) -> int:
        """Sweep, unless the store's position is behind an earlier one, or behind what was synced. Then another file was
        written over the database, or another server took its place, and payloads that it does not name are no garbage.
        """
        named = reader.spool.payload_names()
        position = Position(*reader.spool.replayed_position())  # after the names: it may be replaced between the two
        if _order(position) < max(_order(self._position), _order(synced)):
            self._payloads.presence.fail("another database was written over the queue's file: it is older than before")
            return 0
        self._position = position
        return self._payloads.sweep(candidates, named)


def _synced(store: Store) -> Position:
    """The position of a store that has everything on disk."""
    store.sync()
    return Position(*store.spool.replayed_position())


def _order(position: Position) -> tuple[int, int]:
    return (number(position.name) if position.name else 0), position.end_bytes
