"""SIGHUP reloads, the first SIGTERM or SIGINT drains, the second one aborts."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

import structlog

from gateway.common.early_signals import OURS, blocked

log = structlog.get_logger()

ENDING = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """The request that the process ends, and its urgency."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        """End, and finish what is in flight."""
        self.forced = asyncio.Event()
        """End now."""
        self._is_requested_once = False

    def request(self, by: str) -> None:
        """Drain at the first call, abort at the second."""
        (self.force if self._is_requested_once else self.drain)(by)
        self._is_requested_once = True

    def drain(self, by: str) -> None:
        """Drain. It is no first call of `request`: a service manager may signal a worker beside its supervisor."""
        self._set(self.requested, by)

    def force(self, by: str) -> None:
        """Abort, drained or not."""
        self.requested.set()
        self._set(self.forced, by)

    def _set(self, wish: asyncio.Event, by: str) -> None:
        if not wish.is_set():
            wish.set()
            log.info("stop_requested", by=by, is_urgent=self.forced.is_set())


@contextmanager
def handled(stop: Stop, on_hangup: Callable[[], None]) -> Iterator[None]:
    """Signals reach `stop` and `on_hangup` on the running loop while entered, those too that were blocked until now.

    Where they were blocked before, this is the process's only use of them: they are ignored afterwards, so that one
    that comes while the process ends does not kill it. A mask would not do: other threads do not have it. Nor would the
    loop's own handlers, which leave the default behind, as the loop does when it is closed.
    """
    loop = asyncio.get_running_loop()
    actions: dict[int, Callable[[], None]] = {
        number: partial(stop.request, signal.Signals(number).name) for number in ENDING
    }
    actions[signal.SIGHUP] = on_hangup
    numbers, wakeup = socket.socketpair()
    for end in (numbers, wakeup):
        end.setblocking(False)

    def act() -> None:
        with suppress(BlockingIOError):
            for number in numbers.recv(4096):
                actions.get(number, _nothing)()

    loop.add_reader(numbers, act)
    before_wakeup = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _noticed) for number in OURS}
    held = blocked()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if number in held else handler)
        signal.set_wakeup_fd(before_wakeup)
        loop.remove_reader(numbers)
        numbers.close()
        wakeup.close()


def _noticed(number: int, frame: FrameType | None) -> None:
    """The interpreter has written the number into the wakeup socket already, in whatever thread it came."""


def _nothing() -> None:
    """The handler of a signal that is not ours: it does nothing."""
