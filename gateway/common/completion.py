"""A result that comes later on the event loop, without a task and a future: of a small object these take as long as the
rest of its way through the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")


class Completion(Generic[T]):
    """Calls its one waiter at once when the result is there; it has the methods of a future that a producer needs.

    Used on the event loop alone. The result never comes before `then` was called.
    """

    __slots__ = ("_go_on", "_is_done")

    def __init__(self) -> None:
        self._go_on: Callable[[T | None, BaseException | None], object] | None = None
        self._is_done = False

    def then(self, go_on: Callable[[T | None, BaseException | None], object]) -> None:
        """Call `go_on(result, error)`; one of them is None. An exception that it raises is logged."""
        self._go_on = go_on

    def done(self) -> bool:
        """True when the result is there."""
        return self._is_done

    def cancelled(self) -> bool:
        """Always False: no caller can cancel it."""
        return False

    def set_result(self, result: T) -> None:
        self._end(result, None)

    def set_exception(self, error: BaseException) -> None:
        self._end(None, error)

    def _end(self, result: T | None, error: BaseException | None) -> None:
        self._is_done = True
        go_on, self._go_on = self._go_on, None
        if go_on is None:
            return
        try:
            go_on(result, error)
        except Exception:
            log.exception("completion_failed")
