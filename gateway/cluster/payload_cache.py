"""Copies of what this node received or fetched last, so that a fresh object is sent without being fetched.

Groups wait in memory until a file of some length holds several of them: a file for each costs a node a tenth of what it
does for an object that comes alone. Nothing depends on the files: they are bounded in bytes and in their number of
payloads, the oldest leave, a start begins without any, and nothing is synced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from gateway.common.buffer import Buffer
from gateway.common.file_modes import FILE, FOLDER
from gateway.ports.errors import Temporary
from gateway.spool.disk import LocalDisk, write_all

log = structlog.get_logger()

CACHE = "cache"
"""The folder, in the spool folder."""
MOST_BYTES = 1024**3
MOST_PAYLOADS = 100_000
"""Names in files: each takes 260 bytes of memory."""
KEPT_SHARE = 4
"""A payload that is longer than this share of the cache is not kept: it would drive everything else out."""
FILE_BYTES, FILE_GROUPS = 1024**2, 4096
"""Groups wait until so much of them, or so many, go into one file."""
WRITTEN_AT_ONCE_BYTES = 512 * 1024
"""Bytes that one call writes, but for a longer piece: for more Linux looks for long stretches of free memory, which
takes three times as long."""
WAITING_BYTES, WAITING_GROUPS = 16 * FILE_BYTES, 16 * FILE_GROUPS
"""While so much or so many wait for a slow disk, further groups are left out: memory stays flat."""


@dataclasses.dataclass(slots=True)
class _File:
    length_bytes: int
    names: set[str]
    """The payloads in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Waiting:
    pieces: Sequence[Buffer]
    length_bytes: int


