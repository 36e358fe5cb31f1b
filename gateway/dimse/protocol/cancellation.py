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
        self._loop = asyncio.get_running_loop()
        self.scope: asyncio.Timeout | None = None
        """The timeout of the wait inside `guard`."""
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
        return max(0.0, self.deadline_s - self._loop.time())

    async def until_cancelled(self) -> None:
        """Return when a C-CANCEL came."""
        await self._cancelled.wait()

    def cancel(self) -> None:
        """A C-CANCEL came."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            self._expire_at(self._loop.time() + CANCEL_GRACE_S)

    def end(self, reason: str) -> None:
        """End the operation: no answer is waited for any more."""
        if self.ended is None:
            self.ended = reason
            self._expire_at(self._loop.time())

    def _expire_at(self, when_s: float) -> None:
        self.deadline_s = when_s if self.deadline_s is None else min(self.deadline_s, when_s)
        if self.scope is not None:
            self.scope.reschedule(self.deadline_s)

    def guard(self) -> CancellationGuard:
        """A context whose waits are cancelled when the operation is cut short.

        Raises:
            Interrupted: it was.
        """
        return CancellationGuard(self)


class CancellationGuard:
    """One use of `OperationScope.guard`; a class, for it is entered for every yield of a handler."""

    __slots__ = ("_scope", "_watch")

    def __init__(self, watch: OperationScope) -> None:
        self._watch = watch
        self._scope = asyncio.timeout_at(watch.deadline_s)

    async def __aenter__(self) -> None:
        if self._watch.ended is not None:
            raise Interrupted
        await self._scope.__aenter__()
        self._watch.scope = self._scope

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.scope = None
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            raise Interrupted from None
        if self._scope.expired():
            raise Interrupted
