"""Encoded data sets: in memory or in a file."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from gateway.common.buffer import Buffer
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, PayloadLost
from gateway.spool import record
from gateway.spool.digest import has_digest
from gateway.spool.read_errors import cannot_read, cut_short

PAGES_KEPT_BYTES = 8 * 1024**2
"""The bytes of a mapped file that are touched in order before its pages are given back, so that resident memory stays
flat."""

CHECKED_BYTES = 1024**2
"""A read while nobody wants the bytes but their digest."""

POPULATE_READ = 22
"""`MADV_POPULATE_READ` of Linux 5.14, which Python does not name: maps pages for reading, or says that it cannot."""


def _nothing() -> None:
    pass


def _unreported(_: GatewayError) -> None:
    pass


class InMemoryDataSet:
    """Chunks as they arrived; `view` joins them once. `on_close` runs once, at the latest with the object's end."""

    __slots__ = ("_on_close", "length_bytes", "pieces")

    def __init__(self, chunks: Sequence[Buffer], on_close: Callable[[], None] = _nothing) -> None:
        self.pieces: Sequence[Buffer] = list(chunks)
        self._on_close = on_close
        self.length_bytes = sum(map(len, self.pieces))

    def view(self) -> memoryview:
        """All bytes, read-only."""
        if len(self.pieces) != 1:
            self.pieces = [b"".join(self.pieces)]
        return memoryview(self.pieces[0]).toreadonly()

    def chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        """Pieces as they arrived, cut where they are longer than `size_bytes`; nothing is copied."""
        return slices(self.pieces, size_bytes)

    def close(self) -> None:
        on_close, self._on_close = self._on_close, _nothing
        self.pieces = ()
        on_close()

    def __del__(self) -> None:
        if self._on_close is not _nothing:
            self.close()


