"""The index as coroutines: the `Index` port on queues that are opened for reading, each in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Generic, TypeVar

from gateway.model.instance import Instance
from gateway.model.query import Attributes, Query
from gateway.ports.delivery_queue import Queue
from gateway.ports.errors import Temporary

BATCH = 128
"""Matches that are read at once: what a consumer that waits for its peer keeps in memory."""
THREADS = 2
"""Queries that are worked on at a time; a long one does not stand in the way of all others."""

T = TypeVar("T")


class IndexReader:
    """Reads what was committed; commits never wait for it, nor it for them (WAL).

    `open_queue` is called once a thread, when it is first needed. `moved` says why its file is not the gateway's own
    any more, empty while it is: another file knows nothing of what the gateway holds, and would say that there is
    nothing.
    """

    def __init__(self, open_queue: Callable[[], Queue], moved: Callable[[], str] = lambda: "") -> None:
        self._open_queue = open_queue
        self._moved = moved
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="index-reader")
        self._here = threading.local()
        self._opened: list[Queue] = []

    async def find(self, query: Query, limit: int = 0) -> AsyncGenerator[Sequence[Attributes]]:
        """Matches in batches of up to `BATCH`, in a stable order. Nothing is open between two batches: who takes his
        time holds no snapshot.

        Raises:
            Temporary: the index cannot be read now.
        """
        keys = await self._ask(lambda queue: queue.find(query, limit))
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            yield await self._ask(lambda queue, some=some: queue.matches(query, some))  # type: ignore[misc]

    async def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits, in a stable order."""
        return await self._ask(lambda queue: queue.find_instances(query))

    async def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """These instances, in order; what was forgotten meanwhile is left out."""
        return await self._ask(lambda queue: queue.instances(instance_ids))

    async def close(self) -> None:
        """Interrupt what runs, and close."""
        for queue in self._opened:
            queue.interrupt()
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for queue in self._opened:
            queue.close()

    async def _ask(self, function: Callable[[Queue], T]) -> T:
        """Run `function` in a reading thread; a caller that is cancelled ends the statement that runs for it."""
        job = _Job(function)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, job.run, self._queue)
        except RuntimeError:
            raise Temporary("the index is closed") from None
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
            job.cancel()
            raise

    def _queue(self) -> Queue:
        """This thread's."""
        if problem := self._moved():
            raise Temporary(f"the index cannot be read: {problem}")
        queue: Queue | None = getattr(self._here, "queue", None)
        if queue is None:
            queue = self._here.queue = self._open_queue()
            self._opened.append(queue)
        return queue


class _Job(Generic[T]):
    """One question to one queue. It can be cancelled while it runs, and only then."""

    def __init__(self, function: Callable[[Queue], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._running: Queue | None = None

    def run(self, open_queue: Callable[[], Queue]) -> T:
        queue = open_queue()
        with self._lock:
            if self._is_cancelled:
                raise concurrent.futures.CancelledError
            self._running = queue
        try:
            return self._function(queue)
        finally:
            with self._lock:
                self._running = None

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._running is not None:
                self._running.interrupt()
