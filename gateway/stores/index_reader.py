"""The index as coroutines: the `Index` port on stores that are opened for reading, each in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gateway.model.instance import Instance
from gateway.model.query import Attributes, Query
from gateway.ports.errors import Temporary
from gateway.ports.store import Store

BATCH = 128
"""Matches that are read at once: what a consumer that waits for its peer keeps in memory."""
THREADS = 2
"""Queries that are worked on at a time; a long one does not stand in the way of all others."""

T = TypeVar("T")


async def recorded_already() -> None:
    """Every acknowledged instance is in the store."""


class IndexReader:
    """Reads what was acknowledged; commits never wait for it.

    `open_store` is called once a thread, when it is first needed. `moved` says why its file is not the gateway's own
    any more, empty while it is: another file knows nothing of what the gateway holds, and would say that there is
    nothing. `until_recorded` returns when the store knows what was acknowledged before; it raises Temporary. Each
    question waits for it; what a question has found is read without it.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        moved: Callable[[], str] = lambda: "",
        until_recorded: Callable[[], Awaitable[None]] = recorded_already,
    ) -> None:
        self._open_store = open_store
        self._moved = moved
        self._until_recorded = until_recorded
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="index-reader")
        self._here = threading.local()
        self._opened: list[Store] = []

    async def find(self, query: Query, limit: int = 0) -> AsyncGenerator[Sequence[Attributes]]:
        """Matches in batches of up to `BATCH`, in a stable order. Nothing is open between two batches: a slow reader
        holds no snapshot. One batch is read ahead, while the one before it is worked on.

        Raises:
            Temporary: the index cannot be read now.
        """
        await self._until_recorded()
        keys = await self._run(lambda store: store.index.find(query, limit))
        ahead: asyncio.Task[list[Attributes]] | None = None
        try:
            for start in range(0, len(keys), BATCH):
                batch = await (ahead or self._batch(query, keys, start))
                after = start + BATCH
                ahead = asyncio.create_task(self._batch(query, keys, after)) if after < len(keys) else None
                yield batch
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _batch(self, query: Query, keys: Sequence[int], start: int) -> list[Attributes]:
        some = keys[start : start + BATCH]
        return await self._run(lambda store: store.index.matches(query, some))

    async def find_instances(self, query: Query) -> Sequence[int]:
        """Identifiers of the instances below what fits, in a stable order."""
        await self._until_recorded()
        return await self._run(lambda store: store.index.find_instances(query))

    async def instances(self, instance_ids: Sequence[int]) -> list[Instance]:
        """The instances of these identifiers, in order; those forgotten meanwhile are left out."""
        return await self._run(lambda store: store.index.instances(instance_ids))

    async def close(self) -> None:
        """Interrupt what runs, and close."""
        for store in self._opened:
            store.interrupt()
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for store in self._opened:
            store.close()

    async def _run(self, function: Callable[[Store], T]) -> T:
        """Run `function` in a reading thread; a caller that is cancelled ends the statement that runs for it."""
        job = _Job(function)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, job.run, self._store)
        except RuntimeError:
            raise Temporary("the index is closed") from None
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
            job.cancel()
            raise

    def _store(self) -> Store:
        """The store of this thread."""
        if problem := self._moved():
            raise Temporary(f"the index cannot be read: {problem}")
        store: Store | None = getattr(self._here, "store", None)
        if store is None:
            store = self._here.store = self._open_store()
            self._opened.append(store)
        return store


class _Job(Generic[T]):
    """One query to one store. It can be cancelled while it runs, and only then."""

    def __init__(self, function: Callable[[Store], T]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._running: Store | None = None

    def run(self, open_store: Callable[[], Store]) -> T:
        store = open_store()
        with self._lock:
            if self._is_cancelled:
                raise concurrent.futures.CancelledError
            self._running = store
        try:
            return self._function(store)
        finally:
            with self._lock:
                self._running = None

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._running is not None:
                self._running.interrupt()
