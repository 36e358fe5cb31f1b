"""Deflated data sets, inflated as a stream and within bounds (RFC 1951 without the zlib header, PS3.5 §A.5).

A few bytes may inflate to a thousand times as many. So nothing is inflated beyond `Bounds`, what only has to be scanned
is not kept but for its headers and short values, and what has to be kept whole is bounded further.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import threading
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from gateway.dataset.elements import SLICE_BYTES, Element, TagSelection
from gateway.dataset.encoding import Encoding
from gateway.dataset.tolerance import are_zeros
from gateway.dataset.walk import Walker
from gateway.ports.errors import ObjectTooLarge, Temporary, Unreadable

T = TypeVar("T")
InflationSteps = Generator[Callable[[], object] | None, None, T]
"""Work in steps: after None others go on; a function is to be called, in a thread or not, before the next step."""

CHUNK_BYTES = 1024**2
"""Inflated at once: some milliseconds, during which other threads run."""
FIRST_BYTES = 64 * 1024
"""Inflated at once where it stands: most deflated objects are small."""
FED_BYTES = 64 * 1024
WHOLE_BYTES = 128 * 1024**2
"""The greatest length of an inflated data set that is kept whole to be changed."""
KEPT_BYTES = 64 * 1024**2
"""Headers and values that one scan keeps."""
ALL_KEPT_BYTES = 192 * 1024**2
"""The same of all scans at one time."""
LONGEST_HEADER_BYTES = 12
UNKNOWN_END = 1 << 62


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds for inflating a deflated data set."""

    size_bytes: int = 1024**3
    ratio: int = 250
    """Times its own size; counts beyond `free_bytes`."""
    free_bytes: int = 64 * 1024**2

    def limit_bytes(self, deflated_bytes: int) -> int:
        """The limit for a data set of `deflated_bytes`."""
        return min(self.size_bytes, max(self.free_bytes, self.ratio * deflated_bytes))


class _InForce:
    """The bounds of this process."""

    bounds = Bounds()


def set_bounds(bounds: Bounds) -> None:
    """Set the bounds of inflated data sets for this process."""
    _InForce.bounds = bounds


def inflate(view: memoryview, limit_bytes: int = WHOLE_BYTES, *, is_tolerant: bool = False) -> memoryview:
    """The data set inside a deflate stream; after it one padding byte is allowed, and the checksum and length that
    writers leave who took the stream out of a gzip file. `is_tolerant`: more zeros too, as of objects that were taken.

    Raises:
        Unreadable: not such a stream, cut, or followed by something else.
        ObjectTooLarge: it is longer than `limit_bytes`, or than the bounds in force.
    """
    stream = _DeflateStream(view, limit_bytes)
    inflated = bytearray()
    while not stream.is_done:
        inflated += stream.next(CHUNK_BYTES)
    if not is_tolerant:
        stream.refuse_zeros()
    return memoryview(inflated).toreadonly()


class _DeflateStream:
    """Inflates piece by piece. Raises as a tolerant `inflate`."""

    def __init__(self, view: memoryview, limit_bytes: int) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._deflated = view
        self._deflated_bytes = len(view)
        self._position = 0
        self._fed: memoryview | bytes = b""
        self._limit_bytes = min(limit_bytes, _InForce.bounds.limit_bytes(len(view)))
        self._checksum = 0
        self.length_bytes = 0
        self.is_done = False
        self.zeros_bytes = 0
        """Zeros behind the stream, where they are more than its padding; known at its end."""

    def next(self, size_bytes: int) -> bytes:
        """The next bytes, at most `size_bytes`."""
        pieces: list[bytes] = []
        missing_bytes = size_bytes
        while missing_bytes and not self._stream.eof:
            is_last = not self._fed and self._position >= self._deflated_bytes
            if not self._fed:
                self._fed = self._deflated[self._position : self._position + FED_BYTES]
                self._position += len(self._fed)
            try:
                piece = self._stream.decompress(self._fed, missing_bytes)
            except zlib.error as error:
                raise Unreadable(f"the deflated data set cannot be inflated: {error}") from None
            self._fed = self._stream.unconsumed_tail
            if is_last and not piece and not self._stream.eof:
                text = f"the deflated data set is cut: it does not end within {self._deflated_bytes} bytes"
                raise Unreadable(text)
            pieces.append(piece)
            missing_bytes -= len(piece)
        return self._counted(b"".join(pieces))

    def _counted(self, piece: bytes) -> bytes:
        self._checksum = zlib.crc32(piece, self._checksum)
        self.length_bytes += len(piece)
        if self.length_bytes > self._limit_bytes:
            text = f"{self._deflated_bytes} deflated bytes inflate to more than {self._limit_bytes}"
            raise ObjectTooLarge(f"{text} (limits.inflated)")
        if self._stream.eof:
            self._check_rest(self._position - len(self._stream.unused_data))
            self.is_done = True
        return piece

    def _check_rest(self, start: int) -> None:
        """Raises Unreadable for what may not follow the stream, which ends at `start`."""
        end = self._deflated_bytes
        trailer = struct.pack("<LL", self._checksum, self.length_bytes & 0xFFFFFFFF)
        if bytes(self._deflated[start : start + len(trailer)]) == trailer:
            start += len(trailer)
        if start == end or (end - start == 1 and not self._deflated[start]):
            return
        if not are_zeros(self._deflated, start, end):
            raise Unreadable(f"{end - start} bytes follow the deflated data set")
        self.zeros_bytes = end - start

    def refuse_zeros(self) -> None:
        """Raises Unreadable where zeros follow the stream, to a reading to the letter."""
        if self.zeros_bytes:
            raise Unreadable(f"{self.zeros_bytes} bytes follow the deflated data set")


