"""Work in a thread that no shutdown waits for: a file on a dead mount, or a name server, may never answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def started(work: Callable[[], T], name: str) -> tuple[asyncio.Future[T], threading.Thread]:
    """Call `work` in a thread of its own; the future is that of the running loop, and may be cancelled."""
    outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    thread = threading.Thread(target=_run, args=(work, outcome), name=name, daemon=True)
    thread.start()
    return outcome, thread


def _run(work: Callable[[], T], outcome: asyncio.Future[T]) -> None:
    settle: Callable[[], None]
    try:
        settle = partial(outcome.set_result, work())
    except BaseException as error:
        settle = partial(outcome.set_exception, error)
    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        outcome.get_loop().call_soon_threadsafe(_unless_done, outcome, settle)


def _unless_done(outcome: asyncio.Future[T], settle: Callable[[], None]) -> None:
    if not outcome.done():
        settle()
