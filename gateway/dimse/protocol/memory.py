"""Encoded data sets in memory: the runtime's own, where no other receiver is given."""

from __future__ import annotations

from collections.abc import Iterator

SMALL_FRAGMENT_BYTES = 4096
"""Fragments below this are joined as they come: an object each would cost more memory than their bytes."""
JOINED_BYTES = 64 * 1024


class MemoryDataSet:
    """An encoded data set held as bytes."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).toreadonly()

    @property
    def length_bytes(self) -> int:
        return len(self._data)

    def view(self) -> memoryview:
        """All bytes."""
        return self._data

    def chunks(self, size_bytes: int) -> Iterator[memoryview]:
        """The bytes in pieces of at most `size_bytes`."""
        data = self._data
        if len(data) <= size_bytes:
            yield data
            return
        for start in range(0, len(data), size_bytes):
            yield data[start : start + size_bytes]

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class MemoryReceiver:
    """Keeps the fragments of one data set in memory."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []

    def write(self, fragment: memoryview) -> None:
        """Copy `fragment`."""
        if len(fragment) >= SMALL_FRAGMENT_BYTES:
            self._pieces.append(bytes(fragment))
            return
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) < JOINED_BYTES:
            last += fragment
        else:
            self._pieces.append(bytearray(fragment))

    def finish(self) -> MemoryDataSet:
        """All fragments joined."""
        pieces, self._pieces = self._pieces, []
        return MemoryDataSet(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def discard(self) -> None:
        """Forget what was kept."""
        self._pieces = []
