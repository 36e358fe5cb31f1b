"""Files of what this node received or fetched last, so that a fresh object is sent without being fetched.

Nothing depends on them: they are bounded in bytes, the oldest leave, a start begins without any, and nothing is synced.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import structlog

from gateway.common.buffer import Buffer
from gateway.common.file_modes import FILE, FOLDER
from gateway.ports.errors import Temporary

log = structlog.get_logger()

CACHE = "cache"
"""The folder, in the spool folder."""
MOST_BYTES = 1024**3
KEPT_SHARE = 4
"""A payload that is longer than this share of the cache is not kept: it would drive everything else out."""


class PayloadCache:
    """Payloads by name, each a file. Any thread."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """Payload name → length, and its offset in the file; the one that was used last at the end."""
        self._held_bytes = 0
        self._numbers = itertools.count(1)
        self._is_reported = False
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int) -> None:
        """Keep a copy of a payload. An error of the disk leaves it out; the first one is logged."""
        if not self._fits(length_bytes):
            return
        try:
            os.close(self._written(name, chunks, length_bytes))
        except OSError as error:
            self._report(error)

    def keep_open(self, name: str, chunks: Iterable[Buffer], length_bytes: int) -> int:
        """Write a payload into a file, which stays in the cache if it fits; its descriptor. Raises Temporary, and what
        `chunks` raises."""
        try:
            return self._written(name, chunks, length_bytes)
        except OSError as error:
            raise Temporary(f"payload {name}: {self._folder} takes no copy of it: {error}; free space there") from error

    def adopt(self, name: str, path: Path, offset_bytes: int, length_bytes: int) -> None:
        """Keep a payload that lies in a file at `path`, at this offset. The file leaves its place."""
        if not self._fits(length_bytes):
            return
        try:
            os.rename(path, self._path(name))
        except OSError as error:
            self._report(error)
            return
        self._count(name, length_bytes, offset_bytes)

    def open(self, name: str) -> tuple[int, int] | None:
        """A descriptor of the file of a payload, and the offset of its first byte; None when it is not kept."""
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                return None
            self._kept.move_to_end(name)
        try:
            return os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC), found[1]
        except OSError:
            self.drop(name)
            return None

    def drop(self, name: str) -> None:
        """Keep a payload no more."""
        with self._lock:
            self._held_bytes -= self._kept.pop(name, (0, 0))[0]
        with contextlib.suppress(OSError):
            os.unlink(self._path(name))

    def _fits(self, length_bytes: int) -> bool:
        return length_bytes <= self._most_bytes // KEPT_SHARE

    def _written(self, name: str, chunks: Iterable[Buffer], length_bytes: int) -> int:
        """Raises OSError."""
        draft = f"{self._path(name)}.{next(self._numbers)}.new"
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
        try:
            for chunk in chunks:
                _write_all(descriptor, chunk)
            if self._fits(length_bytes):
                os.rename(draft, self._path(name))
            else:
                os.unlink(draft)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
        if self._fits(length_bytes):
            self._count(name, length_bytes, 0)
        return descriptor

    def _count(self, name: str, length_bytes: int, offset_bytes: int) -> None:
        with self._lock:
            self._held_bytes += length_bytes - self._kept.pop(name, (0, 0))[0]
            self._kept[name] = length_bytes, offset_bytes
            surplus, held_bytes = [], self._held_bytes
            for oldest, (size_bytes, _) in self._kept.items():
                if held_bytes <= self._most_bytes:
                    break
                held_bytes -= size_bytes
                surplus.append(oldest)
        for oldest in surplus:
            self.drop(oldest)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name.replace('/', '_')}"

    def _report(self, error: OSError) -> None:
        if not self._is_reported:
            self._is_reported = True
            log.warning(
                "payload_not_cached",
                folder=str(self._folder),
                error=str(error),
                consequence="what is sent is fetched from the database or the object store",
            )


def _write_all(descriptor: int, data: Buffer) -> None:
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += os.write(descriptor, view[done:])
