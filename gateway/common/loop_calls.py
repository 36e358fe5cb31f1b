"""Calls that a thread leaves to the event loop: one write wakes it, and one read takes that back.

`loop.call_soon_threadsafe` makes a handle and a copy of the context for each call, and reads its socket until nothing
is there.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Any


class LoopCalls:
    """Calls are made in the order in which they were left. To be made and closed on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left: deque[tuple[Callable[[Any], object], Any]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._wake, self._wakes)

    def leave(self, function: Callable[[Any], object], argument: Any) -> None:
        """Have the event loop call `function(argument)` soon. Any thread."""
        self._left.append((function, argument))
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Make the calls that are left. The thread has left its last one: until then it may write to the descriptor."""
        self._loop.remove_reader(self._wake)
        os.close(self._wake)
        self._make()

    def _wakes(self) -> None:
        os.eventfd_read(self._wake)
        self._make()

    def _make(self) -> None:
        """Make the calls that are left now. An error of one goes where errors of the loop's own callbacks go."""
        calls = [self._left.popleft() for _ in range(len(self._left))]
        for function, argument in calls:
            try:
                function(argument)
            except Exception as error:
                self._loop.call_exception_handler({"message": f"{function!r} failed", "exception": error})
