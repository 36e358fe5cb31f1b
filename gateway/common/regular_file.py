"""Opening regular files alone: never waiting for a pipe or a device that stands in the place of one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def open_regular_file(path: Path | str, folder: int | None = None) -> int:
    """A descriptor for reading; a relative path is looked up in the directory handle `folder`, where it is given.

    Raises OSError: it cannot be opened, or is no regular file (EINVAL).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def read_regular_file(path: Path, limit_bytes: int) -> bytes:
    """The content of `path`, at most `limit_bytes` + 1 bytes of it, so that the caller sees what is too long.

    Raises:
        OSError: it cannot be opened or read, or it is no regular file (EINVAL).
        ValueError: the path holds a zero byte.
    """
    with open(open_regular_file(path), "rb", buffering=0) as stream:
        parts: list[bytes] = []
        rest = limit_bytes + 1
        while rest and (part := stream.read(rest)):
            parts.append(part)
            rest -= len(part)
        return b"".join(parts)
