"""Taking the fragments of one incoming data set: in memory while it is small, in a file from then on."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.common.buffer import Buffer
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import ObjectTooLarge, SpoolFull
from gateway.spool.arriving import HEAD_BYTES, ArrivingObjects
from gateway.spool.body import InMemoryDataSet
from gateway.spool.free_space import FreeSpace
from gateway.spool.large import LargeFile

MEMORY_BYTES = 256 * 1024**2
"""The greatest amount of memory for all objects in flight; beyond it small ones go to files too."""

BATCH_BYTES = 512 * 1024
"""The bytes of a large object that are gathered before they are written in a worker thread."""

SMALL_BATCH_BYTES = 64 * 1024
"""The same when memory is short."""

SMALL_FRAGMENT_BYTES = 4096
"""Fragments below this are joined as they come: a chunk each would cost more than their bytes."""

JOINED_BYTES = 64 * 1024

KEPT_SHARE = 8
"""A fragment of this share of the bytes that it lies in is kept as it is, when they never change."""


class MemoryBudget:
    """Bytes that objects in flight hold; on the event loop alone."""

    def __init__(self, limit_bytes: int = MEMORY_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """True and counted when there is room for it."""
        if self.held_bytes + size_bytes > self.limit_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """The configuration that all receivers of one spool share."""

    object_bytes: int
    """Limit of one object."""
    large_object_bytes: int
    """Above this it goes to a file."""
    budget: MemoryBudget
    room: FreeSpace
    new_file: Callable[[], LargeFile]
    workers: concurrent.futures.Executor
    arriving: ArrivingObjects = field(default_factory=ArrivingObjects)


class Receiver:
    """The `DataSetReceiver` port. Used on the event loop."""

    __slots__ = (
        "_batch_bytes",
        "_chunks",
        "_file",
        "_head",
        "_held_bytes",
        "_length_bytes",
        "_pending_bytes",
        "_shared",
        "_task",
    )

    def __init__(self, shared: ReceiverConfig) -> None:
        self._shared = shared
        self._chunks: list[Buffer] = []
        self._length_bytes = 0
        self._held_bytes = 0
        self._file: LargeFile | None = None
        self._batch_bytes = BATCH_BYTES
        self._pending_bytes = 0
        self._task: concurrent.futures.Future[None] | None = None
        self._head = b""
        """Once it goes to a file."""

    def head(self) -> bytes:
        """Its first bytes."""
        return self._head or _first(self._chunks)

    def write(self, fragment: memoryview) -> Awaitable[None] | None:
        """Keep a copy of `fragment`; an awaitable while a worker thread writes.

        Raises:
            SpoolFull: no room.
            ObjectTooLarge: over the limit.
        """
        size_bytes = len(fragment)
        if not self._length_bytes:
            self._shared.arriving.add(self)
        self._length_bytes += size_bytes
        if self._length_bytes > self._shared.object_bytes:
            self.discard()
            raise ObjectTooLarge(f"an object over {self._shared.object_bytes} bytes; raise the limit to take it")
        self._keep(fragment)
        if self._file is None:
            if self._length_bytes <= self._shared.large_object_bytes and self._shared.budget.take(size_bytes):
                self._held_bytes += size_bytes
                return None
            self._begin_file()
            return None
        self._pending_bytes += size_bytes
        return self._write_batch() if self._pending_bytes >= self._batch_bytes else None

    def finish(self) -> EncodedDataSet:
        """All fragments are there.

        Raises SpoolFull when the object could not be kept.
        """
        self._shared.arriving.remove(self)
        if self._file is None:
            held_bytes, self._held_bytes = self._held_bytes, 0
            budget = self._shared.budget
            return InMemoryDataSet(self._chunks, lambda: budget.give_back(held_bytes))
        if self._task is not None:
            self._task.result()  # done, when every awaitable was awaited
            self._task = None
        file = self._file
        file.write_last(self._chunks)
        self._chunks = []
        if file.error is not None:
            self._fail(file.error)
        self._give_back()
        self._file = None
        return file.body()

    def discard(self) -> None:
        """Free what was kept."""
        self._shared.arriving.remove(self)
        self._chunks = []
        self._give_back()
        file, self._file = self._file, None
        if file is None:
            return
        if self._task is None or self._task.done():
            file.release()
            return
        loop = asyncio.get_running_loop()
        self._task.add_done_callback(lambda _: loop.call_soon_threadsafe(file.release))

    # --- keeping ------------------------------------------------------------------------------------------------

    def _keep(self, fragment: memoryview) -> None:
        if isinstance(fragment.obj, bytes) and KEPT_SHARE * len(fragment) >= len(fragment.obj):
            self._chunks.append(fragment)
            return
        if len(fragment) >= SMALL_FRAGMENT_BYTES:
            self._chunks.append(bytes(fragment))
            return
        last = self._chunks[-1] if self._chunks else None
        if isinstance(last, bytearray) and len(last) < JOINED_BYTES:
            last += fragment
            return
        self._chunks.append(bytearray(fragment))

    def _begin_file(self) -> None:
        self._give_back()
        self._head = _first(self._chunks)
        self._file = self._shared.new_file()
        self._pending_bytes = sum(map(len, self._chunks))
        held_bytes = 2 * BATCH_BYTES  # one batch on its way to the disk, one that gathers
        if self._shared.budget.take(held_bytes):
            self._held_bytes = held_bytes
            return
        self._batch_bytes = SMALL_BATCH_BYTES

    def _write_batch(self) -> Awaitable[None] | None:
        assert self._file is not None
        if self._task is not None and not self._task.done():
            return _until_done(self._task)
        if self._file.error is not None:
            self._fail(self._file.error)
        try:
            self._shared.room.check()
        except SpoolFull as error:
            self._fail(error)
        batch, self._chunks, self._pending_bytes = self._chunks, [], 0
        self._task = self._shared.workers.submit(self._file.write, batch)
        return _until_done(self._task)

    def _fail(self, error: SpoolFull) -> None:
        self._shared.room.invalidate()
        self.discard()
        raise SpoolFull(str(error)) from error

    def _give_back(self) -> None:
        self._shared.budget.give_back(self._held_bytes)
        self._held_bytes = 0


def _first(chunks: Sequence[Buffer]) -> bytes:
    """The first of these bytes."""
    head = b""
    for chunk in chunks:
        if len(head) >= HEAD_BYTES:
            break
        head += bytes(memoryview(chunk)[: HEAD_BYTES - len(head)])
    return head


def _until_done(task: concurrent.futures.Future[None]) -> Awaitable[None]:
    """Cancelling who waits does not cancel the write."""
    return asyncio.shield(asyncio.wrap_future(task))
