"""A data set made of pieces, most of them views of a stored one: large objects are never copied as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.spool.body import flat

JOINED_BYTES = 1024**2
"""Up to here the pieces are joined at once."""


class EditedDataSet:
    """The pieces of an edited or re-encoded data set; most of them point into the stored one, which this closes."""

    __slots__ = ("_pieces", "_stored", "length_bytes")

    def __init__(self, pieces: Iterable[bytes | memoryview], stored: EncodedDataSet) -> None:
        self._pieces = [memoryview(piece) for piece in pieces]
        self._stored = stored
        self.length_bytes = sum(len(piece) for piece in self._pieces)
        if self.length_bytes <= JOINED_BYTES:
            self._pieces = [memoryview(b"".join(self._pieces))]

    def view(self) -> memoryview:
        """All bytes; joins them first."""
        if len(self._pieces) != 1:
            self._pieces = [memoryview(b"".join(self._pieces))]
        return self._pieces[0]

    def chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        """Every chunk but the last has `size_bytes`, however the pieces lie. Mapped pages are given back on the way."""
        return flat(self._whole_chunks(size_bytes), self._stored)

    def _whole_chunks(self, size_bytes: int) -> Iterator[memoryview | bytes]:
        waiting = bytearray()
        for piece in self._pieces:
            start = 0
            if waiting:
                start = size_bytes - len(waiting)
                waiting += piece[:start]
                if len(waiting) < size_bytes:
                    continue
                yield bytes(waiting)
                waiting = bytearray()
            whole = start + max(len(piece) - start, 0) // size_bytes * size_bytes
            for position in range(start, whole, size_bytes):
                yield piece[position : position + size_bytes]
            waiting += piece[whole:]
        if waiting:
            yield bytes(waiting)

    def close(self) -> None:
        """Let go of the stored object."""
        self.let_go()
        self._stored.close()

    def let_go(self) -> None:
        """Forget the pieces; the stored object stays open for its holder."""
        self._pieces = []
