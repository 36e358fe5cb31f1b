"""Small payloads go into the active segment: one write and one sync a group, taken back when it fails.

Belongs to the committer thread.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from gateway.model.instance import PayloadRef
from gateway.ports.errors import SpoolFull
from gateway.spool import record
from gateway.spool.disk import Disk
from gateway.spool.folder import SpoolFolder
from gateway.spool.free_space import FreeSpace
from gateway.spool.presence import Presence
from gateway.spool.redo import NOWHERE, Position
from gateway.spool.segment import Payload, Segment, segment_name

log = structlog.get_logger()


class SegmentWriter:
    """The writer of segments of one spool folder. `seed` gives that of its records; `made` gets the name and inode of
    each new segment.
    """

    def __init__(
        self,
        folder: SpoolFolder,
        disk: Disk,
        segment_bytes: int,
        *,
        presence: Presence,
        room: FreeSpace,
        seed: Callable[[], int],
        made: Callable[[str, int], None],
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._presence = presence
        self._room = room
        self._seed = seed
        self._made = made
        self._active: Segment | None = None
        self.active_name = ""
        """The name of the segment that is written now, set before the file is there; empty without one. Any thread."""
        self._end = NOWHERE
        self._numbers = itertools.count(1)
        self.is_doubtful = False
        """True when bytes of an `append` that failed may be on the disk all the same."""

    @property
    def _root(self) -> Path:
        return self._folder.path

    def begin_at(self, number: int) -> None:
        """The next segment's number."""
        self._numbers = itertools.count(number)

    def append(
        self, payloads: Sequence[Payload], redo: Callable[[Sequence[PayloadRef]], bytes] | None = None
    ) -> list[PayloadRef]:
        """Make small payloads durable with one write and one sync, with what `redo` makes of where they lie.

        Raises SpoolFull; then none of them was kept. Where `is_doubtful` is true then, a start may find them anyway.
        """
        self.is_doubtful = False
        self._presence.check()
        try:
            active = self._segment()
            refs = active.append(payloads, redo)
        except OSError as error:
            self.is_doubtful = not self._take_back()
            raise SpoolFull(f"spool {self._root}: {error}") from error
        self._sync(active)
        self._check_in_place(active)
        return refs

    def append_cancellation(self, data: bytes) -> None:
        """Make a cancellation durable. Raises SpoolFull."""
        try:
            active = self._segment()
            active.append_record(record.CANCEL, data)
        except OSError as error:
            self._take_back()
            raise SpoolFull(f"spool {self._root}: {error}") from error
        self._sync(active)

    def take_back_last(self) -> None:
        """Take the last group out of its segment again, durably. Raises OSError; then it may still be there."""
        if self._active is None or self._end != Position(self._active.name, self._active.size_bytes):
            raise OSError(errno.ESTALE, "it is not the last one in the active segment")
        try:
            self._active.take_back()
        except OSError:
            self.retire()
            raise
        self._end = Position(self._active.name, self._active.size_bytes)

    @property
    def end(self) -> Position:
        """The position behind the last appended record, in a segment that may be retired by now."""
        return self._end

    def retire(self) -> None:
        """Write the active segment no more; the next payload starts a new one."""
        active, self._active = self._active, None
        self.active_name = ""
        if active is not None:
            active.close()

    def _check_in_place(self, active: Segment) -> None:
        """Between write and answer: what was just written lies where a start will look for it.

        Raises SpoolFull; then the last group was taken back, or `is_doubtful` is true.
        """
        if active.is_there and not self._presence.look_quickly():
            return
        if self._presence.look():
            error: SpoolFull = self._presence.error()
        else:
            error = SpoolFull(f"spool {self._root}: {active.name} was deleted or replaced while it was written")
            log.error("segment_removed", file=active.name, size_bytes=active.size_bytes)
        try:
            self.take_back_last()
        except OSError:
            self.is_doubtful = True
        self.retire()
        raise error

    def _sync(self, active: Segment) -> None:
        try:
            active.sync()
        except OSError as error:
            # After a failed sync the kernel may call pages clean that never reached the disk: write there no more.
            self.is_doubtful = True
            self.retire()
            raise SpoolFull(f"spool {self._root}: {error}") from error
        self._end = Position(active.name, active.size_bytes)

    def _segment(self) -> Segment:
        if self._active is not None and self._active.size_bytes >= self._segment_bytes:
            self.retire()
        if self._active is None:
            if self._presence.look():
                raise self._presence.error()
            self.active_name = segment_name(next(self._numbers))  # set before the file is there: `candidates`
            self._active = Segment(self._folder, self.active_name, self._disk, self._segment_bytes, self._seed())
            self._made(self.active_name, self._active.identity[1])
        return self._active

    def _take_back(self) -> bool:
        """Cut what a write that failed left behind; True when nothing of it can be found by a start."""
        self._room.invalidate()
        if self._active is None:
            return True
        try:
            self._active.cut()
            self._active.sync()
        except OSError:
            self.retire()
            return False
        return True
