"""Scratch space for steps from one data set to another: in memory while it is small, else in a file without a name."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import IO

from gateway.common.buffer import Buffer

STEP_BYTES = 32 * 1024**2
"""The number of bytes after which the free room is looked at again."""

MEMORY_BYTES = 8 * 1024**2
"""Up to here nothing is written to a file."""


def _nothing(_: int) -> None:
    pass


class Scratch:
    """Makes room in `folder`, or in the system's folder for temporary files. The room lives as long as its views.

    `before_mapping` gets the number of bytes that are about to be mapped: they count for a limit of the address space.
    `keep_free_bytes` of the file system are for others.
    """

    def __init__(
        self,
        folder: str | None = None,
        before_mapping: Callable[[int], None] = _nothing,
        keep_free_bytes: int = 0,
    ) -> None:
        self.folder = folder
        self.before_mapping = before_mapping
        self._keep_free_bytes = keep_free_bytes

    def check_room(self) -> None:
        """Raises OSError as a disk that is full does, while there is still some room."""
        if not self._keep_free_bytes:
            return
        found = os.statvfs(self.folder or tempfile.gettempdir())
        if found.f_bavail * found.f_frsize < self._keep_free_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def gathering(self) -> Gathering:
        """An empty one."""
        return Gathering(self)

    def joined(self, pieces: Iterable[Buffer]) -> memoryview:
        """All pieces as one view; one piece is given back as it is."""
        some = list(pieces)
        if len(some) == 1:
            return memoryview(some[0])
        gathering = self.gathering()
        for piece in some:
            gathering.add(piece)
        return gathering.view()


class Gathering:
    """Bytes that are added one after the other, and then looked at as a whole."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self.length_bytes = 0
        self._unseen_bytes = 0
        """Written since the room was looked at."""

    def add(self, piece: Buffer) -> None:
        """Raises OSError when the disk is full, or nearly so."""
        self.length_bytes += len(piece)
        if self._file is not None:
            self._file.write(piece)
            self._unseen_bytes += len(piece)
            if self._unseen_bytes >= STEP_BYTES:
                self._scratch.check_room()
                self._unseen_bytes = 0
            return
        self._memory += piece
        if len(self._memory) > MEMORY_BYTES:
            self._scratch.check_room()
            self._file = tempfile.TemporaryFile(dir=self._scratch.folder)  # noqa: SIM115 - closed by `view`
            self._file.write(self._memory)
            self._memory = bytearray()

    def view(self) -> memoryview:
        """All of it, read-only; nothing may be added any more."""
        if self._file is None:
            return memoryview(self._memory).toreadonly()
        self._file.flush()
        self._scratch.before_mapping(self.length_bytes)
        with self._file as file:
            return memoryview(mmap.mmap(file.fileno(), self.length_bytes, access=mmap.ACCESS_READ))
