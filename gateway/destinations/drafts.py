"""Files that are written before they get their name: nothing of them stays when the process is killed.

Where the file system can, a draft has no name at all until it is complete (`O_TMPFILE`): it goes with the process.
Elsewhere it has a hidden name of its own, and is locked while it is written; what a process that was killed left is
deleted when its folder is used the next time. A draft of a process that lives, here or on another machine, is never
touched: it is locked, or was written to a moment ago.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import re
import stat
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.common.buffer import Buffer
from gateway.common.file_modes import set_mode

log = structlog.get_logger()

NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EISDIR, errno.EINVAL})
"""The errors of file systems without `O_TMPFILE`."""
QUIET_S = 600.0
"""A draft of another machine or container was not written to for so long when it is deleted, whatever its lock says:
not every file system shares locks."""
MOST_LOOKED_AT = 100_000
"""Names in one folder: the rest of a larger one is not searched."""
MOST_REMEMBERED = 4096
"""Folders that were searched."""


def _machine() -> str:
    """The same for processes that see each other's locks and numbers; another one after each start of the machine."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return hashlib.sha256(f"{boot} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:12]
    return "0" * 12


_MACHINE = _machine()
_OWN = uuid.uuid4().hex
"""A part of the names of drafts: a process on another host, or in another container, may have our process number."""
_NAME = re.compile(r"\.([0-9a-f]{12}-)?[0-9a-f]{32}-[0-9]{1,12}\.part")
"""The name of a draft; the first part is missing in those of former versions."""
_numbers = itertools.count()


@dataclass(slots=True)
class Draft:
    """A file that is being written, in one folder."""

    descriptor: int
    name: str
    """Empty while it has none."""

    def fill(self, head: bytes, chunks: Iterable[Buffer], mode: int) -> None:
        """Put the whole file there, on disk. Raises OSError, and what `chunks` raise."""
        with open(self.descriptor, "wb", buffering=0, closefd=False) as file:
            set_mode(self.descriptor, mode)
            for piece in itertools.chain([head], chunks):
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) or 0 :]
            os.fsync(self.descriptor)

    def close(self, folder: int) -> None:
        """Let it go: what was given no other name is gone then."""
        try:
            if self.name:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.name, dir_fd=folder)
        finally:
            os.close(self.descriptor)

    def take_name(self, folder: int, name: str) -> bool:
        """Give it this name atomically; False when the name is taken. Raises OSError."""
        try:
            if not self.name:
                _link_unnamed(self.descriptor, folder, name)
                return True
            os.link(self.name, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS or not self.name:
                raise
            return rename_to_free(folder, self.name, name)
        return True

    def replace(self, folder: int, name: str) -> None:
        """Give it this name, whatever had it before. Raises OSError."""
        if not self.name:
            draft = _new_name()
            _link_unnamed(self.descriptor, folder, draft)
            self.name = draft
        os.rename(self.name, name, src_dir_fd=folder, dst_dir_fd=folder)


class Drafts:
    """The drafts of one destination. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_unnamed: dict[int, bool] = {}
        """Device → whether it has files without a name."""
        self._searched: set[tuple[int, int]] = set()

    def begin(self, folder: int) -> Draft:
        """An empty file in this folder, for us alone. Raises OSError."""
        found = os.fstat(folder)
        self._search_once(folder, (found.st_dev, found.st_ino))
        if self._can_be_unnamed(folder, found.st_dev):
            return Draft(_open_unnamed(folder), "")
        while True:
            name = _new_name()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=folder)
            if _is_ours_alone(folder, name, descriptor):
                return Draft(descriptor, name)
            os.close(descriptor)

    def _can_be_unnamed(self, folder: int, device: int) -> bool:
        """Tried once for each file system. Raises OSError of the folder itself."""
        with self._lock:
            known = self._has_unnamed.get(device)
        if known is None:
            known = _try_unnamed(folder)
            with self._lock:
                self._has_unnamed[device] = known
        return known

    def _search_once(self, folder: int, identity: tuple[int, int]) -> None:
        with self._lock:
            if identity in self._searched:
                return
            if len(self._searched) >= MOST_REMEMBERED:
                self._searched.clear()
            self._searched.add(identity)
        try:
            deleted = delete_left(folder)
        except OSError as error:  # what is left does no harm
            log.warning("drafts_not_searched", reason=error.strerror)
            return
        if deleted:
            log.info("drafts_deleted", files=deleted)


def delete_left(folder: int) -> int:
    """Delete drafts of processes that are dead, in this folder alone; how many. Raises OSError."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, MOST_LOOKED_AT) if _NAME.fullmatch(entry.name)]
    return sum(_delete_if_left(folder, name) for name in names)


def _delete_if_left(folder: int, name: str) -> bool:
    if _OWN in name:  # of this process: its other threads are writing it
        return False
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:  # gone meanwhile, or nothing that we may open
        return False
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return False
        if not name.startswith(f".{_MACHINE}-") and time.time() - found.st_mtime < QUIET_S:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    except OSError:  # locked: it is being written; or it cannot be known
        return False
    finally:
        os.close(descriptor)
    return True


def rename_to_free(folder: int, draft: str, name: str) -> bool:
    """Rename on a file system without hard links: hold the name with an empty file, then replace that."""
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder))
    except FileExistsError:
        return False
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    return True


def _open_unnamed(folder: int) -> int:
    return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)


def _link_unnamed(descriptor: int, folder: int, name: str) -> None:
    os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)


def _try_unnamed(folder: int) -> bool:
    """True when a file without a name can be made here, and be given one. Raises OSError."""
    try:
        descriptor = _open_unnamed(folder)
    except OSError as error:
        if error.errno not in NO_UNNAMED_FILES:
            raise
        return False
    try:
        name = _new_name()
        _link_unnamed(descriptor, folder, name)
        os.unlink(name, dir_fd=folder)
    except OSError:  # no /proc, or no hard links
        return False
    finally:
        os.close(descriptor)
    return True


def _is_ours_alone(folder: int, name: str, descriptor: int) -> bool:
    """Lock it. False when a process that deletes what is left was faster, between its making and its lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks here: nobody else gets one either
        return True
    try:
        return os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _new_name() -> str:
    return f".{_MACHINE}-{_OWN}-{next(_numbers)}.part"
