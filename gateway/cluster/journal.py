"""The durable side of a node as coroutines: the `Journal` port on a database and an object store that nodes share."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

import structlog

from gateway import __version__
from gateway.cluster.node_acceptances import NodeAcceptances
from gateway.cluster.node_committer import NodeCommitter
from gateway.cluster.node_folder import NodeFolder
from gateway.cluster.object_threads import ObjectThreads
from gateway.cluster.payload_access import PayloadAccess
from gateway.cluster.sealer import Sealer
from gateway.cluster.unsealed_limit import UnsealedLimit
from gateway.common.buffer import Buffer
from gateway.model.instance import PayloadRef
from gateway.model.listener import Limits
from gateway.model.settings import UNSEALED_LIMIT_BYTES, Spool
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import ConfigurationError, SpoolFull, Temporary
from gateway.ports.meter import Meter, NoMeter
from gateway.ports.object_store import ObjectStore
from gateway.ports.shared_payloads import SharedStore, StorePurpose, UnsealedPayloads
from gateway.ports.store import Store
from gateway.spool.body import InMemoryDataSet
from gateway.spool.commits import Commits
from gateway.spool.committing_thread import CommitterReports
from gateway.spool.disk import Disk, LocalDisk
from gateway.spool.receive import MEMORY_BYTES, MemoryBudget, Receiver, ReceiverConfig
from gateway.spool.recent_payloads import RecentPayloads
from gateway.spool.spool_threads import SpoolThreads
from gateway.spool.store_journal import StoreJournal
from gateway.spool.store_opening import refuse_migrated
from gateway.spool.writing import Writing

log = structlog.get_logger()

T = TypeVar("T")

IDENTITY_PREFIX = "cluster-"
"""The beginning of the identity of a cluster: no spool of a gateway that is alone has such a one."""
POLL_S = 0.5
"""Interval between looks for other nodes' and processes' changes to the queue; with each the database is asked, so that
`/readyz` says within two seconds that it does not answer."""
OBJECT_THREADS = 4
"""Threads that fetch payloads, and as many that put large ones into the object store."""
END_LIMIT_S = 8.0
"""The time that an end waits for what is asked of the object store: the time limit of one request."""
ANSWER_LIMIT_S = 1.4
"""A database that has not answered for so long takes nothing now. With the second look that it leaves without an
answer, objects that wait for it are refused."""


class ClusterJournal(StoreJournal):
    """The `Journal` port, and `StoreAccess` for operators, of one node.

    One committer thread, one reader thread, a few threads for files of this machine, a few that fetch payloads, a few
    that put large ones into the object store, and one that seals. `keep_s` says how long instances in the index stay at
    least; it may change with the configuration. `now` is the queue's time, which is the database server's clock.
    """

    def __init__(
        self,
        spool: Spool,
        open_store: Callable[[StorePurpose], SharedStore],
        objects: ObjectStore,
        *,
        limits: Limits = Limits(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        meter: Meter = NoMeter(),  # noqa: B008 - measures nothing, keeps nothing
        disk: Disk | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        memory_bytes: int = MEMORY_BYTES,
        poll_s: float = POLL_S,
        answer_limit_s: float = ANSWER_LIMIT_S,
        keep_s: Callable[[], float] = lambda: 0.0,
        unsealed_limit_bytes: int = UNSEALED_LIMIT_BYTES,
    ) -> None:
        super().__init__(spool.path)
        self._spool = spool
        self._open_store = open_store
        self._objects = objects
        self._limits = limits
        self._now, self._monotonic, self._meter = now, monotonic, meter
        self._disk = disk or LocalDisk()
        self._new_id = new_id
        self._memory_bytes = memory_bytes
        self._poll_s, self._answer_limit_s = poll_s, answer_limit_s
        self._keep_s = keep_s
        self.writing = Writing(meter, monotonic)
        self._recent = RecentPayloads()
        self._unsealed = UnsealedLimit(unsealed_limit_bytes)
        self._identity = ""

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the node's folder, look at database and object store, begin to commit.

        Raises ConfigurationError when one of them cannot be used, or belongs to something else; SpoolFull when it
        cannot be reached now.
        """
        self._loop = asyncio.get_running_loop()
        self._state.starting()
        self._threads = SpoolThreads()
        self._fetching = ObjectThreads(OBJECT_THREADS, "payload-fetch")
        self._putting = ObjectThreads(OBJECT_THREADS, "payload-put")
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(self._threads.stop)
            self._folder = NodeFolder(
                self._spool, disk=self._disk, monotonic=self._monotonic, workers=self._threads.workers
            )
            undo.callback(self._folder.close)
            self._access = PayloadAccess(
                self._folder.cache,
                self._objects,
                lambda: self._open_store("reading"),
                self._spool.large_object_bytes,
                self._meter,
            )
            self._commits = self._made_commits()
            await self._commits.start()
            undo.push_async_callback(self._commits.end)
            reader = await self._loop.run_in_executor(self._threads.reading, self._open_store, "reading")
            self._reader = reader
            undo.pop_all()
        self._acceptances = NodeAcceptances(self._folder, self._objects, self._putting, self._spool.large_object_bytes)
        self._reception = self._receiver_config()
        self._sealer = self._made_sealer()
        self._sealer.start()
        self._state.started()
        self._meter.set("gateway_spool_min_free_bytes", self._spool.min_free_bytes)
        self._meter.set("gateway_unsealed_limit_bytes", self._unsealed.limit_bytes)
        self._keeper = self._loop.create_task(self._keep(), name="node-keeper")
        self._keeper.add_done_callback(self._keeper_ended)

    def _made_commits(self) -> Commits:
        return Commits(
            self._made_committer,
            self._state,
            monotonic=self._monotonic,
            meter=self._meter,
            recent=self._recent,
            due=self._due,
            adopt=lambda file: None,
        )

    def _made_committer(self, reports: CommitterReports) -> NodeCommitter:
        return NodeCommitter(
            self._open_checked,
            reports,
            now=self._now,
            can_read=self._access.can_read,
            kept=self._cached_soon,
            failed=self._database_failed,
        )

    def _open_checked(self) -> SharedStore:
        """The store to commit to, once the object store is known to be its own. Raises as `start`."""
        store = self._open_store("committing")
        try:
            refuse_migrated(store, "the database of the cluster")
            with store.transaction():
                self._identity = self._bound(store)
            self._objects.check(self._identity, __version__)
            with store.transaction():
                store.deliveries.expire_leases()
        except BaseException:
            store.close()
            raise
        return store

    def _bound(self, store: SharedStore) -> str:
        """The identity of the cluster, made by its first node. Raises ConfigurationError."""
        identity = store.spool.spool_id()
        if not identity:  # several first nodes may start at once
            store.payloads.exclude_other_starts()
            identity = store.spool.spool_id()
        if not identity:
            identity = IDENTITY_PREFIX + self._new_id()
            store.spool.bind_spool(identity)
        if not identity.startswith(IDENTITY_PREFIX):
            raise ConfigurationError(
                "the database belongs to a gateway without `store.objects`, and its payloads lie in a spool; "
                "name another database or schema"
            )
        return identity

    def _receiver_config(self) -> ReceiverConfig:
        return ReceiverConfig(
            object_bytes=self._limits.object_bytes,
            large_object_bytes=self._spool.large_object_bytes,
            budget=MemoryBudget(self._memory_bytes),
            room=self._folder.room,
            new_file=self._folder.new_file,
            workers=self._threads.workers,
            arriving=self.arriving,
        )

    def _made_sealer(self) -> Sealer:
        return Sealer(
            lambda: self._open_store("keeping"),
            self._objects,
            now=self._now,
            forget_before=self._forget_before,
            monotonic=self._monotonic,
            meter=self._meter,
        )

    def _forget_before(self) -> tuple[datetime, datetime, datetime]:
        spool, now = self._spool, self._now()
        kept_s = spool.retention_s, max(self._keep_s(), spool.retention_s), spool.keep_trace_s
        before, indexed_before, traced_before = (now - timedelta(seconds=each) for each in kept_s)
        return before, indexed_before, traced_before

    async def close(self) -> None:
        """Commit what waits, then give everything back. Later calls raise JournalClosed."""
        if not self._state.is_open:
            return
        self._state.closing()
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._sealer.end()
        await self._commits.end()
        await self._loop.run_in_executor(self._threads.reading, self._reader.close)
        await self._loop.run_in_executor(None, self._threads.stop)
        await self._loop.run_in_executor(None, self._stop_object_threads)
        await self._loop.run_in_executor(None, self._sealer.join)
        self._access.close()
        self._objects.close()
        self._folder.close()
        self._state.closed()

    def _stop_object_threads(self) -> None:
        """End what waits for the object store. No group names what is still being put into one that hangs."""
        until_s = time.monotonic() + END_LIMIT_S
        for threads in (self._putting, self._fetching):
            if not threads.stop(max(until_s - time.monotonic(), 0.0)):
                log.warning("object_store_not_awaited", threads=threads.name, limit_s=END_LIMIT_S)

    # --- what is wrong ------------------------------------------------------------------------------------------

    def refusal(self) -> str:
        """Always empty: what a node needs is told by `write_problems`."""
        return ""

    def moved_queue(self) -> str:
        """Always empty: an address leads to the database that is there."""
        return ""

    def shortages(self) -> Mapping[str, str]:
        """Place → why there is no room for objects; empty when there is."""
        found: dict[str, str] = {}
        try:
            self._folder.room.check()
        except SpoolFull as error:
            found["spool"] = str(error)
        if self._unsealed.shortage:
            found["journal"] = self._unsealed.shortage
        return found

    def unsealed(self) -> tuple[UnsealedPayloads, int]:
        """The part of the journal that the object store does not have yet, and the bytes at which nothing is taken."""
        return self._unsealed.unsealed, self._unsealed.limit_bytes

    def backlog(self) -> str:
        """The reason why much of it waits for the object store; empty when all goes well."""
        return self._unsealed.warning

    @property
    def forgotten_early(self) -> int:
        """Always 0: the room of the database is its server's matter."""
        return 0

    @property
    def spool_id(self) -> str:
        """The identity of the cluster; empty before the start."""
        return self._identity

    def _database_failed(self, reason: str) -> None:
        self.writing.failed("database", reason)

    # --- the port -----------------------------------------------------------------------------------------------

    def receiver(self) -> DataSetReceiver:
        """A receiver for one incoming data set. Raises SpoolFull while nothing is taken."""
        self._check_room()
        return Receiver(self._reception)

    def _check_room(self) -> None:
        """Raises SpoolFull while the database takes nothing, when the journal in it holds too much, and when the folder
        for arriving objects has no room."""
        self._state.check()
        self._folder.room.check()
        self._unsealed.check()
        if reason := self.writing.problems.get("database"):
            raise SpoolFull(reason)

    def open_now(self, payload: PayloadRef) -> EncodedDataSet | None:
        """The stored bytes when this node has them; None when they are to be fetched."""
        recent = self._recent.take(payload)
        return self._access.open_now(payload) if recent is None else InMemoryDataSet(recent)

    async def fetch(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes, from wherever they lie. Raises PayloadLost, Temporary."""
        return await self._loop.run_in_executor(self._fetching, self._access.open, payload)

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The same in a thread that may wait."""
        return self._access.open(payload)

    def open_cached(self, payload: PayloadRef) -> EncodedDataSet | None:
        """The stored bytes when this node has them in memory or in its cache."""
        return self._access.open_now(payload)

    def _cached_soon(self, name: str, pieces: Sequence[Buffer], length_bytes: int) -> None:
        """Keep a group in the cache. In the committer's thread."""
        if self._folder.cache.add(name, pieces, length_bytes):
            with contextlib.suppress(RuntimeError):  # the threads are stopping
                self._threads.workers.submit(self._folder.cache.write)

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Ask the database twice a second, and look for changes by others, until cancelled."""
        looking: asyncio.Task[tuple[bool, UnsealedPayloads]] | None = None
        is_again = False
        try:
            while True:
                looking = looking or self._loop.create_task(self._look())
                done, _ = await asyncio.wait([looking], timeout=self._answer_limit_s)
                if done:
                    await self._looked(looking)
                    looking = None
                else:
                    self._database_silent(is_again)
                is_again = not done
                await asyncio.sleep(self._poll_s)
        finally:
            if looking is not None:
                looking.cancel()

    def _database_silent(self, is_again: bool) -> None:
        reason = f"the database has not answered for {self._answer_limit_s} s"
        self._database_failed(reason)
        if is_again:
            self._commits.refuse_waiting(SpoolFull(reason))

    async def _looked(self, looking: asyncio.Task[tuple[bool, UnsealedPayloads]]) -> None:
        try:
            is_changed, unsealed = looking.result()
            self.writing.worked("database")
            await self._count(unsealed)
            if is_changed:
                self._changed(set(await self._read(lambda reader: reader.deliveries.pending_destinations())))
        except Temporary as error:
            self._database_failed(str(error))

    async def _look(self) -> tuple[bool, UnsealedPayloads]:
        """True when another process changed the queue; what is not sealed. Raises Temporary when the database takes
        nothing."""

        def look(store: Store) -> tuple[bool, UnsealedPayloads]:
            store.sync()
            return store.changed_elsewhere(), cast(SharedStore, store).payloads.unsealed()

        return await self._call(look)

    async def _count(self, unsealed: UnsealedPayloads) -> None:
        since = self._unsealed.since(unsealed, self._now())
        if since is not None:
            came = await self._read(lambda reader: cast(SharedStore, reader).payloads.added_since(since))
            self._unsealed.came(*came, self._now())
        self._counted(unsealed)

    def _counted(self, unsealed: UnsealedPayloads) -> None:
        was_full = bool(self._unsealed.shortage)
        self._unsealed.counted(unsealed, self._now())
        if bool(self._unsealed.shortage) != was_full:
            event = "journal_taken_again" if was_full else "journal_full"
            log.warning(event, reason=self._unsealed.shortage, unsealed_bytes=unsealed.length_bytes)
        self._meter.set("gateway_unsealed_bytes", unsealed.length_bytes)
        self._meter.set("gateway_unsealed_groups", unsealed.groups)
