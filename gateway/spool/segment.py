"""Append-only files that hold many small payloads with their redo records, and reading them back."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from gateway.common.buffer import Buffer
from gateway.common.file_place import leads_to
from gateway.common.regular_file import open_regular_file
from gateway.model.instance import PayloadRef
from gateway.ports.errors import PayloadLost
from gateway.spool import record
from gateway.spool.digest import digest_of, has_digest
from gateway.spool.disk import Disk, write_all
from gateway.spool.folder import SpoolFolder, identity_of
from gateway.spool.read_errors import cannot_read, cut_short

FOLDER = "segments"
SUFFIX = ".seg"
AHEAD_BYTES = 1024**2
"""Written ahead with zeros: a sync of bytes that overwrite others need not make the file's new length durable, which
takes as long again."""
SMALL_GROUP_BYTES = 128 * 1024
"""Up to here a group is small enough to gain by that."""
_ZEROS = bytes(AHEAD_BYTES)
OPEN_FILES = 64
"""Files kept open for reading."""


class Payload(Protocol):
    """Bytes to be appended; `pieces` are written as they are, never joined."""

    @property
    def pieces(self) -> Sequence[Buffer]: ...
    @property
    def transfer_syntax_uid(self) -> str: ...


class Segment:
    """The segment that is written now.

    Behind its records it may have zeros, which are no record; `close` takes them away, or after a crash the next start.
    """

    def __init__(self, spool: SpoolFolder, name: str, disk: Disk, limit_bytes: int = 0, seed: int = 0) -> None:
        """Open segment `name`. No zeros are written ahead beyond `limit_bytes`. `seed`: see `gateway.spool.record`."""
        self.name = name
        self._seed = seed
        self.size_bytes = 0
        """The end of what is trusted; the next record starts there."""
        self._before_bytes = 0
        """The same before the last group."""
        self._file_bytes = 0
        """The length of the file."""
        self._limit_bytes = limit_bytes
        self._disk = disk
        self._spool = spool
        self._descriptor = spool.create(name, disk)
        try:
            spool.sync(FOLDER, disk)
        except OSError:
            self.close()
            spool.unlink(name, disk)
            raise

        self.identity = identity_of(os.fstat(self._descriptor))
        self._path = spool.path_of(name)

    @property
    def is_there(self) -> bool:
        """True while the whole path, from the root of the file system on, leads to the file that is written."""
        return leads_to(self._path, *self.identity)

    def append(
        self, payloads: Sequence[Payload], redo: Callable[[Sequence[PayloadRef]], bytes] | None = None
    ) -> list[PayloadRef]:
        """Write all payloads at once, not yet durable, and behind them what `redo` makes of where they lie.

        Raises OSError, and then nothing was appended.
        """
        buffers: list[Buffer] = []
        refs = []
        end_bytes = self.size_bytes
        for payload in payloads:
            pieces = payload.pieces
            digest = digest_of(pieces)
            length_bytes = sum(map(len, pieces))
            checksum = record.checksum_of(pieces)
            header = record.pack(
                length_bytes, digest, payload.transfer_syntax_uid, record.PAYLOAD, checksum, self._seed
            )
            buffers += (header, *pieces)
            start_bytes = end_bytes + record.HEADER_BYTES
            refs.append(PayloadRef(self.name, start_bytes, length_bytes, digest))
            end_bytes = start_bytes + length_bytes
        if redo is not None:
            redo_record = redo(refs)
            buffers += (self._header(record.REDO, redo_record), redo_record)
            end_bytes += record.HEADER_BYTES + len(redo_record)
        self._write(buffers, end_bytes)
        return refs

    def append_record(self, kind: int, data: bytes) -> None:
        """Write a record that is no payload, not yet durable. Raises OSError, and then nothing was appended."""
        self._write([self._header(kind, data), data], self.size_bytes + record.HEADER_BYTES + len(data))

    def _header(self, kind: int, data: bytes) -> bytes:
        return record.pack(len(data), digest_of([data]), "", kind, seed=self._seed)

    def _write(self, buffers: list[Buffer], end_bytes: int) -> None:
        """Write a group that ends there, and zeros behind it."""
        ahead_bytes = self._ahead_bytes(end_bytes)
        if ahead_bytes:
            buffers.append(memoryview(_ZEROS)[:ahead_bytes])
        written_bytes = write_all(self._disk, self._descriptor, buffers, self.size_bytes)
        self._before_bytes, self.size_bytes = self.size_bytes, end_bytes
        self._file_bytes = max(self._file_bytes, written_bytes)

    def _ahead_bytes(self, end_bytes: int) -> int:
        """The number of zeros to write behind a group that ends there."""
        if end_bytes <= self._file_bytes or end_bytes - self.size_bytes > SMALL_GROUP_BYTES:
            return 0
        return max(0, min(AHEAD_BYTES, self._limit_bytes - end_bytes))

    def sync(self) -> None:
        """Make everything appended durable. Raises OSError, and then the segment must not be written again."""
        self._disk.fdatasync(self._descriptor)

    def cut(self) -> None:
        """Take back what a failed `append` left behind the end. Raises OSError."""
        self._disk.truncate(self._descriptor, self.size_bytes)
        self._file_bytes = self.size_bytes

    def take_back(self) -> None:
        """Take the last group out again, durably. Raises OSError; then it may still be there."""
        self._disk.truncate(self._descriptor, self._before_bytes)
        self._file_bytes = self._before_bytes
        self._disk.fdatasync(self._descriptor)
        self.size_bytes = self._before_bytes

    def close(self) -> None:
        """Close the segment. It gets no more groups, and the zeros behind its end are cut."""
        if self._file_bytes > self.size_bytes:
            with contextlib.suppress(OSError):  # else the next start does it
                self.cut()
        os.close(self._descriptor)


def segment_name(number: int) -> str:
    """Relative to the spool folder."""
    return f"{FOLDER}/{number:08d}{SUFFIX}"


class _OpenFile:
    """A descriptor that is closed when nobody reads with it any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


