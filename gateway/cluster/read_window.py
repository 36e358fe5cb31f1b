"""Payloads that lie one behind the other, read in pieces: a request for many of them."""

from __future__ import annotations

from collections.abc import Callable

from gateway.ports.errors import PayloadMissing

WINDOW_BYTES = 4 * 1024**2
"""The length of a piece."""


class ReadWindow:
    """The piece that was read last. `read` gives bytes of what has a name: offset and length; it raises PayloadMissing,
    Temporary."""

    def __init__(self, read: Callable[[str, int, int], bytes]) -> None:
        self._read = read
        self._held: tuple[str, int, bytes] = "", 0, b""
        """The name, the offset of the piece, its bytes."""

    def take(self, name: str, offset_bytes: int, length_bytes: int, until_bytes: int) -> bytes:
        """Bytes of it; what follows them up to `until_bytes` will be asked for soon. Raises PayloadMissing,
        Temporary."""
        held_name, start_bytes, data = self._held
        at = offset_bytes - start_bytes
        if held_name != name or at < 0 or at + length_bytes > len(data):
            ahead_bytes = max(min(WINDOW_BYTES, until_bytes - offset_bytes), length_bytes)
            try:
                data = self._read(name, offset_bytes, ahead_bytes)
            except PayloadMissing:
                if ahead_bytes == length_bytes:
                    raise
                data = self._read(name, offset_bytes, length_bytes)  # what follows is missing, maybe
            self._held = name, offset_bytes, data
            at = 0
        return data[at : at + length_bytes]
