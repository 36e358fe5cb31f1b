"""The place where handlers run: a plain function in a thread, where it may block; a coroutine function on the event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

H = TypeVar("H", bound=Callable[..., Any])


def on_event_loop(handler: H) -> H:
    """Mark a plain function that never waits for anything: it is called on the event loop, which saves the thread."""
    handler.runs_on_event_loop = True  # type: ignore[attr-defined]
    return handler


def is_async(handler: Any) -> bool:
    """True for coroutine functions and async generator functions, also as the method of a callable object."""
    kinds = (handler, getattr(handler, "__call__", None))  # noqa: B004 - the method of a callable object
    return any(inspect.isasyncgenfunction(kind) or inspect.iscoroutinefunction(kind) for kind in kinds)


def runs_on_event_loop(handler: Any) -> bool:
    """True for what is asynchronous, or marked with `on_event_loop`."""
    return is_async(handler) or bool(getattr(handler, "runs_on_event_loop", False))


def contained(raised: BaseException) -> BaseException:
    """The exception of a handler, as an error of its request alone: SystemExit, KeyboardInterrupt and the like, which
    would end the event loop with all associations, become a RuntimeError of that name.

    On the event loop, an exception that ends the task from outside stays as it is.
    """
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    if isinstance(raised, GeneratorExit | asyncio.CancelledError) and _ends_from_outside(raised):
        return raised
    return RuntimeError(type(raised).__name__).with_traceback(raised.__traceback__)


def _ends_from_outside(raised: BaseException) -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return False
    return task is not None and (isinstance(raised, GeneratorExit) or task.cancelling() > 0)


class BoundHandler(NamedTuple):
    """A handler, and what it is called with after the event."""

    handler: Callable[..., Any]
    arguments: tuple[Any, ...]
    is_on_event_loop: bool

    @property
    def documented(self) -> tuple[Callable[..., Any], list[Any] | None]:
        """The binding as pynetdicom's `get_handlers` gives it."""
        return self.handler, list(self.arguments) or None


Handlers = Mapping[Any, BoundHandler]
"""Handlers by event."""


class HandlerThread:
    """A daemon thread that makes one call after the other: a generator stays in the thread it began in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._in_work = 0
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="dimse-handler", daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """True while an earlier call than the last has not returned."""
        return self._in_work > 1

    def call(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have `function` called; it must not raise StopIteration."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._in_work += 1
        self._calls.put((function, future))
        return future

    def stop(self) -> None:
        """End after the calls that were asked for."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            function, future = call
            result: Any = None
            error: BaseException | None = None
            try:
                result = function()
            except BaseException as raised:
                error = contained(raised)
            with contextlib.suppress(RuntimeError):  # the loop is closed: no task waits
                self._loop.call_soon_threadsafe(self._done, future, result, error)

    def _done(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._in_work -= 1
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
