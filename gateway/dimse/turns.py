"""Turns of work: nobody works through more than a bounded amount before all others were served.

An association that has more to work through than one turn allows waits in line. One of those in line goes on in each
step of the event loop, however many there are, so that a step stays short for those who ask little.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable

TURN_WORK = 512
"""Units of work a turn; one unit is about two microseconds of processor time."""
FRAGMENT_WORK = 1
COMMAND_BYTES_PER_WORK = 32
"""A command set costs one unit for so many bytes."""
MESSAGE_WORK = 32
"""To serve a message, or to begin to."""
WHOLE_PDU_WORK = 64
"""A PDU other than P-DATA-TF."""

_lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()


class Turns:
    """The line of one event loop."""

    __slots__ = ("_is_scheduled", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is its turn."""
        self._waiting.append(go_on)
        self._schedule()

    def _schedule(self) -> None:
        loop = self._loop()
        if self._waiting and not self._is_scheduled and loop is not None:
            self._is_scheduled = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_scheduled = False
        go_on = self._waiting.popleft()
        self._schedule()
        go_on()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The line of `loop`."""
    turns = _lines.get(loop)
    if turns is None:
        turns = _lines[loop] = Turns(loop)
    return turns
