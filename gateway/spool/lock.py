"""One gateway a spool, and one a queue: advisory locks that end with the process.

A gateway holds two locks on a lock file: one of flock(2), which keeps others out, and one on the open file description
(F_OFD_SETLK in fcntl(2)), which others can see. To try the first would take it for a moment, and a gateway that starts
at that moment would find it taken; the kernel answers F_OFD_GETLK without taking anything, and across containers too.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from pathlib import Path

from gateway.common.file_modes import FILE, FOLDER
from gateway.common.regular_file import open_regular_file
from gateway.ports.errors import ConfigurationError

NAME = "gateway.lock"

_CONTENT = re.compile(rb"\d*\n?")
_LONGEST_BYTES = 32
_FLOCK = struct.Struct("hhqqi4x")
"""`struct flock` of fcntl(2): type, whence, start, length (0: to the end), process."""
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


class InUse(ConfigurationError):
    """Another process holds the lock. `what` is held, by the process `holder`."""

    def __init__(self, what: str, holder: str) -> None:
        kind = what.partition(" ")[0]
        super().__init__(f"{what}: another gateway uses it (process {holder}); stop that one, or name another {kind}")
        self.what = what
        self.holder = holder


class FileLock:
    """Held from construction to `release`, or to the end of the process however it ends.

    `folder` is the handle of the directory that a relative `path` is looked up in.

    Raises InUse, naming the process that holds it, ConfigurationError when the file is no lock of a gateway.
    """

    def __init__(self, path: Path, what: str, folder: int | None = None) -> None:
        self._path = path
        self._folder = folder
        self._what = what
        self._descriptor = self._take(os.O_CREAT)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)

    def gone(self) -> str:
        """The reason why others could take the lock though it is held; empty when they cannot."""
        try:
            here = os.stat(self._path, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return f"the lock file {self._path.name} was deleted"
        except OSError as error:
            return f"the lock file {self._path.name} cannot be read ({error.strerror})"
        if not os.path.samestat(here, os.fstat(self._descriptor)):
            return f"the lock file {self._path.name} was replaced"
        return ""

    def renew(self) -> bool:
        """Make a lock file that was deleted again, and hold it; False when somebody else was first."""
        try:
            descriptor = self._take(os.O_CREAT | os.O_EXCL)
        except ConfigurationError:
            return False
        os.close(self._descriptor)
        self._descriptor = descriptor
        return True

    def _take(self, how: int) -> int:
        try:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | how
            descriptor = os.open(self._path, flags, FILE, dir_fd=self._folder)
        except OSError as error:
            raise ConfigurationError(f"{self._what}: cannot be written: {error}") from error
        try:
            self._check_is_lock(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
            _write_owner(descriptor)
        except BlockingIOError:
            holder = os.pread(descriptor, _LONGEST_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise InUse(self._what, holder) from None
        except OSError as error:
            os.close(descriptor)
            raise ConfigurationError(f"{self._what}: cannot be locked: {error}") from error
        except ConfigurationError:
            os.close(descriptor)
            raise
        return descriptor

    def _check_is_lock(self, descriptor: int) -> None:
        """A file of somebody else's that has this name by chance is not emptied."""
        found = os.fstat(descriptor)
        content = os.pread(descriptor, _LONGEST_BYTES + 1, 0) if stat.S_ISREG(found.st_mode) else b"?"
        if not _CONTENT.fullmatch(content):
            raise ConfigurationError(
                f"{self._what}: {self._path} is not the lock file of a gateway; move it away, or name another "
                f"{self._what.partition(' ')[0]}"
            )


def _write_owner(descriptor: int) -> None:
    """Write our process id, for messages. A full disk takes none, and the lock holds all the same."""
    os.ftruncate(descriptor, 0)
    try:
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


class SpoolLock(FileLock):
    """The lock of a spool folder, which is given by its path and, where it is open already, by its handle."""

    def __init__(self, root: Path, folder: int | None = None) -> None:
        path = root / NAME if folder is None else Path(NAME)
        super().__init__(path, f"spool {root}", folder)


class QueueLock(FileLock):
    """The lock of a queue's file, in a file beside it: two spools on one queue would take each other's deliveries."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"queue {path}: its folder cannot be made: {error}") from error
        super().__init__(of_queue(path), f"queue {path}")


def is_in_use(root: Path, queue: Path) -> bool:
    """True while a gateway holds the spool or the queue's file: either may have been replaced under it."""
    return is_held(root / NAME) or is_held(of_queue(queue))


def is_held(path: Path) -> bool:
    """True while any process holds the lock file `path`; False when it cannot be opened. Takes no lock."""
    try:
        descriptor = open_regular_file(path)
    except OSError:
        return False
    try:
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE_FILE))
    finally:
        os.close(descriptor)
    return bool(kind != fcntl.F_UNLCK)


def of_queue(path: Path) -> Path:
    """The lock's file of a queue's file."""
    return path.with_name(f"{path.name}.lock")


def is_gateway_running(queue: Path) -> bool:
    """True while a gateway, or `gateway rebuild`, holds the lock beside `queue`, as another process sees it without
    touching the gateway's lock; False when it cannot be opened."""
    return is_held(of_queue(queue))
