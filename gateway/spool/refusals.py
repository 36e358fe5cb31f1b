"""Refusals of objects whose redo record was written: a start must not deliver an object whose sender got a refusal.

The redo record is taken back, or a record that cancels it is written, before the refusal is answered. Where the disk
takes neither, the refusal is answered all the same, since the sender must not wait for ever, and the cancellation is
written as soon as the disk takes it. Until then a crash makes the next start deliver these objects: the sender sends
them again, and one object twice is no loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from gateway.ports.errors import SpoolFull
from gateway.spool import redo
from gateway.spool.digest import digest_of
from gateway.spool.store import SpoolStore

log = structlog.get_logger()

AT_ONCE = 1000
"""Notes cancelled by one record."""

MOST_SKIPPED = 64
"""Groups between two tries while the disk takes nothing: each try may begin a segment."""


class UncommittedRefusals:
    """Belongs to the committer thread."""

    def __init__(self, payloads: SpoolStore) -> None:
        self._payloads = payloads
        self._waiting: list[redo.RefusedArrivals] = []
        self._failures = 0
        self._skipped = 0

    def add(self, redo_record: bytes | None, numbers: Sequence[int], *, is_all: bool) -> None:
        """Refuse these arrivals of a redo record, or all of them. None and b"": no start can find their redo record."""
        if not redo_record or not numbers:
            return
        if is_all and self._is_taken_back():
            return
        self._waiting.append(redo.RefusedArrivals(digest_of([redo_record]), list(numbers)))
        if not self.write():
            log.error("refusal_not_written", instances=len(numbers), waiting=len(self._waiting))

    def _is_taken_back(self) -> bool:
        """True when the last group is the refused one, and is gone from its segment."""
        if self._payloads.segments.is_doubtful:
            return False
        try:
            self._payloads.segments.take_back_last()
        except OSError as error:
            log.error("group_not_cancelled", error=str(error))
            return False
        return True

    def write_now_and_then(self) -> None:
        """Write cancellations that could not be written before, the more seldom the more often that failed. Called once
        a group."""
        self._skipped += 1
        if self._waiting and self._skipped >= min(2**self._failures, MOST_SKIPPED):
            self.write()

    def write(self) -> bool:
        """Cancel what could not be cancelled before; False when it still cannot be."""
        self._skipped = 0
        while self._waiting:
            try:
                self._payloads.segments.append_cancellation(redo.encode_cancellation(self._waiting[:AT_ONCE]))
            except SpoolFull:
                self._failures += 1
                return False
            del self._waiting[:AT_ONCE]
        self._failures = 0
        return True
