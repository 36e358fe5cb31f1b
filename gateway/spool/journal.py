"""The durable side of the gateway as coroutines: the `Journal` port on a spool folder and a store."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from gateway.model.instance import PayloadRef
from gateway.model.listener import Limits
from gateway.model.settings import Spool
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import SpoolFull
from gateway.ports.meter import Meter, NoMeter
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.spool.acceptance_payloads import AcceptancePayloads
from gateway.spool.body import InMemoryDataSet
from gateway.spool.commits import Commits
from gateway.spool.committer import Committer
from gateway.spool.committing_thread import CommitterReports
from gateway.spool.disk import Disk, LocalDisk
from gateway.spool.free_space import UnboundedFreeSpace
from gateway.spool.housekeeping import POLL_S, SWEEP_S, Housekeeping
from gateway.spool.receive import MEMORY_BYTES, MemoryBudget, Receiver, ReceiverConfig
from gateway.spool.recent_payloads import RecentPayloads
from gateway.spool.replay import Identify, identify_nothing
from gateway.spool.spool_threads import SpoolThreads
from gateway.spool.store import SpoolStore
from gateway.spool.store_journal import StoreJournal
from gateway.spool.store_opening import StoreOpening
from gateway.spool.writing import Writing


class GroupCommitJournal(StoreJournal):
    """The `Journal` port, and `StoreAccess` for operators: one committer thread, one reader thread, a few threads that
    write large objects.

    `open_store` opens the store that is committed to, and `open_reader` that for reading; without one, `open_store`
    does. `keep_s` says how long instances in the index stay at least; it may change with the configuration. `identify`
    reads which object an encoded data set is, for those whose redo record is damaged. `queue_lock_gone` says why the
    lock beside the store holds nobody off any more; empty while it does. `queue_room` says whether the store has room.
    """

    def __init__(
        self,
        spool: Spool,
        open_store: Callable[[], Store],
        *,
        open_reader: Callable[[], Store] | None = None,
        limits: Limits = Limits(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        meter: Meter = NoMeter(),  # noqa: B008 - measures nothing, keeps nothing
        disk: Disk | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        memory_bytes: int = MEMORY_BYTES,
        poll_s: float = POLL_S,
        sweep_s: float = SWEEP_S,
        keep_s: Callable[[], float] = lambda: 0.0,
        identify: Identify = identify_nothing,
        queue_lock_gone: Callable[[], str] = lambda: "",
        queue_room: StoreRoom | None = None,
    ) -> None:
        super().__init__(spool.path)
        self._spool = spool
        self._open_reader = open_reader or open_store
        self._limits = limits
        self._now, self._monotonic, self._meter = now, monotonic, meter
        self._disk = disk or LocalDisk()
        self._memory_bytes = memory_bytes
        self._poll_s, self._sweep_s = poll_s, sweep_s
        self._keep_s = keep_s
        self._queue_room = queue_room or UnboundedFreeSpace()
        self.writing = Writing(meter, monotonic)
        self._opening = StoreOpening(
            open_store, now=now, meter=meter, new_id=new_id, identify=identify, lock_gone=queue_lock_gone
        )
        self._recent = RecentPayloads()

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the spool, recover, begin to commit.

        Raises ConfigurationError when spool or store cannot be used, or another gateway uses them; SpoolFull when the
        disk is full or fails; Temporary when a payload cannot be read now.
        """
        self._loop = asyncio.get_running_loop()
        self._state.starting()
        self._threads = SpoolThreads()
        try:
            self._payloads = SpoolStore(
                self._spool,
                disk=self._disk,
                monotonic=self._monotonic,
                workers=self._threads.workers,
                meter=self._meter,
                now=self._now,
            )
        except BaseException:
            self._threads.stop()
            raise
        try:
            self._commits = self._made_commits()
            await self._commits.start()
            self._reader = await self._loop.run_in_executor(self._threads.reading, self._open_reader)
        except BaseException:
            self._payloads.close()
            self._threads.stop()
            raise
        self._acceptances = AcceptancePayloads(
            self._payloads, self._threads, self._spool.large_object_bytes, self.writing
        )
        self._reception = self._receiver_config()
        self._state.started()
        self._meter.set("gateway_spool_min_free_bytes", self._spool.min_free_bytes)
        self._housekeeping = self._made_housekeeping()
        self._keeper = self._loop.create_task(self._housekeeping.run(self._poll_s, self._sweep_s), name="spool-keeper")
        self._keeper.add_done_callback(self._keeper_ended)

    def _made_commits(self) -> Commits:
        return Commits(
            self._made_committer,
            self._state,
            monotonic=self._monotonic,
            meter=self._meter,
            recent=self._recent,
            due=self._due,
            adopt=self._payloads.adopt,
        )

    def _made_committer(self, reports: CommitterReports) -> Committer:
        return Committer(
            lambda: self._opening.open(self._payloads),
            reports,
            payloads=self._payloads,
            now=self._now,
            monotonic=self._monotonic,
            failed=self.writing.failed,
        )

    def _receiver_config(self) -> ReceiverConfig:
        return ReceiverConfig(
            object_bytes=self._limits.object_bytes,
            large_object_bytes=self._spool.large_object_bytes,
            budget=MemoryBudget(self._memory_bytes),
            room=self._payloads.room,
            new_file=self._payloads.new_file,
            workers=self._threads.workers,
            arriving=self.arriving,
        )

    def _made_housekeeping(self) -> Housekeeping:
        return Housekeeping(
            payloads=self._payloads,
            call=self._call,
            read=self._read,
            changed=self._changed,
            retention_s=self._spool.retention_s,
            keep_trace_s=self._spool.keep_trace_s,
            keep_s=self._keep_s,
            now=self._now,
            monotonic=self._monotonic,
            meter=self._meter,
            writing=self.writing,
            queue_room=self._queue_room,
            is_idle=self._commits.is_idle,
        )

    async def close(self) -> None:
        """Commit what waits, then give the spool back. Later calls raise JournalClosed."""
        if not self._state.is_open:
            return
        self._state.closing()
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._commits.end()
        await self._loop.run_in_executor(self._threads.reading, self._reader.close)
        await self._loop.run_in_executor(None, self._threads.stop)
        self._payloads.close()
        self._state.closed()

    def refusal(self) -> str:
        """The reason why no objects are taken though the journal works; empty when they are."""
        return self._payloads.presence.problem if self._state.problem == "" else ""

    def shortages(self) -> Mapping[str, str]:
        """Place → why there is no room for objects; empty when there is. About a second old at most."""
        found = {}
        try:
            self._payloads.room.check()
        except SpoolFull as error:
            found["spool"] = str(error)
        if shortage := self._queue_room.shortage:
            found["database"] = shortage
        return found

    @property
    def forgotten_early(self) -> int:
        """Instances that went before their retention was over, for want of room, since the start."""
        return 0 if self._state.problem else self._housekeeping.forgotten_early

    @property
    def kept_copies_dropped(self) -> int:
        """Kept copies that were given up before their time was over, for want of room, since the start."""
        return 0 if self._state.problem else self._housekeeping.kept_copies_dropped

    @property
    def spool_id(self) -> str:
        """The identity of the spool; empty before the start."""
        return "" if self._state.problem else self._payloads.spool_id

    def moved_queue(self) -> str:
        """The reason why the store is not the one that was opened at the start; empty when it is. Any thread."""
        return self._opening.moved()

    # --- the port -----------------------------------------------------------------------------------------------

    def receiver(self) -> DataSetReceiver:
        """A receiver for one incoming data set. Raises SpoolFull below `min_free`."""
        self._state.check()
        self._payloads.presence.check()
        self._payloads.room.check()
        return Receiver(self._reception)

    def _check_room(self) -> None:
        """Raises SpoolFull when nothing is taken."""
        self._state.check()
        self._payloads.presence.check()
        self._payloads.room.check()
        self._queue_room.check()

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes. Raises PayloadLost, or Temporary when they cannot be read now."""
        recent = self._recent.take(payload)
        return self._payloads.open(payload) if recent is None else InMemoryDataSet(recent)

    def open_now(self, payload: PayloadRef) -> EncodedDataSet:
        """As `open`: everything lies on this machine."""
        return self.open(payload)

    async def fetch(self, payload: PayloadRef) -> EncodedDataSet:
        """As `open`: nothing has to be fetched."""
        return self.open(payload)

    def open_cached(self, payload: PayloadRef) -> EncodedDataSet | None:
        """As `open`, when nobody has to wait for the disk; else None. Raises PayloadLost."""
        return self._payloads.open_cached(payload)

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def sweep(self, *, is_low: bool = False) -> int:
        """Delete files that nothing names, now; how many."""
        return await self._housekeeping.sweep(is_low=is_low)