class SegmentReader:
    """Reads payloads into memory; the last used files stay open. Any thread.

    `open_file` gives a descriptor for a name; without it the spool folder is found by its path `root`.
    """

    def __init__(self, root: Path, open_file: Callable[[str], int] | None = None) -> None:
        self._open_file = open_file or (lambda name: open_regular_file(root / name))
        self._files: OrderedDict[str, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, ref: PayloadRef) -> memoryview:
        """The bytes, checked against header and digest.

        Raises PayloadLost when they are damaged; PayloadMissing, Temporary when they cannot be read now.
        """
        start_bytes = ref.offset_bytes - record.HEADER_BYTES
        try:
            file = self._file(ref.name)
            stored = os.pread(file.descriptor, record.HEADER_BYTES + ref.length_bytes, start_bytes)
        except OSError as error:
            raise cannot_read(ref.name, error) from error
        return _checked(ref, stored)

    def read_cached(self, ref: PayloadRef) -> memoryview | None:
        """As `read`, when the system has all of it in memory; None when the disk would have to be waited for."""
        stored = bytearray(record.HEADER_BYTES + ref.length_bytes)
        try:
            descriptor = self._file(ref.name).descriptor
            got_bytes = os.preadv(descriptor, [stored], ref.offset_bytes - record.HEADER_BYTES, os.RWF_NOWAIT)
        except OSError:  # not in memory, or a file system that cannot tell; `read` says what else is wrong
            return None
        return _checked(ref, stored) if got_bytes == len(stored) else None

    def forget(self, name: str) -> None:
        """The file is gone."""
        with self._lock:
            self._files.pop(name, None)

    def close(self) -> None:
        with self._lock:
            self._files.clear()

    def _file(self, name: str) -> _OpenFile:
        with self._lock:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = _OpenFile(self._open_file(name))
                if len(self._files) > OPEN_FILES:
                    self._files.popitem(last=False)
            else:
                self._files.move_to_end(name)
            return file


def _checked(ref: PayloadRef, stored: Buffer) -> memoryview:
    """The payload behind its header. Raises PayloadLost, PayloadMissing."""
    missing_bytes = record.HEADER_BYTES + ref.length_bytes - len(stored)
    if missing_bytes:
        raise cut_short(ref.name, missing_bytes)
    whole = memoryview(stored).toreadonly()
    payload = whole[record.HEADER_BYTES :]
    found = record.unpack(bytes(whole[: record.HEADER_BYTES]), 0, None)
    is_its_header = found is not None and (found.length_bytes, found.digest) == (ref.length_bytes, ref.digest)
    checksum = found.checksum if found is not None and is_its_header else 0
    if not _is_unchanged(payload, checksum, ref.digest):
        raise PayloadLost(
            f"payload {ref.name} at {ref.offset_bytes}: the stored bytes are changed or another object's; "
            "look at the disk, then discard what is lost"
        )
    return payload


def _is_unchanged(payload: memoryview, checksum: int, digest: bytes) -> bool:
    """A damaged header loses nothing: the digest alone decides then."""
    return (bool(checksum) and record.checksum_of([payload]) == checksum) or has_digest([payload], digest)


def check(ref: PayloadRef, header: bytes) -> record.RecordHeader:
    """The content of a payload's header; without a checksum when it is damaged: then the digest alone decides."""
    found = record.unpack(header, ref.offset_bytes - record.HEADER_BYTES, None)
    if found is not None and (found.length_bytes, found.digest) == (ref.length_bytes, ref.digest):
        return found
    return record.RecordHeader(ref.offset_bytes, ref.length_bytes, ref.digest, "")
