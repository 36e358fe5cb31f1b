"""Encoded data sets in memory: what the runtime uses when nobody gives it a better receiver."""

from __future__ import annotations

from collections.abc import Iterator


class MemoryDataSet:
    """An encoded data set held as bytes."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | memoryview) -> None:
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
        """Nothing to free."""


class MemoryReceiver:
    """Keeps the fragments of one data set in memory."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, fragment: memoryview) -> None:
        """Copy `fragment`."""
        self._pieces.append(bytes(fragment))

    def finish(self) -> MemoryDataSet:
        """All fragments joined."""
        pieces, self._pieces = self._pieces, []
        return MemoryDataSet(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def discard(self) -> None:
        """Forget what was kept."""
        self._pieces = []
