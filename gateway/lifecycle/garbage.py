"""Garbage collections of a running gateway: they do not look at objects that stay.

Python's collector stops everything while it looks through objects that are not frozen (`gc.freeze`), a third of a
second for thousands of rules. So the objects of a load are frozen when it ends (`gateway.config.loading`). Old rules
are freed all the same, since nothing in them refers back in a circle.

Objects that were alive beside the load are frozen too: the circles of associations that were open then would never be
freed. So all is looked at anew as soon as no peer is connected, and after `MOST_LOADS` in any case.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Protocol

LOOK_S = 1.0
"""Interval between two looks at whether a peer is connected."""
MOST_LOADS = 32
"""The number of loads after which the remains of associations are freed though peers have to wait for it."""


class Collector(Protocol):
    """The part of Python's module `gc` that is used."""

    def unfreeze(self) -> None: ...
    def collect(self) -> int: ...
    def freeze(self) -> None: ...


class Garbage:
    """Decides when the garbage collector looks through all objects.

    Args:
        is_quiet: true when no peer has to wait.
        look_s: between two looks at that.
    """

    def __init__(self, is_quiet: Callable[[], bool], collector: Collector = gc, look_s: float = LOOK_S) -> None:
        self._is_quiet = is_quiet
        self._collector = collector
        self._look_s = look_s
        self._loads = 0
        self._has_loaded = asyncio.Event()

    def settle(self) -> None:
        """Free unreachable objects, and freeze the rest. It stops everything meanwhile."""
        self._loads = 0
        self._has_loaded.clear()
        self._collector.unfreeze()
        self._collector.collect()
        self._collector.freeze()

    def loaded(self) -> None:
        """Rules were loaded, and all that was alive then is frozen."""
        self._loads += 1
        self._has_loaded.set()

    async def run(self) -> None:
        """Settle when it is due, until cancelled."""
        while True:
            await self._has_loaded.wait()
            if self._is_quiet() or self._loads >= MOST_LOADS:
                self.settle()
            else:
                await asyncio.sleep(self._look_s)