class _Kept:
    """Bytes that scans keep at this time, in this process."""

    lock = threading.Lock()
    held_bytes = 0


class _Window:
    """The inflated data set as one view, in which long values that nobody reads are left out: they read as zeros and
    cost no memory."""

    def __init__(self, view: memoryview) -> None:
        self.stream = _DeflateStream(view, _InForce.bounds.size_bytes)
        self._map = mmap.mmap(
            -1, _InForce.bounds.limit_bytes(len(view)) + CHUNK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        self._kept_bytes = 0
        self.view = memoryview(self._map)

    @property
    def length_bytes(self) -> int:
        return self.stream.length_bytes

    @property
    def is_done(self) -> bool:
        return self.stream.is_done

    def fill(self, size_bytes: int, hole: tuple[int, int]) -> None:
        """Inflate up to `size_bytes` more; what lies in `hole` (first byte, end) is not kept."""
        start = self.stream.length_bytes
        piece = self.stream.next(size_bytes)
        end = start + len(piece)
        hole_start, hole_end = max(start, min(hole[0], end)), max(start, min(hole[1], end))
        if hole_start >= hole_end:
            self._keep(start, piece)
            return
        self._keep(start, piece[: hole_start - start])
        self._keep(hole_end, piece[hole_end - start :])

    def _keep(self, start: int, piece: bytes) -> None:
        with _Kept.lock:
            if _Kept.held_bytes + len(piece) > ALL_KEPT_BYTES:
                raise Temporary("too much is being inflated at this time; send it again later")
            _Kept.held_bytes += len(piece)
        self._kept_bytes += len(piece)
        if self._kept_bytes > KEPT_BYTES:
            raise ObjectTooLarge(f"the elements of the deflated data set take more than {KEPT_BYTES} bytes")
        self._map[start : start + len(piece)] = piece

    def close(self) -> None:
        """Free the memory."""
        with _Kept.lock:
            _Kept.held_bytes -= self._kept_bytes
        self._kept_bytes = 0
        with contextlib.suppress(BufferError):  # somebody still holds a view: the map goes with it
            self.view.release()
            self._map.close()


class Inflating:
    """A deflated data set while it is scanned; a context manager."""

    def __init__(self, deflated: memoryview) -> None:
        self._deflated = deflated
        self._window: _Window | None = None

    def __enter__(self) -> Inflating:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        window, self._window = self._window, None
        if window is not None:
            window.close()

    def walking(
        self, encoding: Encoding, selection: TagSelection, keep: Callable[[Element], int]
    ) -> InflationSteps[tuple[memoryview, list[Element]]]:
        """The inflated bytes, as far as somebody reads them, and the selected elements of the top level.

        `keep` gives how many bytes of the value of a selected element will be read.

        Raises:
            Unreadable: no deflate stream, or not whole elements of `encoding`.
            ObjectTooLarge: beyond the bounds.
            Temporary: too much is being inflated by others.
        """
        self._close()
        window = self._window = _Window(self._deflated)
        walker = Walker(window.view, 0, UNKNOWN_END, encoding, selection)
        window.fill(FIRST_BYTES, (0, 0))
        while True:
            stop = window.length_bytes if window.is_done else window.length_bytes - LONGEST_HEADER_BYTES
            if window.is_done:
                walker.end_at(window.length_bytes)
            while walker.position < stop and not walker.go_on(min(walker.position + SLICE_BYTES, stop)):
                yield None
            if window.is_done:
                walker.go_on(stop)
                if not encoding.is_tolerant:
                    window.stream.refuse_zeros()
                elif window.stream.zeros_bytes:
                    encoding.note("zeros_behind", f"{window.stream.zeros_bytes} bytes behind the deflated data set")
                return window.view[: window.length_bytes], walker.found
            hole = walker.hole(keep)
            yield lambda hole=hole: window.fill(CHUNK_BYTES, hole)  # type: ignore[misc]
