"""Bounded work in threads, fairly among hosts: a flood from one host makes another wait for one piece of work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from gateway.identity.values import NotVerifiable

T = TypeVar("T")

MOST_WAITING = 256
MOST_WAITING_PER_HOST = 16
NICENESS = 10
"""Niceness of the threads: the associations' need of the processor comes first."""


class FairThreads:
    """Runs functions in daemon threads, `at_once` of them; hosts that wait take turns.

    A host that waits with too many is refused. When too many wait in all, the host that has most gives up its last.
    """

    def __init__(
        self, at_once: int, *, most_waiting: int = MOST_WAITING, most_per_host: int = MOST_WAITING_PER_HOST
    ) -> None:
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._most_per_host = most_per_host
        self._running = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def running(self) -> int:
        """Threads at work."""
        return self._running

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(map(len, self._waiting.values()))

    async def run(self, host: str, function: Callable[[], T]) -> T:
        """Run `function` in a thread, and return or raise its outcome. When the caller is cancelled the thread ends by
        itself; its place is free only then.

        Raises:
            NotVerifiable: too many wait.
        """
        await self._turn(host)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        outcome.add_done_callback(_retrieve)
        threading.Thread(target=self._work, args=(loop, outcome, function), name="user-identity", daemon=True).start()
        return await asyncio.shield(outcome)

    async def _turn(self, host: str) -> None:
        if self._running < self._at_once and not self._waiting:
            self._running += 1
            return
        queue = self._waiting.get(host, ())
        if len(queue) >= self._most_per_host:
            raise NotVerifiable("too many user identities of this host wait to be verified")
        if self.waiting >= self._most_waiting:
            self._make_room(len(queue))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(host, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._released()  # the turn had come
            else:
                self._leave(host, turn)
            raise

    def _make_room(self, count: int) -> None:
        """Make room for a host with `count` waiting: the last one of the host that has most more goes."""
        host = max(self._waiting, key=lambda name: len(self._waiting[name]))
        if len(self._waiting[host]) <= count + 1:
            raise NotVerifiable("too many user identities wait to be verified")
        turn = self._waiting[host][-1]
        self._leave(host, turn)
        if not turn.done():
            turn.set_exception(NotVerifiable("too many user identities wait to be verified"))

    def _leave(self, host: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting.get(host)
        if queue is None:
            return
        with contextlib.suppress(ValueError):
            queue.remove(turn)
        if not queue:
            del self._waiting[host]

    def _released(self) -> None:
        """A place is free: the host that waited longest since its last turn has it."""
        while self._waiting:
            host, queue = next(iter(self._waiting.items()))
            turn = queue.popleft()
            del self._waiting[host]
            if queue:
                self._waiting[host] = queue  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    def _work(self, loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], function: Callable[[], T]) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        settle: Callable[[], Any]
        try:
            settle = partial(outcome.set_result, function())
        except BaseException as error:
            settle = partial(outcome.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._ended, outcome, settle)

    def _ended(self, outcome: asyncio.Future[Any], settle: Callable[[], Any]) -> None:
        self._released()
        if not outcome.done():
            settle()


def _retrieve(outcome: asyncio.Future[Any]) -> None:
    """Retrieve the exception of an outcome whose caller may be gone."""
    if not outcome.cancelled():
        outcome.exception()
