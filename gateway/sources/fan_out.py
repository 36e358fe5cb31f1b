"""Several sources queried at the same time; their events come in the order in which they happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_AHEAD = 64
"""Batches that wait to be taken before the sources have to."""
END_S = 3.0


@dataclass(frozen=True, slots=True)
class SourceEvent(Generic[T]):
    """One event of one source."""

    rank: int
    """The rank of the source."""
    answers: Sequence[T] = ()
    has_ended: bool = False
    error: Exception | None = None
    """The error that ended it; None for an orderly end."""


QueryAnswers = Callable[[], AsyncGenerator[Sequence[T]]]
"""Gives answers in batches; an error ends it."""


class BackgroundTasks:
    """Tasks that come to an end by themselves, after the code that started them has gone on."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, task: asyncio.Task[None]) -> None:
        """Keep it until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, limit_s: float = END_S) -> None:
        """Cancel all and see them end."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)


class FanOut(Generic[T]):
    """One task a source. Leaving the block cancels what still runs, and does not wait: a C-CANCEL goes out at once, the
    source's final response is waited for in the background.

    Args:
        queries: the queries by rank.
        background: keeps tasks that are not needed any more until they end.
        is_stopped: once it is set, nothing is waited for.
    """

    def __init__(
        self, queries: Mapping[int, QueryAnswers[T]], background: BackgroundTasks, is_stopped: asyncio.Event
    ) -> None:
        self._queries = queries
        self._background = background
        self._is_stopped = is_stopped
        self._events: asyncio.Queue[SourceEvent[T] | None] = asyncio.Queue(MOST_AHEAD)
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> FanOut[T]:
        loop = asyncio.get_running_loop()
        for rank, query in self._queries.items():
            task = loop.create_task(self._forward(rank, query))
            self._running.append(task)
            self._background.add(task)
        self._running.append(loop.create_task(self._stop()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()

    async def next(self, until_s: float | None = None) -> SourceEvent[T] | None:
        """The next event; None at `until_s` of the loop's clock, and when it is stopped."""
        if not self._events.empty():
            return self._events.get_nowait()
        try:
            async with asyncio.timeout_at(until_s):
                return await self._events.get()
        except TimeoutError:
            return None

    async def _stop(self) -> None:
        await self._is_stopped.wait()
        await self._events.put(None)

    async def _forward(self, rank: int, query: QueryAnswers[T]) -> None:
        error: Exception | None = None
        try:
            async with aclosing(query()) as batches:
                async for batch in batches:
                    await self._events.put(SourceEvent(rank, batch))
        except Exception as failure:  # the reader gets it, and would wait for ever otherwise
            error = failure
        await self._events.put(SourceEvent(rank, has_ended=True, error=error))