class PayloadCache:
    """Payloads by name, in memory or in files. Any thread."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, most_payloads: int = MOST_PAYLOADS) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_payloads = most_payloads
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._waiting_bytes = 0
        self._is_writing = False
        self._places: dict[str, tuple[str, int]] = {}
        """Payload name → path of its file, and its offset there."""
        self._files: OrderedDict[str, _File] = OrderedDict()
        """By path; the one that was used last at the end."""
        self._held_bytes = 0
        self._numbers = itertools.count(1)
        self._is_reported = False
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)

    # --- what comes in ------------------------------------------------------------------------------------------

    def add(self, name: str, pieces: Sequence[Buffer], length_bytes: int) -> bool:
        """Keep a group, in memory for now; True when it is time for `write`."""
        with self._lock:
            is_full = self._waiting_bytes + length_bytes > WAITING_BYTES or len(self._waiting) >= WAITING_GROUPS
            if is_full or not self._fits(length_bytes):
                return False
            self._waiting_bytes += length_bytes - self._length_waiting(name)
            self._waiting[name] = _Waiting(pieces, length_bytes)
            if self._is_writing or not self._is_enough():
                return False
            self._is_writing = True
            return True

    def write(self) -> None:
        """Write the groups that wait into a file, and again while there are enough. An error of the disk leaves them
        out; the first one is logged."""
        is_more = True
        while is_more:
            with self._lock:
                groups = dict(self._waiting)
            path = ""
            try:
                path = self._written_groups(groups)
            except OSError as error:
                self._report(error)
            with self._lock:
                gone = self._leave_memory(groups, path)
                is_more = self._is_writing = self._is_enough()
            _unlink(gone)

    def _written_groups(self, groups: dict[str, _Waiting]) -> str:
        """The path of a file with these, one behind the other. Raises OSError."""
        path = self._new_path()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
        try:
            offset_bytes = 0
            for pieces in _at_once([piece for group in groups.values() for piece in group.pieces]):
                offset_bytes = write_all(LocalDisk(), descriptor, pieces, offset_bytes)
        except BaseException:
            _unlink([path])
            raise
        finally:
            os.close(descriptor)
        return path

    def _leave_memory(self, groups: dict[str, _Waiting], path: str) -> list[str]:
        """They lie in this file now, or nowhere without one; those that were dropped meanwhile stay so. Paths of files
        that are to go."""
        offset_bytes, gone, places = 0, [], {}
        for name, group in groups.items():
            if self._waiting.get(name) is group:
                del self._waiting[name]
                self._waiting_bytes -= group.length_bytes
                places[name] = offset_bytes
            offset_bytes += group.length_bytes
        if path:
            gone = self._count(path, offset_bytes, places)
        return gone

    def keep_open(self, name: str, chunks: Iterable[Buffer], length_bytes: int) -> int:
        """Write a payload into a file, which stays in the cache if it fits; its descriptor. Raises Temporary, and what
        `chunks` raises."""
        try:
            path, descriptor = self._written(chunks)
        except OSError as error:
            raise Temporary(f"payload {name}: {self._folder} takes no copy of it: {error}; free space there") from error
        self._keep(path, name, length_bytes, 0)
        return descriptor

    def _written(self, chunks: Iterable[Buffer]) -> tuple[str, int]:
        """Path and descriptor. Raises OSError."""
        path = self._new_path()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
        try:
            offset_bytes = 0
            for chunk in chunks:
                offset_bytes = write_all(LocalDisk(), descriptor, [chunk], offset_bytes)
        except BaseException:
            os.close(descriptor)
            _unlink([path])
            raise
        return path, descriptor

    def adopt(self, name: str, path: Path, offset_bytes: int, length_bytes: int) -> None:
        """Keep a payload that lies in a file at `path`, at this offset. The file leaves its place."""
        if not self._fits(length_bytes):
            return
        here = self._new_path()
        try:
            os.rename(path, here)
        except OSError as error:
            self._report(error)
            return
        self._keep(here, name, length_bytes, offset_bytes)

    def _keep(self, path: str, name: str, length_bytes: int, offset_bytes: int) -> None:
        """Keep one payload in a file of its own, if it fits."""
        gone = [path]
        if self._fits(length_bytes):
            with self._lock:
                gone = self._count(path, length_bytes, {name: offset_bytes})
        _unlink(gone)

    # --- what is there ------------------------------------------------------------------------------------------

    def waiting(self, name: str, offset_bytes: int, length_bytes: int) -> Sequence[Buffer] | None:
        """A part of a payload that is still in memory; None when it is not."""
        with self._lock:
            found = self._waiting.get(name)
        return None if found is None else _part(found.pieces, offset_bytes, length_bytes)

    def open(self, name: str) -> tuple[int, int] | None:
        """A descriptor of the file of a payload, and the offset of its first byte; None when it is in none."""
        with self._lock:
            found = self._places.get(name)
            if found is None:
                return None
            self._files.move_to_end(found[0])
        try:
            return os.open(found[0], os.O_RDONLY | os.O_CLOEXEC), found[1]
        except OSError:
            self.drop(name)
            return None

    def drop(self, name: str) -> None:
        """Keep a payload no more."""
        with self._lock:
            self._waiting_bytes -= self._length_waiting(name)
            self._waiting.pop(name, None)
            gone = self._forget(name)
        _unlink(gone)

    # --- inside; with the lock ----------------------------------------------------------------------------------

    def _is_enough(self) -> bool:
        """True when a file is to be written."""
        return self._waiting_bytes >= FILE_BYTES or len(self._waiting) >= FILE_GROUPS

    def _length_waiting(self, name: str) -> int:
        found = self._waiting.get(name)
        return 0 if found is None else found.length_bytes

    def _count(self, path: str, length_bytes: int, places: dict[str, int]) -> list[str]:
        """A file with payloads at these offsets is there. Paths of files that are to go."""
        gone = [old for name in places for old in self._forget(name)]
        self._files[path] = _File(length_bytes, set(places))
        self._held_bytes += length_bytes
        self._places |= {name: (path, offset_bytes) for name, offset_bytes in places.items()}
        if not places:
            gone += self._forget_file(path)
        while self._held_bytes > self._most_bytes or len(self._places) > self._most_payloads:
            gone += self._forget_file(next(iter(self._files)))
        return gone

    def _forget(self, name: str) -> list[str]:
        """The path of its file, when nothing else is in it."""
        path, _ = self._places.pop(name, ("", 0))
        if not path:
            return []
        self._files[path].names.discard(name)
        return [] if self._files[path].names else self._forget_file(path)

    def _forget_file(self, path: str) -> list[str]:
        file = self._files.pop(path)
        self._held_bytes -= file.length_bytes
        for name in file.names:
            del self._places[name]
        return [path]

    # --- small things -------------------------------------------------------------------------------------------

    def _fits(self, length_bytes: int) -> bool:
        return length_bytes <= self._most_bytes // KEPT_SHARE

    def _new_path(self) -> str:
        return f"{self._folder}/{next(self._numbers)}"

    def _report(self, error: OSError) -> None:
        if not self._is_reported:
            self._is_reported = True
            log.warning(
                "payload_not_cached",
                folder=str(self._folder),
                error=str(error),
                consequence="what is sent is fetched from the database or the object store",
            )


def _unlink(paths: Iterable[str]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _at_once(pieces: Iterable[Buffer]) -> Iterator[Sequence[Buffer]]:
    """The pieces in order, as many together as one call writes."""
    together: list[Buffer] = []
    length_bytes = 0
    for piece in pieces:
        if together and length_bytes + len(piece) > WRITTEN_AT_ONCE_BYTES:
            yield together
            together, length_bytes = [], 0
        together.append(piece)
        length_bytes += len(piece)
    if together:
        yield together


def _part(pieces: Sequence[Buffer], start: int, length: int) -> list[memoryview]:
    """A range of the bytes of all pieces; nothing is copied."""
    found: list[memoryview] = []
    for piece in pieces:
        if start < len(piece) and length:
            found.append(memoryview(piece)[start : start + length])
            length -= len(found[-1])
        start = max(start - len(piece), 0)
    return found
