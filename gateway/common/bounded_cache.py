"""A cache of what the network sent: bounded in bytes, the longest unused entry goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_BYTES = 256
"""Memory of an entry beside the bytes that are counted."""


class BoundedCache(Generic[K, V]):
    """Values by key. For one thread.

    Args:
        most_bytes: of all keys and values together, as those who put them in count them.
        most_bytes_each: a larger entry is not kept.
    """

    __slots__ = ("_entries", "_most_bytes", "_most_bytes_each", "held_bytes")

    def __init__(self, most_bytes: int, most_bytes_each: int) -> None:
        self._most_bytes = most_bytes
        self._most_bytes_each = most_bytes_each
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value; None when it is not remembered."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        """Remember `value`; `size_bytes` is what key and value cost."""
        self.forget(key)
        size_bytes += ENTRY_BYTES
        if size_bytes > self._most_bytes_each:
            return
        self._entries[key] = (value, size_bytes)
        self.held_bytes += size_bytes
        while self.held_bytes > self._most_bytes:
            _, (_, freed_bytes) = self._entries.popitem(last=False)
            self.held_bytes -= freed_bytes

    def forget(self, key: K) -> None:
        """Remove `key`; an unknown key changes nothing."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.held_bytes -= entry[1]
