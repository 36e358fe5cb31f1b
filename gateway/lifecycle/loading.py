"""Reads the rules beside the event loop, bounded in time: a mount that hangs stops no later reload and no shutdown."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

from gateway.common.daemon_thread import started
from gateway.config import Loaded
from gateway.ports.errors import GatewayError

LIMIT_S = 120.0
"""Time limit for reading and compiling the rules."""


SWITCH_S = 0.001
"""Time for which a load computes before the event loop has its turn. Python's 5 ms would be waited for several times by
each object, at every step from one thread to another."""


class NotLoaded(GatewayError):
    """The rules could not be read in time, or no caller waits for them any more."""


class Loading:
    """Calls `load` in a thread of its own that no shutdown waits for. One call at a time: a second one while an
    abandoned call still hangs is refused at once, so that threads do not pile up."""

    def __init__(self, load: Callable[[], Loaded], limit_s: float = LIMIT_S) -> None:
        self._load = load
        self._limit_s = limit_s
        self._abandoned: threading.Thread | None = None

    async def load(self, given_up: asyncio.Event) -> Loaded:
        """Return or raise the outcome of `load`.

        Raises:
            NotLoaded: it took longer than the limit, an earlier call still hangs, or `given_up` was set meanwhile.
        """
        if self._abandoned is not None and self._abandoned.is_alive():
            raise NotLoaded("the rules are still being read: does a file that they name lie on a dead mount?")
        outcome, thread = started(self._load_beside, "rules")
        abandon = asyncio.ensure_future(given_up.wait())
        either: list[asyncio.Future[Any]] = [outcome, abandon]
        try:
            await asyncio.wait(either, timeout=self._limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            abandon.cancel()
        if outcome.done():
            return outcome.result()
        outcome.cancel()
        self._abandoned = thread
        if given_up.is_set():
            raise NotLoaded("the gateway is stopping")
        raise NotLoaded(f"the rules were not read within {self._limit_s:g} s; do they name a file on a dead mount?")

    def _load_beside(self) -> Loaded:
        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            return self._load()
        finally:
            sys.setswitchinterval(usual_s)
