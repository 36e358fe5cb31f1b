"""An object store in memory, held to the contract suite beside the real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from gateway.common.buffer import Buffer
from gateway.common.steady_clock import utc_now
from gateway.objects import start_check
from gateway.objects.existing import accept_the_same
from gateway.objects.naming import checked, exactly, folder_of
from gateway.ports.errors import PayloadMissing
from gateway.ports.object_store import StoredObject


class MemoryObjectStore:
    """See `gateway.ports.object_store.ObjectStore`. `objects` may be read and changed by tests."""

    shown = "memory"
    large_bytes = 100_000

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self._now = now
        self._lock = threading.Lock()

    def check(self, cluster_id: str, version: str) -> None:
        start_check.check(self, cluster_id, version)

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        data = b"".join(exactly(chunks, length_bytes))
        if not self.create(name, data):
            accept_the_same(self, name, [data], length_bytes)

    def create(self, name: str, data: bytes) -> bool:
        with self._lock:
            if checked(name) in self.objects:
                return False
            self.objects[name] = data, self._now()
            return True

    def length_of(self, name: str) -> int:
        if checked(name) not in self.objects:
            raise PayloadMissing(f"memory: {name} is not there")
        return len(self.objects[name][0])

    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        if self.length_of(name) < offset_bytes + length_bytes:
            raise PayloadMissing(f"memory: {name} is too short")
        return self.objects[name][0][offset_bytes : offset_bytes + length_bytes]

    def stream(self, name: str, offset_bytes: int, length_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        data = self.read(name, offset_bytes, length_bytes)
        for start in range(0, length_bytes, chunk_bytes):
            yield data[start : start + chunk_bytes]

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self.objects.pop(checked(name), None)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        folder_of(prefix)
        for name, (data, modified_at) in list(self.objects.items()):
            if name.startswith(prefix):
                yield StoredObject(name, len(data), modified_at)

    def close(self) -> None:
        pass
