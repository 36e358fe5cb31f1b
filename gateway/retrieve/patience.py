"""How long a source may say nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator


class Patience:
    """A context manager: calls `late` once when nothing was heard for `limit_s`. While we hold the source up ourselves
    (`held`), no time passes.

    Args:
        limit_s: between two signs of life, be it a fragment of a data set.
        late: ends the waiting, e.g. by aborting the association.
    """

    def __init__(self, limit_s: float, late: Callable[[], None]) -> None:
        self._limit_s = limit_s
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._holds = 0
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Something was heard."""
        self._heard_s = self._loop.time()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """It is we who are waited for."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self.touch()

    def __enter__(self) -> Patience:
        self.touch()
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now_s = self._loop.time()
        due_s = (now_s if self._holds else self._heard_s) + self._limit_s
        if due_s <= now_s:
            self._late()
            return
        self._timer = self._loop.call_at(due_s, self._look)