class FileDataSet:
    """A part of a file: `view` maps it, `chunks` reads it in pieces. Closes the descriptor unless `on_close` does.

    With a `digest` the last chunk is given only when all of them have that digest, or what its header's `checksum`
    says (`gateway.spool.record`): what is sent on the way is not complete without it. `report` is told of each error
    that is raised.
    """

    __slots__ = (
        "_checksum",
        "_descriptor",
        "_digest",
        "_map",
        "_name",
        "_offset_bytes",
        "_on_close",
        "_report",
        "length_bytes",
    )

    def __init__(
        self,
        descriptor: int,
        offset_bytes: int,
        length_bytes: int,
        name: str,
        on_close: Callable[[], None] | None = None,
        digest: bytes = b"",
        report: Callable[[GatewayError], None] = _unreported,
    ) -> None:
        self._digest = digest
        self._report = report
        self._checksum = 0
        self._descriptor = descriptor
        self._offset_bytes = offset_bytes
        self._name = name
        self._on_close = on_close if on_close is not None else lambda: os.close(descriptor)
        self._map: mmap.mmap | None = None
        self.length_bytes = length_bytes

    def view(self) -> memoryview:
        """All bytes, read-only, mapped; those of a stored object are read from disk once.

        Raises PayloadMissing when the file is shorter than it was; Temporary when it cannot be mapped or read now.
        """
        end_bytes = self._offset_bytes + self.length_bytes
        if self._map is None:
            if self.length_bytes == 0:
                return memoryview(b"")
            try:
                mapped = mmap.mmap(self._descriptor, end_bytes, access=mmap.ACCESS_READ)
            except OSError as error:
                raise self._reported(cannot_read(self._name, error)) from error
            except ValueError as error:  # it ends before the payload does
                missing_bytes = end_bytes - os.fstat(self._descriptor).st_size
                raise self._reported(cut_short(self._name, missing_bytes)) from error
            if self._digest:
                self._have_read(mapped, end_bytes)
            self._map = mapped
        return memoryview(self._map)[self._offset_bytes : end_bytes]

    def _have_read(self, mapped: mmap.mmap, end_bytes: int) -> None:
        """Have the disk give all of a stored object once. A page that it cannot give is an error here; touched, it
        would be the signal SIGBUS, which ends the process, and does so again at every start.

        Raises PayloadMissing, Temporary.
        """
        for start in range(0, end_bytes, PAGES_KEPT_BYTES):
            size_bytes = min(PAGES_KEPT_BYTES, end_bytes - start)
            try:
                mapped.madvise(POPULATE_READ, start, size_bytes)
            except OSError:  # a page cannot be read, which a read explains; or the kernel does not know this advice
                self._read_through(max(start - self._offset_bytes, 0), start + size_bytes - self._offset_bytes)
            mapped.madvise(mmap.MADV_DONTNEED, start, size_bytes)

    def _read_through(self, start_bytes: int, end_bytes: int) -> None:
        """Raises PayloadMissing, Temporary."""
        while start_bytes < end_bytes:
            chunk = self._read(min(CHECKED_BYTES, end_bytes - start_bytes), start_bytes)
            if not chunk:
                raise self._reported(cut_short(self._name, self.length_bytes - start_bytes))
            start_bytes += len(chunk)

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """Pieces read one after the other.

        Raises PayloadLost when they have changed; PayloadMissing, Temporary when they cannot be read now.
        """
        done_bytes = 0
        found = record.Checksum()
        while done_bytes < self.length_bytes:
            wanted_bytes = min(size_bytes, self.length_bytes - done_bytes)
            chunk = self._read(wanted_bytes, done_bytes)
            if not chunk:
                raise self._reported(cut_short(self._name, self.length_bytes - done_bytes))
            done_bytes += len(chunk)
            if self._digest:
                found.update(chunk)
                if done_bytes == self.length_bytes and found.value() != self._checksum and not self._has_digest():
                    changed = PayloadLost(f"payload {self._name}: the stored bytes are changed; look at the disk")
                    raise self._reported(changed)
            yield chunk

    def _read(self, wanted_bytes: int, start_bytes: int) -> bytes:
        """Raises Temporary."""
        try:
            return os.pread(self._descriptor, wanted_bytes, self._offset_bytes + start_bytes)
        except OSError as error:
            raise self._reported(cannot_read(self._name, error)) from error

    def _reported(self, error: GatewayError) -> GatewayError:
        self._report(error)
        return error

    def expect(self, checksum: int) -> None:
        """Set the checksum of the header; 0 for none."""
        self._checksum = checksum

    def _has_digest(self) -> bool:
        """Reads everything once more. Raises Temporary."""
        starts = range(0, self.length_bytes, CHECKED_BYTES)
        pieces = (self._read(min(CHECKED_BYTES, self.length_bytes - start), start) for start in starts)
        return has_digest(pieces, self._digest)

    def check(self) -> None:
        """Read all of it once, for a caller that takes it by `view` and passes it on.

        Raises PayloadLost when the bytes have not their digest any more; Temporary when they cannot be read now.
        """
        for _ in self.chunks(CHECKED_BYTES):
            pass

    def drop_pages(self) -> None:
        """Give mapped pages back to the system; they are read again when touched again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        on_close, self._on_close = self._on_close, _nothing
        if self._map is not None:
            with contextlib.suppress(BufferError):  # somebody still holds a view: the map goes with it
                self._map.close()
            self._map = None
        on_close()

    def __del__(self) -> None:
        self.close()


def verify(body: EncodedDataSet) -> None:
    """Check the bytes of a file before pieces of its `view` are passed on, as `chunks` does on the way.

    Raises PayloadLost, Temporary: see `FileDataSet.check`.
    """
    if isinstance(body, FileDataSet):
        body.check()


def slices(pieces: Iterable[Buffer], size_bytes: int) -> Iterator[memoryview | bytes]:
    """Pieces in order, cut where they are longer than `size_bytes`."""
    for piece in pieces:
        if len(piece) <= size_bytes:
            yield piece if isinstance(piece, bytes) else memoryview(piece)
            continue
        view = memoryview(piece)
        for start in range(0, len(view), size_bytes):
            yield view[start : start + size_bytes]


def flat(chunks: Iterable[memoryview | bytes], source: object) -> Iterator[memoryview | bytes]:
    """The same chunks; now and then the pages of `source` that were touched are given back."""
    drop_pages = getattr(source, "drop_pages", _nothing)
    touched_bytes = 0
    for chunk in chunks:
        yield chunk
        touched_bytes += len(chunk)
        if touched_bytes >= PAGES_KEPT_BYTES:
            drop_pages()
            touched_bytes = 0
