"""The free space for incoming objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.ports.errors import SpoolFull
from gateway.spool.disk import Disk

FRESH_S = 1.0
"""Time for which one reading of the file system is believed."""

LOW_FACTOR = 1.25
"""Below this many times `min_free` retention is given up to make room."""


class FreeSpace:
    """Free space of the spool's file system against `min_free`; looks at most once a second."""

    def __init__(
        self,
        path: Path,
        min_free_bytes: int,
        disk: Disk,
        monotonic: Callable[[], float],
        handle: Callable[[], int] | None = None,
    ) -> None:
        """`handle` gives that of the folder that is open; without it the folder is found by its path."""
        self._path = path
        self._handle = handle
        self._min_free_bytes = min_free_bytes
        self._disk = disk
        self._monotonic = monotonic
        self._looked_at_s = float("-inf")
        self._free_bytes = 0

    @property
    def free_bytes(self) -> int:
        """Free space, about a second old at most."""
        now_s = self._monotonic()
        if now_s - self._looked_at_s >= FRESH_S:
            self._free_bytes = self._disk.free_bytes(self._path if self._handle is None else self._handle())
            self._looked_at_s = now_s
        return self._free_bytes

    @property
    def is_low(self) -> bool:
        """True when retention should end early."""
        return self.free_bytes < self._min_free_bytes * LOW_FACTOR

    @property
    def shortage_bytes(self) -> int:
        """The bytes that are missing until it is not low."""
        return max(0, round(self._min_free_bytes * LOW_FACTOR) - self.free_bytes)

    def invalidate(self) -> None:
        """Believe nothing: something was freed, or a write failed."""
        self._looked_at_s = float("-inf")

    def check(self) -> None:
        """Raises SpoolFull below `min_free`, and when nobody can say what is free."""
        if self._free_bytes >= self._min_free_bytes and self._monotonic() - self._looked_at_s < FRESH_S:
            return
        try:
            free_bytes = self.free_bytes
        except OSError as error:
            raise SpoolFull(
                f"spool {self._path}: its file system does not answer: {error}; look at the disk"
            ) from error
        if free_bytes < self._min_free_bytes:
            raise SpoolFull(
                f"spool {self._path}: {free_bytes} bytes free, under the min_free of {self._min_free_bytes}; "
                "free space on that file system, or deliver or discard what is queued"
            )


class UnboundedFreeSpace:
    """The free space of a queue that is no file, or whose room is not watched."""

    shortage = ""
    reserved_bytes = 0

    def check(self) -> None:
        """There is always room."""

    def keep(self) -> bool:
        """True: there is no reserve to hold, and none is needed."""
        return True

    def free_or_none(self) -> int:
        """The free bytes are not known: always 0."""
        return 0

    def prepare(self) -> None:
        """There is no reserve to hold."""

    def hold_free_space(self) -> None:
        """There is no reserve to hold."""
