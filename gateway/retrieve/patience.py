"""How long a source may say nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from gateway.federation.clock import Budget, Clock


class Patience:
    """A context manager: calls `late` once when nothing was heard for a limit. While we hold the source up ourselves
    (`held`), no time passes.

    Args:
        clock: of the conversation; its limit counts between two signs of life, be it a fragment of a data set.
        late: ends the waiting, e.g. by aborting the association.
    """

    def __init__(self, clock: Clock, late: Callable[[], None]) -> None:
        self._clock = clock
        self._budget = Budget(clock.limit_s)
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._holds = 0
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Something was heard."""
        self._clock.heard()
        self._budget.renew()
        self._budget.begin(self._loop.time())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """It is we who are waited for."""
        self._holds += 1
        try:
            with self._clock.stopped():
                yield
        finally:
            self._holds -= 1
            self.touch()

    def __enter__(self) -> Patience:
        self._budget.begin(self._loop.time())
        self._timer = self._loop.call_later(self._budget.step_s, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._holds:
            self._budget.begin(self._loop.time())
        self._budget.count(self._loop.time(), is_excused=self._clock.is_excused)
        if self._budget.is_over:
            self._late()
            return
        self._timer = self._loop.call_later(self._budget.step_s, self._look)
