"""The calls of the spool to the operating system, as an object that tests can make fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gateway.common.buffer import Buffer
from gateway.common.file_modes import FILE

IOV_MAX = min(os.sysconf("SC_IOV_MAX"), 1024)
"""Buffers in one `pwritev`."""


_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def is_shortage(error: Exception) -> bool:
    """True when this process or machine was short of something, which says nothing against the file."""
    return isinstance(error, OSError) and error.errno in _SHORTAGES


class Disk(Protocol):
    """The calls that can run out of room or fail; all of them raise OSError."""

    def create(self, path: Path, folder: int | None = None) -> int:
        """A new file for reading and writing; its descriptor. The name must not exist.

        A relative path is looked up in the directory handle `folder`, where it is given.
        """
        ...

    def pwritev(self, descriptor: int, buffers: Sequence[Buffer], offset_bytes: int) -> int: ...

    def fdatasync(self, descriptor: int) -> None: ...

    def truncate(self, file: int | Path, size_bytes: int) -> None:
        """Cut a file; by its descriptor, or by its path."""
        ...

    def unlink(self, path: Path, folder: int | None = None) -> None: ...

    def sync_folder(self, path: Path | int) -> None:
        """Make the names in a folder durable; by its path or its handle."""
        ...

    def free_bytes(self, path: Path | int) -> int:
        """The bytes that an ordinary user may still write on the file system of `path`, or of a handle."""
        ...


class LocalDisk:
    """The real thing. Payloads are patient data: nobody else may read them."""

    def create(self, path: Path, folder: int | None = None) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE, dir_fd=folder)

    def pwritev(self, descriptor: int, buffers: Sequence[Buffer], offset_bytes: int) -> int:
        return os.pwritev(descriptor, buffers, offset_bytes)

    def fdatasync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def truncate(self, file: int | Path, size_bytes: int) -> None:
        os.truncate(file, size_bytes)

    def unlink(self, path: Path, folder: int | None = None) -> None:
        os.unlink(path, dir_fd=folder)

    def sync_folder(self, path: Path | int) -> None:
        if isinstance(path, int):
            os.fsync(path)
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path | int) -> int:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize


def write_all(disk: Disk, descriptor: int, buffers: Sequence[Buffer], offset_bytes: int) -> int:
    """Write all buffers at `offset_bytes`, whatever the kernel takes at once; the offset after them.

    Raises OSError; what was written until then lies after `offset_bytes`.
    """
    while buffers:
        some = buffers[:IOV_MAX]
        written_bytes = disk.pwritev(descriptor, some, offset_bytes)
        offset_bytes += written_bytes
        is_all = written_bytes == sum(map(len, some))
        buffers = buffers[IOV_MAX:] if is_all else _behind(buffers, written_bytes)
    return offset_bytes


def _behind(buffers: Sequence[Buffer], done_bytes: int) -> list[Buffer]:
    """The bytes of all buffers without the first `done_bytes`."""
    for number, buffer in enumerate(buffers):
        if done_bytes < len(buffer):
            return [memoryview(buffer)[done_bytes:], *buffers[number + 1 :]]
        done_bytes -= len(buffer)
    return []
