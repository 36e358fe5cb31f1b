"""Time limits of sources.

A limit measures the source, neither how busy this machine is nor how many queries we send it:

- Time is counted in steps. One that took longer than it should, since this process did not get to run, counts as one.
- While the source works for other queries of ours, as its answers to them show, or is held up by them, our turn may
  come later: such time counts too, but against a limit that is `MOST_LIMITS` times as long.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator

STEPS = 10
"""The number of steps in which one limit is counted."""
MOST_LIMITS = 6
SLACK = 1.5
"""The most that one step counts, in step lengths."""
A_DAY_S = 86400.0
"""The limit of a single wait: the clock ends it much earlier."""


class OpenConversations:
    """The conversations with one source that go on now."""

    def __init__(self) -> None:
        self.open: set[SourceClock] = set()


class Budget:
    """The rest of a time limit. Pure: the time is an argument."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.step_s = limit_s / STEPS
        self._spent_s = 0.0
        self._excused_s = 0.0
        self._last_s: float | None = None

    def begin(self, now_s: float) -> None:
        """Count time from now on."""
        self._last_s = now_s

    def count(self, now_s: float, *, is_excused: bool) -> None:
        """Called at least once a step."""
        if self._last_s is None:
            return
        passed_s = min(max(now_s - self._last_s, 0.0), self.step_s * SLACK)
        self._last_s = now_s
        if is_excused:
            self._excused_s += passed_s
        else:
            self._spent_s += passed_s

    def renew(self) -> None:
        """Start again with the whole limit."""
        self._spent_s = self._excused_s = 0.0

    @property
    def is_over(self) -> bool:
        """True when the limit is reached."""
        return self._spent_s >= self.limit_s or self._excused_s >= self.limit_s * MOST_LIMITS


class SourceClock:
    """The clock of one conversation with a source; time that the reader of its answers needs is not counted."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._budget = Budget(limit_s)
        self._budget.begin(self._loop.time())
        self._answered_s = -math.inf
        self._holds = 0
        self._conversations = OpenConversations()

    def join(self, conversations: OpenConversations) -> None:
        """The conversation is one of these."""
        self._conversations = conversations
        conversations.open.add(self)

    def leave(self) -> None:
        """The conversation has ended."""
        self._conversations.open.discard(self)

    def answered(self) -> None:
        """The source sent a response."""
        self._answered_s = self._loop.time()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """A context without counting: the source waits for us."""
        self._count()
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self.answered()
            self._budget.begin(self._answered_s)

    @property
    def is_excused(self) -> bool:
        """True while the source works for other queries of ours, or waits for them."""
        since_s = self._loop.time() - self.limit_s
        return any(
            other._holds or other._answered_s > since_s for other in self._conversations.open if other is not self
        )

    @property
    def is_over(self) -> bool:
        """True when the source kept us waiting for too long, all in all."""
        self._count()
        return self._budget.is_over

    def _count(self) -> None:
        if not self._holds:
            self._budget.count(self._loop.time(), is_excused=self.is_excused)

    @contextlib.asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """A context in which we wait for the source. Raises TimeoutError when that takes too long, all in all."""
        timers: list[asyncio.TimerHandle] = []
        async with asyncio.timeout(None) as scope:

            def look() -> None:
                if self.is_over:
                    scope.reschedule(self._loop.time())
                else:
                    timers[:] = [self._loop.call_later(self._budget.step_s, look)]

            timers.append(self._loop.call_later(self._budget.step_s, look))
            try:
                yield
            finally:
                timers[0].cancel()
