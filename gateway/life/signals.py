"""SIGHUP reloads, the first SIGTERM or SIGINT drains, the second one aborts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from gateway.early_signals import OURS, blocked

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
    """Signals reach `stop` and `on_hangup` on the running loop while entered, those too that were blocked until now.

    What was blocked before is blocked again afterwards: a signal that comes while the process ends does not kill it.
    """
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, stop.ask, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    before = blocked()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, before)
        for number in OURS:
            loop.remove_signal_handler(number)
