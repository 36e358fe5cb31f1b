"""A handler's yields, one at a time: an async generator on the event loop, a plain one in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from gateway.dimse.acceptor.handler_thread import HandlerThread, contained, is_async
from gateway.dimse.protocol.cancellation import OperationScope
from gateway.dimse.protocol.status import stack_lines

log = structlog.get_logger()

END = object()
"""The result of `HandlerYields.next` when the handler has ended."""

CLOSE_S = 2.0
"""The time that the end of an operation waits for a handler to clean up."""


class HandlerYields:
    """Asks a handler for one yield after the other; nothing is asked for ahead.

    Args:
        handler: generator function, async generator function, or a function that returns an iterable.
        arguments: the event and what was bound with the handler.
        watch: whatever waits for the handler is cut short with it.
    """

    def __init__(self, handler: Callable[..., Any], arguments: tuple[Any, ...], watch: OperationScope) -> None:
        self._handler = handler
        self._arguments = arguments
        self._watch = watch
        self._source: Any = None
        self._advance: Callable[[], Any] | None = None
        self._thread: HandlerThread | None = None
        self._is_over = False
        self.is_begun = False
        """True once the handler was called, and did not raise."""

    async def next(self) -> Any:
        """The next yield, or `END`.

        Raises:
            Interrupted: the operation was cut short.
            Exception: whatever the handler raises.
        """
        if self._is_over:
            return END
        with self._watch.guard():
            try:
                if self._advance is None:
                    self._advance = await self._begin()
                item = await self._advance()
            except BaseException as raised:
                error = contained(raised)
                self._is_over = isinstance(error, Exception)
                if error is raised:
                    raise
                raise error from raised
        if item is END:
            self._is_over = True
        return item

    async def close(self) -> None:
        """Close the generator and see its `finally` blocks run; a thread that is stuck is not waited for."""
        try:
            if not self._is_over and self._source is not None:
                async with asyncio.timeout(CLOSE_S):
                    await self._close()
        except BaseException as raised:
            error = contained(raised)
            if not isinstance(error, Exception):
                raise
            log.error("handler_close_failed", error=type(error).__name__, where=stack_lines(error))
        finally:
            self._is_over = True
            if self._thread is not None:
                self._thread.stop()

    async def _close(self) -> None:
        if hasattr(self._source, "aclose"):
            await self._source.aclose()
        elif hasattr(self._source, "close") and self._thread is not None:
            closed = self._thread.call(self._source.close)
            if not self._thread.is_busy:
                await closed

    # --- how to go on ------------------------------------------------------------------------------------------

    async def _begin(self) -> Callable[[], Any]:
        result = await self._call()
        if hasattr(result, "__await__"):
            result = await result
        self.is_begun = True
        if result is None:
            result = ()
        if hasattr(result, "__aiter__"):
            self._source = aiter(result)
            return self._next_of_async
        self._source = iter(result)
        if isinstance(result, list | tuple):
            return self._next_at_once
        self._thread = self._thread or HandlerThread()
        return self._next_of_thread

    async def _call(self) -> Any:
        if is_async(self._handler):
            return self._handler(*self._arguments)
        self._thread = HandlerThread()
        return await self._thread.call(lambda: self._handler(*self._arguments))

    async def _next_of_async(self) -> Any:
        try:
            return await anext(self._source)
        except StopAsyncIteration:
            return END

    async def _next_at_once(self) -> Any:
        return next(self._source, END)

    async def _next_of_thread(self) -> Any:
        assert self._thread is not None
        return await self._thread.call(lambda: next(self._source, END))
