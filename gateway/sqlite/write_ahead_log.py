"""SQLite's write-ahead log as bytes: how much of it SQLite will read, and whether whole frames stand behind that.

A log ends where a frame's checksum does not agree: after a power cut that is how it should be. Where whole frames
stand behind such a place, the log was damaged later: pages may already be in the database that are newer than what
SQLite reads of the log, and the two do not belong together. The format is that of
https://www.sqlite.org/fileformat2.html#walformat.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from gateway.common.regular_file import open_regular_file

HEADER = struct.Struct(">8I")
FRAME = struct.Struct(">6I")
MAGIC_LITTLE, MAGIC_BIG = 0x377F0682, 0x377F0683


@dataclass(frozen=True, slots=True)
class LogState:
    """The state of a write-ahead log."""

    size_bytes: int = 0
    read_bytes: int = 0
    """Up to here SQLite reads it."""
    whole_behind: int = 0
    """Whole frames of the same generation behind that place, up to the last that ends a transaction: what was rolled
    back leaves frames too, and does not end."""

    @property
    def is_damaged(self) -> bool:
        """True when something is missing in its middle, which no power cut does to what was synced."""
        return self.whole_behind > 0


@dataclass(frozen=True, slots=True)
class SharedMemoryIndex:
    """The content of the index file of the log, which processes share: it outlives a process that was killed."""

    salt: bytes
    """The salt of the generation of the log that it is about."""
    frames: int
    """Committed in the log."""
    backfilled: int
    """The number of them that stand in the database already."""
    generation: tuple[int, bytes]
    """Length of a page and salt as the log itself had them at that moment; (0, b"") without a header."""


def log_of(database: Path) -> Path:
    """The path of the write-ahead log of a database."""
    return database.with_name(f"{database.name}-wal")


def index_of(database: Path) -> Path:
    """The path of the index of the write-ahead log, which processes share."""
    return database.with_name(f"{database.name}-shm")


def read_log(database: Path, *, is_open: bool = False) -> LogState:
    """The state of its log; an empty one when there is none. Raises OSError.

    `is_open`: SQLite has read it meanwhile and shares its index; what it took need not be checked again.
    """
    if not log_of(database).is_file():
        return LogState()
    data = log_of(database).read_bytes()
    if len(data) < HEADER.size:
        return LogState(len(data))
    magic, _, page_bytes, _, *salt, first, second = HEADER.unpack_from(data)
    order = {MAGIC_LITTLE: "<", MAGIC_BIG: ">"}.get(magic)
    if order is None or page_bytes < 512 or page_bytes & (page_bytes - 1):
        return LogState(len(data), 0, _frames_without_header(data))
    if _checksum(data[: HEADER.size - 8], order, (0, 0)) != (first, second):
        return LogState(len(data), 0, _frames_without_header(data))
    known = HEADER.size + (_frames_taken(database, data) if is_open else 0) * (FRAME.size + page_bytes)
    if HEADER.size < known <= len(data):
        *_, first, second = FRAME.unpack_from(data, known - FRAME.size - page_bytes)
    else:
        known = HEADER.size
    return _read_frames(data, page_bytes, order, salt, (first, second), known)


def read_shared(database: Path) -> SharedMemoryIndex | None:
    """None when it is not there, or says nothing whole. The first connection after all were closed empties it."""
    try:
        with open(open_regular_file(index_of(database)), "rb") as file:
            data = file.read(100)
    except OSError:
        return None
    if len(data) < 100 or data[:48] != data[48:96] or not data[12]:
        return None
    (frames,), (backfilled,) = struct.unpack_from("=I", data, 16), struct.unpack_from("=I", data, 96)
    return SharedMemoryIndex(data[32:40], int(frames), int(backfilled), _generation(log_of(database)))


def lost_frames(shared: SharedMemoryIndex | None, database: Path, state: LogState) -> tuple[int, bool]:
    """The frames that are lost of the last process's log: the number of committed frames that SQLite reads no more
    and that stand nowhere else; and whether the database has newer pages than those that SQLite still reads of the log.
    `state` was read later; (0, False) when another process has begun the log anew, or put it away, meanwhile.
    """
    if shared is None or _generation(log_of(database)) != shared.generation:
        return 0, False
    page_bytes, salt = shared.generation
    if salt and salt != shared.salt:
        return 0, False
    frames = max(state.read_bytes - HEADER.size, 0) // (FRAME.size + page_bytes) if page_bytes else 0
    return max(shared.frames - max(frames, shared.backfilled), 0), 0 < frames < shared.backfilled


def _generation(log: Path) -> tuple[int, bytes]:
    """Length of a page, and salt; 0 and b"" without a header."""
    try:
        with open(open_regular_file(log), "rb") as file:
            data = file.read(HEADER.size)
    except OSError:
        return 0, b""
    return (HEADER.unpack(data)[2], data[16:24]) if len(data) == HEADER.size else (0, b"")


def _frames_taken(database: Path, log: bytes) -> int:
    """The number of frames that SQLite has taken, as processes share it; 0 when they do not, or of another
    generation.
    """
    shared = read_shared(database)
    return shared.frames if shared is not None and shared.salt == log[16:24] else 0


def _read_frames(
    data: bytes, page_bytes: int, order: str, salt: list[int], before: tuple[int, int], start_bytes: int
) -> LogState:
    """Each frame's checksum goes on from that of the frame before, which stands in it."""
    step_bytes = FRAME.size + page_bytes
    read_bytes, whole, whole_behind, is_broken = start_bytes, 0, 0, False
    for at in range(start_bytes, len(data) - step_bytes + 1, step_bytes):
        _, pages_after_commit, *found_salt, first, second = FRAME.unpack_from(data, at)
        if found_salt != salt:
            is_broken = True
            before = (first, second)
            continue
        middle = _checksum(data[at : at + 8], order, before)
        is_whole = _checksum(data[at + FRAME.size : at + step_bytes], order, middle) == (first, second)
        if is_whole and not is_broken:
            read_bytes = at + step_bytes
        whole += is_whole and is_broken
        if is_whole and is_broken and pages_after_commit:
            whole_behind = whole
        is_broken |= not is_whole
        before = (first, second)
    return LogState(len(data), read_bytes, whole_behind)


def _frames_without_header(data: bytes) -> int:
    """1 when bytes stand behind a header that cannot be read, else 0."""
    return int(any(data[HEADER.size :]))


def _checksum(data: bytes, order: str, before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second
