"""A transport in memory: it keeps what is written, and has no peer."""

from __future__ import annotations

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Keeps the PDUs that an association writes."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711), "sockname": ("127.0.0.1", 104)})
        self.written = bytearray()
        self.writes = 0
        self.is_paused = False
        self.is_aborted = False
        self._has_closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data
        self.writes += 1

    def taken(self) -> bytes:
        """What was written since the last look."""
        data = bytes(self.written)
        self.written.clear()
        return data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self._has_closed

    def close(self) -> None:
        self._has_closed = True

    def abort(self) -> None:
        self._has_closed = self.is_aborted = True


def deliver(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Give `data` to `protocol` in one read, as asyncio does."""
    buffer = protocol.get_buffer(len(data))
    memoryview(buffer)[: len(data)] = data
    protocol.buffer_updated(len(data))
