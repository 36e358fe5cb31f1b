"""The check at the start, on stores that do one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.common.buffer import Buffer
from gateway.objects.errors import ObjectStoreRefuses
from gateway.objects.naming import exactly
from gateway.objects.start_check import check
from gateway.ports.errors import ConfigurationError, PayloadMissing, SpoolFull, Temporary
from gateway.ports.object_store import StoredObject
from tests.support.fakes.memory_object_store import MemoryObjectStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Replaces(MemoryObjectStore):
    def create(self, name: str, data: bytes) -> bool:
        self.objects[name] = data, NOW
        return True


class ForgetsWhatIsWritten(MemoryObjectStore):
    def create(self, name: str, data: bytes) -> bool:
        is_new = name not in self.objects
        self.objects.setdefault(name, (b"", NOW))
        return is_new


class Garbles(MemoryObjectStore):
    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        return bytes(255 - byte for byte in super().read(name, offset_bytes, length_bytes))


class GarblesLargeOnes(MemoryObjectStore):
    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        self.create(name, b"".join(exactly(chunks, length_bytes))[:-1] + b"!")


class CutsLargeOnes(MemoryObjectStore):
    def stream(self, name: str, offset_bytes: int, length_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        if length_bytes > 70_000:
            raise PayloadMissing("too short")
        return super().stream(name, offset_bytes, length_bytes, chunk_bytes)


class ListsLate(MemoryObjectStore):
    def list(self, prefix: str) -> Iterator[StoredObject]:
        return iter(())


class KeepsWhatIsDeleted(MemoryObjectStore):
    def delete(self, names: Sequence[str]) -> None:
        pass


class MayNotDelete(MemoryObjectStore):
    def delete(self, names: Sequence[str]) -> None:
        raise ObjectStoreRefuses("memory: grant s3:DeleteObject")


class IsAway(MemoryObjectStore):
    def read(self, name: str, offset_bytes: int, length_bytes: int) -> bytes:
        raise Temporary("memory: away")


class SaysItIsThere(MemoryObjectStore):
    def create(self, name: str, data: bytes) -> bool:
        return False


FAULTS: dict[Callable[[], MemoryObjectStore], tuple[type[Exception], str]] = {
    Replaces: (ConfigurationError, "lets a second object take the place of one with the same name.*If-None-Match"),
    ForgetsWhatIsWritten: (ConfigurationError, "what was written a moment ago cannot be read"),
    Garbles: (ConfigurationError, "-small was read with other bytes than were written"),
    GarblesLargeOnes: (ConfigurationError, "-large was read with other bytes than were written"),
    CutsLargeOnes: (ConfigurationError, "what was written a moment ago cannot be read"),
    ListsLate: (ConfigurationError, "its listing lacks an object"),
    KeepsWhatIsDeleted: (ConfigurationError, "can be read though it was deleted"),
    MayNotDelete: (ConfigurationError, "grant s3:DeleteObject"),
    SaysItIsThere: (ConfigurationError, "is said to be there, and nobody wrote it"),
    IsAway: (SpoolFull, "memory: away"),
}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_a_store_that_does_one_thing_wrong(kind: Callable[[], MemoryObjectStore]) -> None:
    error, reason = FAULTS[kind]
    store = kind()
    with pytest.raises(error, match=reason):
        check(store, "cluster-7", "1")
    assert "gateway.json" not in store.objects


@pytest.mark.parametrize("kind", [Replaces, Garbles, GarblesLargeOnes, ListsLate])
def test_a_store_that_is_refused_keeps_no_probe(kind: Callable[[], MemoryObjectStore]) -> None:
    store = kind()
    with pytest.raises(ConfigurationError):
        check(store, "cluster-7", "1")
    assert store.objects == {}


def test_probes_of_a_node_that_was_killed_are_deleted_after_a_day() -> None:
    store = MemoryObjectStore(lambda: NOW)
    store.objects["probe/old-small"] = b"", NOW - timedelta(days=1, seconds=1)
    store.objects["probe/young-large"] = b"", NOW - timedelta(hours=23)
    store.objects["large/a"] = b"", NOW - timedelta(days=9)
    check(store, "cluster-7", "1")
    assert sorted(store.objects) == ["gateway.json", "large/a", "probe/young-large"]
