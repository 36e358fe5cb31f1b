"""The journal's threads beside the committer."""

from __future__ import annotations

import concurrent.futures

WORKERS = 4
"""Threads that write large objects."""


class SpoolThreads:
    """Started when they are first needed, ended by `stop`."""

    def __init__(self) -> None:
        self.workers = concurrent.futures.ThreadPoolExecutor(WORKERS, thread_name_prefix="spool-file")
        self.reading = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="spool-reader")

    def stop(self) -> None:
        """Waits for what runs."""
        self.workers.shutdown()
        self.reading.shutdown()
