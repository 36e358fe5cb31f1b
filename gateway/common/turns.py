"""Turns of work: no association works through more than a bounded amount before all others were served.

An association with more work than one turn allows waits in line. One of those in line goes on in each step of the
event loop, however many there are, so that a step stays short for associations with little work.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

HEAVY_AT_ONCE = 2
"""Threads for work that may take seconds; light work waits for none of them."""

TURN_WORK = 512
"""Units of work a turn; one unit is about two microseconds of processor time."""
FRAGMENT_WORK = 1
COMMAND_BYTES_PER_WORK = 32
"""A command set costs one unit for so many bytes."""
MESSAGE_WORK = 32
"""The work of serving a message, or of beginning to."""
WHOLE_PDU_WORK = 64
"""A PDU other than P-DATA-TF."""

_lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = weakref.WeakKeyDictionary()
_heavy: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


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


class WorkAbandoned(Exception):
    """The work was abandoned since its result is of no use any more."""


async def in_turns(
    steps: Generator[Callable[[], object] | None, None, T], is_over: Callable[[], bool] | None = None
) -> tuple[T, int]:
    """The result of `steps`, and the number of turns that they gave up. At each None others go on; a function is called
    in a thread.

    Work that ends within its first step costs nothing more than a call.

    Raises:
        WorkAbandoned: `is_over` was true between two steps.
    """
    count = 0
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as done:
                return done.value, count
            count += 1
            if step is None:
                await _turn()
            else:
                await _in_thread(step)
            if is_over is not None and is_over():
                raise WorkAbandoned("nobody waits for the result any more")
    finally:
        steps.close()


async def _turn() -> None:
    loop = asyncio.get_running_loop()
    mine = loop.create_future()

    def go_on() -> None:
        if not mine.done():
            mine.set_result(None)

    turns_of(loop).wait(go_on)
    await mine


async def _in_thread(work: Callable[[], T]) -> T:
    """A thread cannot be stopped: when this is cancelled it ends first."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


async def aside(work: Callable[[], T]) -> T:
    """Do work that may take seconds in a thread, few at a time."""
    loop = asyncio.get_running_loop()
    heavy = _heavy.get(loop)
    if heavy is None:
        heavy = _heavy[loop] = asyncio.Semaphore(HEAVY_AT_ONCE)
    async with heavy:
        return await _in_thread(work)
