"""Encoded data sets: the bytes of one object, and how they are taken while they arrive."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Protocol


class EncodedDataSet(Protocol):
    """The bytes of one data set in its transfer syntax, in memory or in a file. Close it when done."""

    @property
    def length_bytes(self) -> int: ...

    def view(self) -> memoryview:
        """All bytes as one read-only view; a large file is mapped, not read."""
        ...

    def chunks(self, size_bytes: int) -> Iterable[memoryview | bytes]:
        """The bytes in order in pieces of at most `size_bytes`; a large file is read piece by piece."""
        ...

    def close(self) -> None: ...


class DataSetReceiver(Protocol):
    """Takes the data set fragments of one incoming message while they arrive."""

    def write(self, fragment: memoryview) -> Awaitable[None] | None:
        """Keep a copy of `fragment`. An awaitable means: read no more from this peer until it is done.

        Raises:
            SpoolFull: there is no room. The rest of the message is read and thrown away, the answer is its status.
            ObjectTooLarge: the object is over the limit.
        """
        ...

    def finish(self) -> EncodedDataSet:
        """All fragments are there.

        Raises SpoolFull when what was written did not reach the disk.
        """
        ...

    def discard(self) -> None:
        """The message will not be completed, or nobody wants it; frees what was kept. May be called twice."""
        ...
