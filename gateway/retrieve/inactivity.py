"""Time limits of a source: without a response, without an instance, and of one request in all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.sources.source_clock import Budget, SourceClock


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Time limits of one request to one source, in seconds."""

    silence_s: float
    """The longest time from one sign of life to the next."""
    progress_s: float = 300.0
    """The longest time without an instance, a part of one, or a changed counter: responses alone are no progress."""
    whole_s: float = 14_400.0
    """The limit of the whole request."""


class InactivityTimer:
    """A context manager: calls `late` once, with the reason, when a limit is reached. While we hold the source up
    ourselves (`held`), no time passes.

    Args:
        clock: of the conversation; its limit counts between two signs of life, be it a fragment of a data set.
        late: ends the waiting, e.g. by aborting the association.
        limits: the other limits; their `silence_s` is the clock's.
    """

    def __init__(self, clock: SourceClock, late: Callable[[str], None], limits: FetchLimits | None = None) -> None:
        limits = limits or FetchLimits(clock.limit_s)
        self._clock = clock
        self._silence = Budget(clock.limit_s)
        self._progress = Budget(limits.progress_s)
        self._whole = Budget(limits.whole_s)
        self._budgets = (self._silence, self._progress, self._whole)
        self._step_s = min(budget.step_s for budget in self._budgets)
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._holds = 0
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Something was heard."""
        self._clock.answered()
        self._silence.renew()
        self._silence.begin(self._loop.time())

    def progressed(self) -> None:
        """Something was heard, and it brought us on."""
        self.touch()
        self._progress.renew()
        self._progress.begin(self._loop.time())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While entered, the source waits for us, and its time does not count."""
        self._holds += 1
        try:
            with self._clock.stopped():
                yield
        finally:
            self._holds -= 1
            self.progressed()
            self._whole.begin(self._loop.time())

    def __enter__(self) -> InactivityTimer:
        self._begin()
        self._timer = self._loop.call_later(self._step_s, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        now_s = self._loop.time()
        for budget in self._budgets:
            budget.begin(now_s)

    def _look(self) -> None:
        if self._holds:
            self._begin()
        now_s, is_excused = self._loop.time(), self._clock.is_excused
        for budget in self._budgets:
            budget.count(now_s, is_excused=is_excused and budget is not self._whole)
        reason = self._reason()
        if reason:
            self._late(reason)
            return
        self._timer = self._loop.call_later(self._step_s, self._look)

    def _reason(self) -> str:
        if self._silence.is_over:
            return f"said nothing for {self._silence.limit_s:g} s"
        if self._progress.is_over:
            return f"answered, and brought nothing for {self._progress.limit_s:g} s (query_retrieve.no_progress)"
        if self._whole.is_over:
            return f"did not come to an end in {self._whole.limit_s:g} s (query_retrieve.longest)"
        return ""
