"""The events that cut a running operation short: C-CANCEL, A-RELEASE, A-ABORT, a lost connection."""

from __future__ import annotations

import asyncio
from types import TracebackType

CANCEL_GRACE_S = 0.5
"""The time in which a handler may end by itself after a C-CANCEL."""


class Interrupted(Exception):
    """The operation ends before its handler does; its `OperationScope` says why."""


class OperationScope:
    """The scope of one operation. The association calls `cancel` and `end`; the engine waits inside `guard`."""

    def __init__(self, *, is_cancelled: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.guarded: CancellationGuard | None = None
        """The guard that somebody waits inside of."""
        self._cancelled = asyncio.Event()
        self.deadline_s: float | None = None
        self.ended: str | None = None
        """The reason why no answer is waited for any more."""
        if is_cancelled:
            self.cancel()

    @property
    def is_cancelled(self) -> bool:
        """True once a C-CANCEL came; may be asked in any thread, as often as one likes."""
        return self._cancelled.is_set()

    @property
    def is_interrupted(self) -> bool:
        """True once a C-CANCEL came or no answer is waited for any more."""
        return self.ended is not None or self._cancelled.is_set()

    @property
    def grace_left_s(self) -> float:
        """The time that work may go on: 0 when no answer is waited for; endless as long as nothing happened."""
        if self.deadline_s is None:
            return float("inf")
        return max(0.0, self.deadline_s - self.loop.time())

    async def until_cancelled(self) -> None:
        """Return when a C-CANCEL came."""
        await self._cancelled.wait()

    def cancel(self) -> None:
        """A C-CANCEL came."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            self._expire_at(self.loop.time() + CANCEL_GRACE_S)

    def end(self, reason: str) -> None:
        """End the operation: no answer is waited for any more."""
        if self.ended is None:
            self.ended = reason
            self._expire_at(self.loop.time())

    def _expire_at(self, when_s: float) -> None:
        self.deadline_s = when_s if self.deadline_s is None else min(self.deadline_s, when_s)
        if self.guarded is not None:
            self.guarded.expire_at(self.deadline_s)

    def guard(self) -> CancellationGuard:
        """A context whose waits are cancelled when the operation is cut short.

        Raises:
            Interrupted: it was.
        """
        return CancellationGuard(self)


class CancellationGuard:
    """One use of `OperationScope.guard`: `asyncio.Timeout` whose time limit comes later, if at all. It is entered twice
    for every yield of a handler, so it costs nothing until the operation is cut short.
    """

    __slots__ = ("_expiry", "_is_expired", "_task", "_watch")

    def __init__(self, watch: OperationScope) -> None:
        self._watch = watch
        self._expiry: asyncio.Handle | None = None
        self._is_expired = False

    def __enter__(self) -> None:
        watch = self._watch
        if watch.ended is not None:
            raise Interrupted
        task = asyncio.current_task(watch.loop)
        assert task is not None
        self._task = task
        watch.guarded = self
        if watch.deadline_s is not None:
            self.expire_at(watch.deadline_s)

    def expire_at(self, when_s: float) -> None:
        """Cancel the waits at this time of the event loop."""
        if self._is_expired:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        loop = self._watch.loop
        is_due = when_s <= loop.time()
        self._expiry = loop.call_soon(self._expire) if is_due else loop.call_at(when_s, self._expire)

    def _expire(self) -> None:
        self._is_expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.guarded = None
        if self._expiry is None:
            return
        self._expiry.cancel()
        if self._is_expired:
            self._task.uncancel()
            raise Interrupted from None
