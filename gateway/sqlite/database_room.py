"""Room for the database: some is kept free for what was accepted, and some is held in a file for the last need.

```text
gateway.db           the database
gateway.db-wal, …    its side files
gateway.db.reserve   room that nobody else can take; given up when the database finds none
```

Deliveries, `gateway queue` and a start write to the database as well, a little each. So nothing is accepted below
`min_free`. Where something else fills the file system all the same, the first write that finds no room gives the
reserve up: what is waiting can be delivered, retried, released and discarded with it. Once there is room again the
reserve is taken again, and only then objects are accepted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.common.file_modes import FILE
from gateway.ports.errors import SpoolFull

log = structlog.get_logger()

FRESH_S = 1.0
"""The age up to which one look at the file system is believed."""

LEAST_BYTES = 64 * 1024
"""Less is of no use to a start."""

Allocate = Callable[[int, int, int], None]
"""Descriptor, start, length; raises OSError."""


def reserve_of(database: Path) -> Path:
    """The file that holds room for a database."""
    return database.with_name(f"{database.name}.reserve")


def reserved_bytes(database: Path) -> int:
    """The size of the reserve; 0 when it was given up."""
    try:
        found = os.stat(reserve_of(database), follow_symlinks=False)
    except OSError:
        return 0
    return min(found.st_size, found.st_blocks * 512) if stat.S_ISREG(found.st_mode) else 0


def give_up_reserve(database: Path) -> bool:
    """Leave its room to the database; True when there was any. Any process, also beside a running gateway."""
    size_bytes = reserved_bytes(database)
    if not size_bytes:
        return False
    try:
        descriptor = os.open(reserve_of(database), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.error("reserve_not_released", path=str(reserve_of(database)), reason=error.strerror)
        return False
    log.error(
        "reserve_released",
        path=str(reserve_of(database)),
        size_bytes=size_bytes,
        consequence="nothing is accepted; what waits is delivered, and retried, released or discarded when asked",
        action="free space on that file system: the gateway goes on by itself then",
    )
    return True


class DatabaseRoom:
    """Free space of the database's file system against `min_free`; looks at most once a second. Any thread.

    Args:
        database: its path.
        min_free_bytes: what stays free for deliveries and operators; the reserve is not counted.
        reserve_bytes: length of the reserve; 0: there is none.
        monotonic: seconds.
        allocate: as `os.posix_fallocate`.
    """

    def __init__(
        self,
        database: Path,
        min_free_bytes: int,
        reserve_bytes: int,
        monotonic: Callable[[], float],
        allocate: Allocate = os.posix_fallocate,
    ) -> None:
        self._database = database
        self._min_free_bytes = min_free_bytes
        self._reserve_bytes = reserve_bytes
        self._monotonic = monotonic
        self._allocate = allocate
        self._looked_at_s = float("-inf")
        self._shortage = ""

    @property
    def free_bytes(self) -> int:
        """The bytes that an ordinary user may write there, without the reserve. Raises OSError."""
        found = os.statvfs(self._database.parent)
        return found.f_bavail * found.f_frsize

    @property
    def reserved_bytes(self) -> int:
        """The size of the reserve; 0 when it was given up."""
        return reserved_bytes(self._database)

    def free_or_none(self) -> int:
        """The same; 0 while nobody can say."""
        try:
            return self.free_bytes
        except OSError:
            return 0

    @property
    def shortage(self) -> str:
        """The reason why nothing is accepted; empty when there is room. About a second old at most."""
        now_s = self._monotonic()
        if now_s - self._looked_at_s >= FRESH_S:
            self._shortage = self._look()
            self._looked_at_s = now_s
        return self._shortage

    def check(self) -> None:
        """Raises SpoolFull when nothing may be accepted."""
        if shortage := self.shortage:
            raise SpoolFull(shortage)

    def invalidate(self) -> None:
        """Believe nothing: a write failed, or the reserve was taken again."""
        self._looked_at_s = float("-inf")

    def prepare(self) -> None:
        """Give up the reserve where there is hardly any room: a start needs it. To be called before the database is
        opened."""
        with contextlib.suppress(OSError):
            if self.free_bytes < self._reserve_bytes:
                give_up_reserve(self._database)

    def keep(self) -> bool:
        """Take the reserve where it is not held and there is room for it; True while it is held, or none is wanted."""
        if reserved_bytes(self._database) >= self._reserve_bytes:
            return True
        try:
            if self.free_bytes < self._min_free_bytes + self._reserve_bytes:
                return False
            self._take(self._reserve_bytes)
        except OSError as error:
            log.warning("reserve_not_taken", path=str(reserve_of(self._database)), reason=error.strerror)
            return False
        self.invalidate()
        log.info("reserve_taken", path=str(reserve_of(self._database)), size_bytes=self._reserve_bytes)
        return True

    def hold_free_space(self) -> None:
        """At the end, when the database is closed: what is free now, up to the reserve's length, is there for the next
        start, even if the file system fills until then."""
        with contextlib.suppress(OSError):
            size_bytes = min(self._reserve_bytes, self.free_bytes + reserved_bytes(self._database))
            while size_bytes > max(reserved_bytes(self._database), LEAST_BYTES):
                try:
                    self._take(size_bytes)
                    return
                except OSError:  # the file system keeps some for itself
                    size_bytes //= 2

    def _take(self, size_bytes: int) -> None:
        """Raises OSError; then nothing is held."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(reserve_of(self._database), flags, FILE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EEXIST, "it is no regular file")
            try:
                self._allocate(descriptor, 0, size_bytes)
            except OSError:
                os.ftruncate(descriptor, 0)
                raise
        finally:
            os.close(descriptor)

    def _look(self) -> str:
        where = f"queue {self._database}"
        try:
            free_bytes = self.free_bytes
        except OSError as error:
            return f"{where}: its file system does not answer: {error.strerror}; look at the disk"
        missing_bytes = max(self._reserve_bytes - reserved_bytes(self._database), 0)
        if free_bytes >= self._min_free_bytes + missing_bytes:
            return ""
        reserve = "" if not missing_bytes else f" and the reserve of {self._reserve_bytes}, which was given up"
        return (
            f"{where}: {free_bytes} bytes free on its file system, under the queue.min_free of {self._min_free_bytes}"
            f"{reserve}; free space there, or deliver or discard what is queued"
        )
