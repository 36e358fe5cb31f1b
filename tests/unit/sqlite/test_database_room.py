"""Room that is kept for the database, and the reserve for the last need."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.sqlite.connection import why_not_written
from gateway.sqlite.database_room import DatabaseRoom, give_up_reserve, reserve_of, reserved_bytes
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, TO_PACS, Clock, instance

MIB = 1024**2


class Volume:
    """A file system of which a test says how much is free, beside what the reserve holds."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = folder / "gateway.db"
        self.free_bytes = 100 * MIB
        self.now_s = 0.0
        self.room = DatabaseRoom(self.database, 10 * MIB, 4 * MIB, lambda: self.now_s, self.allocate)
        monkeypatch.setattr(DatabaseRoom, "free_bytes", property(lambda _: self.free_bytes))

    def allocate(self, descriptor: int, start: int, length: int) -> None:
        if length - os.fstat(descriptor).st_size > self.free_bytes:
            raise OSError(errno.ENOSPC, "no room")
        self.free_bytes -= length - os.fstat(descriptor).st_size
        os.posix_fallocate(descriptor, start, length)

    def later(self) -> DatabaseRoom:
        self.now_s += 2.0
        return self.room

    def give_up(self) -> bool:
        held = reserved_bytes(self.database)
        is_given_up = give_up_reserve(self.database)
        self.free_bytes += held if is_given_up else 0
        return is_given_up


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    return Volume(tmp_path, monkeypatch)


def test_objects_are_taken_while_there_is_room(volume: Volume) -> None:
    assert volume.room.keep()
    assert reserved_bytes(volume.database) == 4 * MIB
    volume.room.check()
    volume.free_bytes = 10 * MIB
    volume.later().check()
    volume.free_bytes -= 1
    with pytest.raises(SpoolFull, match=r"under the queue\.min_free of 10485760; free space there"):
        volume.later().check()
    assert SpoolFull.dimse_status == 0xA700


def test_one_look_is_believed_for_a_second(volume: Volume) -> None:
    volume.room.keep()
    volume.room.check()
    volume.free_bytes = 0
    volume.room.check()
    volume.room.invalidate()
    with pytest.raises(SpoolFull):
        volume.room.check()


def test_after_the_reserve_was_given_up_its_room_must_be_there_too(volume: Volume) -> None:
    volume.room.keep()
    volume.free_bytes = 5 * MIB
    assert volume.give_up()
    assert not volume.give_up(), "once"
    volume.free_bytes = 14 * MIB - 1
    assert "and the reserve of 4194304, which was given up" in volume.later().shortage
    assert not volume.room.keep()
    volume.free_bytes = 14 * MIB
    assert volume.later().shortage == ""
    assert volume.room.keep()
    assert (volume.free_bytes, reserved_bytes(volume.database)) == (10 * MIB, 4 * MIB)
    assert volume.later().shortage == ""


def test_a_start_without_room_begins_with_the_reserve(volume: Volume) -> None:
    volume.room.keep()
    volume.free_bytes = 4 * MIB - 1
    volume.room.prepare()
    assert reserved_bytes(volume.database) == 0


def test_an_end_without_room_holds_what_there_is_for_the_next_start(volume: Volume) -> None:
    volume.free_bytes = 3 * MIB
    volume.room.hold_free_space()
    assert (volume.free_bytes, reserved_bytes(volume.database)) == (0, 3 * MIB)
    volume.room.prepare()
    assert reserved_bytes(volume.database) == 0


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("elsewhere"), os.mkfifo], ids=["a link", "a pipe"])
def test_what_only_has_the_name_is_left_alone(volume: Volume, make: Callable[[Path], None]) -> None:
    (volume.database.parent / "elsewhere").write_bytes(bytes(MIB))
    make(reserve_of(volume.database))
    assert not volume.room.keep()
    assert not volume.give_up()
    assert (volume.database.parent / "elsewhere").stat().st_size == MIB


def test_a_file_system_that_does_not_answer_takes_nothing(tmp_path: Path) -> None:
    gone = DatabaseRoom(tmp_path / "gone" / "gateway.db", 0, 0, lambda: 0.0)
    assert "does not answer" in gone.shortage
    gone.prepare()
    gone.hold_free_space()


def test_without_a_reserve_none_is_made(tmp_path: Path) -> None:
    without = DatabaseRoom(tmp_path / "gateway.db", 0, 0, lambda: 0.0)
    assert without.keep()
    assert not reserve_of(tmp_path / "gateway.db").exists()
    assert without.shortage == ""


class FullFile(apsw.VFSFile):
    is_full = False

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if FullFile.is_full:
            raise apsw.FullError("full")
        super().xWrite(data, offset)


class FullFiles(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("full-files", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FullFile:
        return FullFile(name, flags)


def test_the_first_write_that_finds_no_room_gives_the_reserve_up(tmp_path: Path) -> None:
    disk = FullFiles()
    try:
        queue = SQLiteStore(tmp_path / "gateway.db", now=Clock())
        reserve_of(queue.path).write_bytes(bytes(MIB))
        FullFile.is_full = True
        with pytest.raises(SpoolFull, match="the disk takes no more"), queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
        assert reserved_bytes(queue.path) == 0
        FullFile.is_full = False
        with queue.transaction():
            queue.deliveries.accept([(instance(1), [TO_PACS])], NOON)
        assert len(queue.administration.list(DeliveryFilter(), 10)) == 1
        queue.close()
    finally:
        FullFile.is_full = False
        disk.unregister()


def test_the_error_of_a_read_only_database_says_so(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "gateway.db").close()
    connection = apsw.Connection(str(tmp_path / "gateway.db"), flags=apsw.SQLITE_OPEN_READONLY)
    with pytest.raises(apsw.ReadOnlyError) as raised:
        connection.execute("DELETE FROM delivery")
    connection.close()
    assert "read-only file system, or a file of another user" in why_not_written(raised.value)
