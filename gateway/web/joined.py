"""Work that many callers may need at once, and that is done once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TooManyWaiting(Exception):
    """The call is refused: the greatest allowed number waits for the same result already."""


class Joined(Generic[T]):
    """Runs `work` one at a time; all callers that come while it runs share the next run, which begins after they came.

    Args:
        work: may raise; all callers that wait for that run get the error.
        most: how many may wait.
    """

    def __init__(self, work: Callable[[], Awaitable[T]], most: int) -> None:
        self._work = work
        self._most = most
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None
        self._waiting = 0

    async def __call__(self) -> T:
        """The result of a run that began after this call.

        Raises:
            TooManyWaiting: `most` wait already.
        """
        if self._waiting >= self._most:
            raise TooManyWaiting(f"{self._waiting} requests wait for the same")
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._run(self._running))
            self._next.add_done_callback(_retrieve)
        self._waiting += 1
        try:
            return await asyncio.shield(self._next)  # the others go on waiting when one of them is gone
        finally:
            self._waiting -= 1

    async def _run(self, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        return await self._work()


def _retrieve(task: asyncio.Task[T]) -> None:
    """Retrieve the exception of a task that no caller may be waiting for any more."""
    if not task.cancelled():
        task.exception()
