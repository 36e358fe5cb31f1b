"""SIGHUP reloads, the first SIGTERM or SIGINT drains, the second one aborts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger()

ENDING = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """How urgently the process was asked to end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """End, and finish what is in flight."""
        self.urged = asyncio.Event()
        """End now."""

    def ask(self, by: str) -> None:
        """The first time: drain. The second time: abort."""
        (self.urged if self.asked.is_set() else self.asked).set()
        log.info("stop_asked", by=by, is_urgent=self.urged.is_set())


@contextmanager
def handled(stop: Stop, on_hangup: Callable[[], None]) -> Iterator[None]:
    """Signals reach `stop` and `on_hangup` on the running loop while entered."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, stop.ask, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    try:
        yield
    finally:
        for number in (*ENDING, signal.SIGHUP):
            loop.remove_signal_handler(number)
