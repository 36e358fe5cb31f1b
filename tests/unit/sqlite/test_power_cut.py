"""What is acknowledged survives a power cut, also after a sync that failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.sqlite.connection import PAGES_BEFORE_CHECKPOINT
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, Clock, instance


class Platter:
    """What would be there after a power cut: writes reach it at a sync; one that fails forgets them, as Linux does."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.unsynced: dict[str, list[tuple[int, bytes | None]]] = {}
        self.failing_syncs = 0

    def write(self, name: str, offset: int, data: bytes | None) -> None:
        """Data at an offset; None cuts the file there."""
        self.unsynced.setdefault(name, []).append((offset, data))

    def sync(self, name: str) -> None:
        changes = self.unsynced.pop(name, [])
        if self.failing_syncs and name.endswith("-wal"):
            self.failing_syncs -= 1
            raise apsw.IOError("the disk does not take it")
        file = self.files.setdefault(name, bytearray())
        for offset, data in changes:
            file.extend(bytes(max(0, offset - len(file))))
            file[offset : len(file) if data is None else offset + len(data)] = data or b""

    def after_power_cut(self, queue: Path, into: Path) -> Path:
        into.mkdir()
        for path in (queue, Path(f"{queue}-wal")):
            (into / path.name).write_bytes(self.files[str(path)])
        return into / queue.name


class WatchedFile(apsw.VFSFile):
    def __init__(self, platter: Platter, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._platter = platter
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._platter.write(self._name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._platter.write(self._name, newsize, None)

    def xSync(self, flags: int) -> None:
        self._platter.sync(self._name)


class WatchedDisk(apsw.VFS):
    def __init__(self, platter: Platter) -> None:
        self._platter = platter
        super().__init__("watched", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> WatchedFile:
        return WatchedFile(self._platter, name, flags)


@pytest.fixture
def platter() -> Iterator[Platter]:
    made = Platter()
    disk = WatchedDisk(made)
    yield made
    disk.unregister()


def test_a_checkpoint_whose_sync_fails_puts_the_log_in_doubt(tmp_path: Path, platter: Platter) -> None:
    path, clock = tmp_path / "queue.db", Clock()
    with contextlib.closing(SQLiteStore(path, now=clock)) as queue:
        with queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
        platter.failing_syncs = 1
        for _ in range(PAGES_BEFORE_CHECKPOINT):
            with queue.transaction(is_durable=False):
                queue.deliveries.claim("pacs", 1, 60.0, clock.advance(61.0))
            if not platter.failing_syncs:
                break
        assert not platter.failing_syncs, "a checkpoint has synced the log"
        with queue.transaction():
            queue.deliveries.accept([(instance(3), [TO_PACS])], NOON)
        after = platter.after_power_cut(path, tmp_path / "after")
    with contextlib.closing(SQLiteStore(after, now=clock)) as queue:
        found = [delivery.instance.sop_instance_uid for delivery in queue.administration.list(DeliveryFilter(), 10)]
    assert found == ["1.2.3.4.5.1", "1.2.3.4.5.3"]


def test_the_log_stays_bounded_while_only_claims_are_made(tmp_path: Path) -> None:
    path, clock = tmp_path / "queue.db", Clock()
    with contextlib.closing(SQLiteStore(path, now=clock)) as queue:
        with queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
        for _ in range(PAGES_BEFORE_CHECKPOINT):
            with queue.transaction(is_durable=False):
                queue.deliveries.claim("pacs", 1, 60.0, clock.advance(61.0))
        assert Path(f"{path}-wal").stat().st_size < 1.1 * PAGES_BEFORE_CHECKPOINT * 4200


@pytest.mark.parametrize("failing_syncs", [0, 1, 3])
def test_what_is_committed_after_a_failed_sync_survives_a_power_cut(
    tmp_path: Path, platter: Platter, failing_syncs: int
) -> None:
    path, clock = tmp_path / "queue.db", Clock()
    with contextlib.closing(SQLiteStore(path, now=clock)) as queue:
        with queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
        with queue.transaction(is_durable=False):
            queue.deliveries.claim("pacs", 1, 60.0, NOON)
        platter.failing_syncs = failing_syncs
        for _ in range(failing_syncs):
            with pytest.raises(SpoolFull), queue.transaction():
                queue.deliveries.accept([(instance(2), [TO_PACS])], NOON)
        with queue.transaction():
            queue.deliveries.accept([(instance(3), [TO_PACS])], NOON)
        after = platter.after_power_cut(path, tmp_path / "after")
    with contextlib.closing(SQLiteStore(after, now=clock)) as queue:
        found = [delivery.instance.sop_instance_uid for delivery in queue.administration.list(DeliveryFilter(), 10)]
    assert found == ["1.2.3.4.5.1", "1.2.3.4.5.3"]
