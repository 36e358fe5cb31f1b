"""The steps of a node on the tables of what C-MOVEs of all nodes wait for, in a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.ports.expected_instances import ExpectedInstances

T = TypeVar("T")


class SharedSteps:
    """One step at a time.

    Args:
        open_shared: opens the tables, in the thread, with the first step.
    """

    def __init__(self, open_shared: Callable[[], ExpectedInstances]) -> None:
        self._open_shared = open_shared
        self._shared: ExpectedInstances | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="expected-instances")

    async def __call__(self, step: Callable[[ExpectedInstances], T]) -> T:
        """Raises as `ExpectedInstances`."""

        def stepped() -> T:
            if self._shared is None:
                self._shared = self._open_shared()
            return step(self._shared)

        return await asyncio.get_running_loop().run_in_executor(self._thread, stepped)

    def close(self) -> None:
        """A step that runs fails."""
        if self._shared is not None:
            self._shared.close()
        self._thread.shutdown(wait=False)
