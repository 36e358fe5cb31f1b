"""The durable side of the gateway as coroutines: the `Journal` port on a spool folder and a queue."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import structlog

from gateway.common.completion import Completion
from gateway.model.delivery import Delivery, DeliveryState, Dispatch, Settlement
from gateway.model.dimse_status import OUT_OF_RESOURCES
from gateway.model.instance import Instance, PayloadRef
from gateway.model.likeness import Apart
from gateway.model.listener import Limits
from gateway.model.settings import Spool
from gateway.ports.delivery_queue import QueueDepth
from gateway.ports.encoded_data_set import DataSetReceiver, EncodedDataSet
from gateway.ports.errors import ConfigurationError, GatewayError, SpoolFull
from gateway.ports.meter import Meter, NoMeter
from gateway.ports.store import Store
from gateway.ports.store_room import StoreRoom
from gateway.spool.body import flat, slices
from gateway.spool.committer import Acceptance, Call, ClaimRequest, CommitGroup, CommitRequest, Committer, Settling
from gateway.spool.disk import Buffer, Disk, LocalDisk
from gateway.spool.free_space import UnboundedFreeSpace
from gateway.spool.housekeeping import POLL_S, SWEEP_S, Housekeeping
from gateway.spool.large import LargeFile, ReceivedFile
from gateway.spool.presence import NotInPlace
from gateway.spool.receive import MEMORY_BYTES, MemoryBudget, Receiver, ReceiverConfig
from gateway.spool.redo import Position
from gateway.spool.replay import Identify, ReplayResult, nobody_knows, replay
from gateway.spool.segment import digest_of
from gateway.spool.store import SpoolStore
from gateway.spool.writing import Writing

log = structlog.get_logger()

WORKERS = 4
"""Threads that write large objects."""

DIGESTERS = 2
DIGEST_ASIDE_BYTES = 64 * 1024
"""From this size on an object is hashed in a thread of its own while the committer writes others; below it the way
to that thread and back costs as much as the hash."""

IDLE_S = 2.0
"""Without any arrival: then the database may be made smaller."""

COPY_BYTES = 1024**2

LONE_GROUPS = 16
"""So many groups of one object in a row come of one sender, or of several that seldom meet."""

TOLD_AGAIN = "gateway_spool_told_again_total"

T = TypeVar("T")


class JournalClosed(GatewayError):
    """The gateway is stopping, or the committer died: asking this journal again is of no use."""

    dimse_status = OUT_OF_RESOURCES  # the peer may send again, to the next process


class GroupCommitJournal:
    """The `Journal` port: one committer thread, one reader thread, a few threads that write large objects.

    `queue_factory` opens the queue; it is called once in the committer thread and once for reading. `keep_s`
    says how long instances in the index stay at least; it may change with the configuration. `identify` reads which
    object an encoded data set is, for those whose note is damaged. `queue_lock_gone` says why the lock beside the queue
    holds nobody off any more; empty while it does. `queue_room` says whether the database's file system has room.
    """

    def __init__(
        self,
        spool: Spool,
        queue_factory: Callable[[], Store],
        *,
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
        identify: Identify = nobody_knows,
        queue_lock_gone: Callable[[], str] = lambda: "",
        queue_room: StoreRoom | None = None,
    ) -> None:
        self._spool = spool
        self._queue_factory = queue_factory
        self._limits = limits
        self._now = now
        self._monotonic = monotonic
        self._meter = meter
        self._disk = disk or LocalDisk()
        self._new_id = new_id
        self._memory_bytes = memory_bytes
        self._poll_s = poll_s
        self._sweep_s = sweep_s
        self._keep_s = keep_s
        self._identify = identify
        self._queue_lock_gone = queue_lock_gone
        self._queue_room = queue_room or UnboundedFreeSpace()
        self.writing = Writing(meter, monotonic)
        self._moved_queue: Callable[[], str] = lambda: ""
        self._listeners: list[Callable[[str], None]] = []
        self._operator_listeners: list[Callable[[str], None]] = []
        self._problem = "not started"
        self._accepted_at_s = float("-inf")
        self._unfinished: set[CommitRequest] = set()
        self._lone_groups = 0
        """Of one object each, one after the other."""

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the spool, recover, begin to commit.

        Raises ConfigurationError when spool or queue cannot be used, or another gateway uses them; SpoolFull when the
        disk is full or fails; Temporary when a payload cannot be read now.
        """
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._workers = concurrent.futures.ThreadPoolExecutor(WORKERS, thread_name_prefix="spool-file")
        self._digesting = concurrent.futures.ThreadPoolExecutor(DIGESTERS, thread_name_prefix="spool-digest")
        self._reading = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="spool-reader")
        try:
            self._store = SpoolStore(
                self._spool,
                disk=self._disk,
                monotonic=self._monotonic,
                workers=self._workers,
                meter=self._meter,
                now=self._now,
            )
        except BaseException:
            self._stop_threads()
            raise
        try:
            await self._start_committer()
            self._reader = await self._loop.run_in_executor(self._reading, self._queue_factory)
        except BaseException:
            self._store.close()
            self._stop_threads()
            raise
        self._reception = ReceiverConfig(
            object_bytes=self._limits.object_bytes,
            large_object_bytes=self._spool.large_object_bytes,
            budget=MemoryBudget(self._memory_bytes),
            room=self._store.room,
            new_file=self._store.new_file,
            workers=self._workers,
        )
        self._problem = ""
        self._meter.set("gateway_spool_min_free_bytes", self._spool.min_free_bytes)
        self._housekeeping = Housekeeping(
            store=self._store,
            call=self._call,
            read=self._read,
            changed=partial(_tell, self._operator_listeners),
            retention_s=self._spool.retention_s,
            keep_s=self._keep_s,
            now=self._now,
            monotonic=self._monotonic,
            meter=self._meter,
            writing=self.writing,
            queue_room=self._queue_room,
            is_idle=self._is_idle,
        )
        self._keeper = self._loop.create_task(self._housekeeping.run(self._poll_s, self._sweep_s), name="spool-keeper")
        self._keeper.add_done_callback(self._keeper_ended)

    async def _start_committer(self) -> None:
        started: asyncio.Future[None] = self._loop.create_future()

        def tell(error: BaseException | None) -> None:
            self._loop.call_soon_threadsafe(_settle_future, started, None, error)

        self._committer = Committer(
            open_queue=self._open_queue,
            store=self._store,
            now=self._now,
            started=tell,
            finish=lambda group: self._loop.call_soon_threadsafe(self._finish, group),
            failed=self.writing.failed,
        )
        self._committer.start()
        await started

    async def _end_committer(self) -> None:
        self._committer.end()
        await self._ended.wait()

    def _open_queue(self) -> Store:
        """In the committer thread: the queue, once it and the spool agree."""
        deliveries = self._queue_factory()
        try:
            spool_id = self._store.pair(deliveries.spool.spool_id(), deliveries.spool.payload_names(), self._new_id())
            with deliveries.transaction():
                deliveries.spool.bind_spool(spool_id)
                deliveries.deliveries.expire_leases()
            told = replay(self._store, deliveries, identify=self._identify, now=self._now)
            self._count(told)
            self._store.recover(deliveries.spool.payload_names(), Position(*deliveries.spool.replayed_position()))
            self._watch(deliveries)
        except OSError as error:
            deliveries.close()
            raise SpoolFull(f"spool {self._spool.path}: the disk failed at the start: {error}; look at it") from error
        except BaseException:
            deliveries.close()
            raise
        return deliveries

    def _watch(self, deliveries: Store) -> None:
        """From here on; what was found until now must be of the spool that is there now.

        Raises ConfigurationError when it is not.
        """
        self._moved_queue = partial(deliveries.moved, is_quick=True)
        self._store.presence.add(deliveries.moved, self._queue_lock_gone, quick=self._moved_queue)
        if problem := self._store.presence.look():
            raise ConfigurationError(f"spool {self._spool.path}: while the gateway was starting, {problem}")

    def _count(self, told: ReplayResult) -> None:
        results = {"told": told.instances, "held": len(told.held), "lost": len(told.lost), "refused": told.refused}
        for result, number in results.items():
            if number:
                self._meter.count(TOLD_AGAIN, number, result=result)

    async def close(self) -> None:
        """Commit what waits, then give the spool back. Later calls raise JournalClosed."""
        if self._problem == "not started" or self._problem == "closed":
            return
        self._problem = "closed"
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        await self._end_committer()
        await self._loop.run_in_executor(self._reading, self._reader.close)
        await self._loop.run_in_executor(None, self._stop_threads)
        self._store.close()
        if not self._failure.done():
            self._failure.set_result(None)

    def _stop_threads(self) -> None:
        self._workers.shutdown()
        self._digesting.shutdown()
        self._reading.shutdown()

    def health(self) -> str:
        """Empty when commits go on; else what is wrong."""
        return self._problem

    def refusal(self) -> str:
        """Why no objects are taken though the journal works; empty when they are."""
        return self._store.presence.problem if self._problem == "" else ""

    def shortages(self) -> Mapping[str, str]:
        """Place → why there is no room for objects; empty when there is. About a second old at most."""
        found = {}
        try:
            self._store.room.check()
        except SpoolFull as error:
            found["spool"] = str(error)
        if shortage := self._queue_room.shortage:
            found["database"] = shortage
        return found

    def write_problems(self) -> Mapping[str, str]:
        """Place → why writing to it failed last; empty while all goes well."""
        return {str(place): reason for place, reason in self.writing.problems.items()}

    @property
    def forgotten_early(self) -> int:
        """Instances that went before their retention was over, for want of room, since the start."""
        return 0 if self._problem else self._housekeeping.forgotten_early

    @property
    def spool_id(self) -> str:
        """The identity of the spool; empty before the start."""
        return "" if self._problem else self._store.spool_id

    def moved_queue(self) -> str:
        """Why the queue's file is not the one that was opened at the start; empty when it is. Any thread."""
        return self._moved_queue()

    async def failed(self) -> None:
        """Wait until the journal breaks, and raise why: the process must end then, nothing more can be promised.

        Returns when the journal was closed in order.
        """
        await asyncio.shield(self._failure)

    # --- the port -----------------------------------------------------------------------------------------------

    @property
    def is_in_turn(self) -> bool:
        """See `Journal`: a group alone among larger ones says nothing."""
        return self._lone_groups >= LONE_GROUPS

    def receiver(self) -> DataSetReceiver:
        """For one incoming data set. Raises SpoolFull below `min_free`."""
        self._check()
        self._store.presence.check()
        self._store.room.check()
        return Receiver(self._reception)

    async def commit(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Instance:
        """Return only when payload, instance and deliveries are on disk. Raises SpoolFull."""
        self._check_room()
        small = self._small(body, edited)
        if small is not None:
            stored: Instance = await self._submit(
                self._acceptance(instance, dispatches, self._loop.create_future(), *small)
            )
            return stored
        file = await self._file(body, edited)
        return await self._commit_file(
            Acceptance(self._loop.create_future(), instance=instance, dispatches=dispatches), file
        )

    def commit_soon(
        self,
        instance: Instance,
        body: EncodedDataSet,
        edited: Sequence[bytes | memoryview] | None,
        dispatches: Sequence[Dispatch],
    ) -> Completion[Instance] | None:
        """As `commit`, begun at once and without a task; None for what goes into a file. Raises SpoolFull."""
        self._check_room()
        small = self._small(body, edited)
        if small is None:
            return None
        completion: Completion[Instance] = Completion()
        self._hand_in(self._acceptance(instance, dispatches, completion, *small))
        return completion

    async def claim(self, destination: str, limit: int, lease_s: float, apart: Apart | None = None) -> list[Delivery]:
        request = ClaimRequest(
            self._loop.create_future(), destination=destination, limit=limit, lease_s=lease_s, apart=apart
        )
        claimed: list[Delivery] = await self._submit(request)
        return claimed

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        held: list[bool] = await self._submit(Settling(self._loop.create_future(), settlements=settlements))
        return held

    async def next_due(self, destination: str) -> datetime | None:
        return await self._read(lambda reader: reader.deliveries.next_due(destination))

    async def depths(self) -> list[QueueDepth]:
        return await self._read(lambda reader: reader.deliveries.depths())

    def open(self, payload: PayloadRef) -> EncodedDataSet:
        """The stored bytes. Raises PayloadLost, or Temporary when they cannot be read now."""
        return self._store.open(payload)

    def open_cached(self, payload: PayloadRef) -> EncodedDataSet | None:
        """As `open`, when nobody has to wait for the disk; else None. Raises PayloadLost."""
        return self._store.open_cached(payload)

    def subscribe(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    def subscribe_to_operators(self, listener: Callable[[str], None]) -> None:
        self._operator_listeners.append(listener)

    # --- committing ---------------------------------------------------------------------------------------------

    def _check_room(self) -> None:
        """Raises SpoolFull when nothing is taken."""
        self._check()
        self._store.presence.check()
        self._store.room.check()
        self._queue_room.check()

    def _small(
        self, body: EncodedDataSet, edited: Sequence[bytes | memoryview] | None
    ) -> tuple[Sequence[Buffer], int] | None:
        """Pieces for the segment and their length; None for what goes into a file of its own."""
        if edited is None and isinstance(body, ReceivedFile):
            return None
        size_bytes = body.length_bytes if edited is None else sum(map(len, edited))
        if size_bytes > self._spool.large_object_bytes:
            return None
        return list(_pieces(body, edited)), size_bytes

    def _acceptance(
        self,
        instance: Instance,
        dispatches: Sequence[Dispatch],
        done: asyncio.Future[Any] | Completion[Any],
        pieces: Sequence[Buffer],
        size_bytes: int,
    ) -> Acceptance:
        """Of what goes into the segment."""
        request = Acceptance(done, instance=instance, dispatches=dispatches, pieces=pieces, size_bytes=size_bytes)
        if size_bytes >= DIGEST_ASIDE_BYTES:
            request.digest = self._digesting.submit(digest_of, pieces)
        return request

    async def _file(self, body: EncodedDataSet, edited: Sequence[bytes | memoryview] | None) -> LargeFile:
        """A large file that this commit holds."""
        if edited is None and isinstance(body, ReceivedFile):
            body.file.retain()
            return body.file
        file = self._store.new_file()
        copying = self._loop.run_in_executor(self._workers, file.write_from, flat(_pieces(body, edited), body))
        await _whole(copying, file)
        return file

    async def _commit_file(self, request: Acceptance, file: LargeFile) -> Instance:
        """Make the file durable off the group's path, then commit its name."""
        assert request.instance is not None
        transfer_syntax_uid = request.instance.transfer_syntax_uid
        sealing = self._loop.run_in_executor(self._workers, file.seal, transfer_syntax_uid)
        try:
            request.payload = await _whole(sealing, file)
        except SpoolFull as error:
            self._store.room.invalidate()
            if not isinstance(error, NotInPlace):
                self.writing.failed("spool", str(error))
            raise
        request.file = file
        stored: Instance = await self._submit(request)
        return stored

    async def _submit(self, request: CommitRequest) -> Any:
        self._hand_in(request)
        assert isinstance(request.done, asyncio.Future)
        return await request.done

    def _hand_in(self, request: CommitRequest) -> None:
        """Raises JournalClosed."""
        if self._problem:
            self._let_go(request)
            self._check()
        self._unfinished.add(request)
        self._committer.submit(request)

    def _check(self) -> None:
        if self._problem:
            raise self._closed()

    def _closed(self) -> JournalClosed:
        return JournalClosed(f"spool {self._spool.path}: {self._problem}; send again after the restart")

    def _finish(self, group: CommitGroup | None) -> None:
        """On the event loop, once a group."""
        if group is None:
            self._committer_ended()
            return
        woken: set[str] = set()
        accepted = 0
        for request in group.requests:
            self._unfinished.discard(request)
            if isinstance(request, Acceptance):
                accepted += request.error is None
                self._let_go(request)
                if request.error is None and request.accepted is not None and request.accepted.deliveries:
                    woken |= {
                        dispatch.destination
                        for dispatch in request.dispatches
                        if dispatch.state is DeliveryState.PENDING
                    }
            _settle_future(request.done, request.answer, request.error)
        if accepted:
            self._accepted_at_s = self._monotonic()
            self._lone_groups = self._lone_groups + 1 if accepted == 1 else 0
            self._meter.observe("gateway_commit_seconds", group.duration_s)
            self._meter.observe("gateway_commit_instances", accepted)
        _tell(self._listeners, woken)

    def _let_go(self, request: CommitRequest) -> None:
        """The commit holds its large file no more; a committed row does, when there is one."""
        if not isinstance(request, Acceptance) or request.file is None:
            return
        if request.accepted is not None and request.error is None and request.accepted.payload is None:
            self._store.adopt(request.file)
        request.file.release()
        request.file = None

    def _committer_ended(self) -> None:
        self._ended.set()
        if self._problem == "closed" and self._committer.failure is None:
            return
        error = self._committer.failure or RuntimeError("the committer thread ended")
        self._break(error)
        for request in list(self._unfinished):
            self._let_go(request)
            _settle_future(request.done, None, self._closed())
        self._unfinished.clear()

    def _break(self, error: BaseException) -> None:
        self._problem = self._problem or f"broken: {type(error).__name__}: {error}"
        if self._failure.done():
            return
        failure = self._closed()
        failure.__cause__ = error
        self._failure.set_exception(failure)
        self._failure.exception()  # seen: `failed` raises it to whoever waits

    def _is_idle(self) -> bool:
        """True when nobody has sent anything for a moment."""
        return self._monotonic() - self._accepted_at_s >= IDLE_S

    # --- the store, for operators ---------------------------------------------------------------------------------

    async def read(self, function: Callable[[Store], T]) -> T:
        """The answer of `function` to the reading connection: no commit waits for it. See `StoreAccess`."""
        return await self._read(function)

    async def write(self, function: Callable[[Store], T]) -> T:
        """The answer of `function` in the next group's transaction. Couriers hear of it as of another process's."""
        answer = await self._call(function)
        _tell(self._operator_listeners, set(await self._read(lambda store: store.deliveries.pending_destinations())))
        return answer

    async def sync(self) -> None:
        """All that was committed before is on disk."""
        await self._call(lambda store: store.sync())

    # --- reading and housekeeping -------------------------------------------------------------------------------

    async def _read(self, function: Callable[[Store], T]) -> T:
        """Ask the reading connection in its own thread, so that no commit waits for it."""
        self._check()
        return await self._loop.run_in_executor(self._reading, function, self._reader)

    async def _call(self, function: Callable[[Store], T]) -> T:
        """Run `function` in the committer's thread, inside its transaction."""
        answer: T = await self._submit(Call(self._loop.create_future(), function=function))
        return answer

    async def sweep(self, *, is_low: bool = False) -> int:
        """Delete files that nothing names, now; how many."""
        return await self._housekeeping.sweep(is_low=is_low)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        if keeper.cancelled() or self._problem:
            return
        error = keeper.exception()
        self._break(error or RuntimeError("housekeeping ended"))


def _tell(listeners: Sequence[Callable[[str], None]], destinations: set[str]) -> None:
    for destination in destinations:
        for listener in listeners:
            listener(destination)


async def _whole(work: asyncio.Future[T], file: LargeFile) -> T:
    """The result of work on a file; without one the file is let go, when cancelled only after the work has ended."""
    try:
        return await asyncio.shield(work)
    except BaseException:
        work.add_done_callback(lambda done: _drop(done, file))
        raise


def _drop(work: asyncio.Future[T], file: LargeFile) -> None:
    if not work.cancelled():
        work.exception()  # seen
    file.release()


def _pieces(body: EncodedDataSet, edited: Sequence[bytes | memoryview] | None) -> Iterable[memoryview | bytes]:
    return body.chunks(COPY_BYTES) if edited is None else slices(edited, COPY_BYTES)


def _settle_future(future: asyncio.Future[Any] | Completion[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        return
    future.set_result(answer)
