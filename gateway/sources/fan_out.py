"""Several sources asked at the same time; whoever answers is heard at once."""

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


AskSource = Callable[[], AsyncGenerator[Sequence[T]]]
"""Gives answers in batches; what it raises ends it."""


class BackgroundTasks:
    """Tasks that come to an end by themselves, after whoever started them has gone."""

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
    source's last word is waited for in the background.

    Args:
        asks: what to do, by rank.
        background: where tasks end that are not needed any more.
        is_stopped: once it is set, nothing is waited for.
    """

    def __init__(
        self, asks: Mapping[int, AskSource[T]], background: BackgroundTasks, is_stopped: asyncio.Event
    ) -> None:
        self._asks = asks
        self._background = background
        self._is_stopped = is_stopped
        self._heard: asyncio.Queue[SourceEvent[T] | None] = asyncio.Queue(MOST_AHEAD)
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> FanOut[T]:
        loop = asyncio.get_running_loop()
        for rank, ask in self._asks.items():
            task = loop.create_task(self._hear(rank, ask))
            self._running.append(task)
            self._background.add(task)
        self._running.append(loop.create_task(self._stop()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()

    async def next(self, until_s: float | None = None) -> SourceEvent[T] | None:
        """The next thing that happens; None at `until_s` of the loop's clock, and when it is stopped."""
        if not self._heard.empty():
            return self._heard.get_nowait()
        try:
            async with asyncio.timeout_at(until_s):
                return await self._heard.get()
        except TimeoutError:
            return None

    async def _stop(self) -> None:
        await self._is_stopped.wait()
        await self._heard.put(None)

    async def _hear(self, rank: int, ask: AskSource[T]) -> None:
        error: Exception | None = None
        try:
            async with aclosing(ask()) as batches:
                async for batch in batches:
                    await self._heard.put(SourceEvent(rank, batch))
        except Exception as failure:  # told to whoever listens, who would wait for ever otherwise
            error = failure
        await self._heard.put(SourceEvent(rank, has_ended=True, error=error))
