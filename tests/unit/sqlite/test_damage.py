"""A damaged database: each page has a checksum, a log that ends early is understood, and a start says what to do."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import apsw
import pytest
import structlog

from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError, QueueBroken
from gateway.sqlite import page_checksums
from gateway.sqlite.inspection import check_before_start, problems_of
from gateway.sqlite.salvage import salvage
from gateway.sqlite.store import SQLiteStore
from gateway.sqlite.write_ahead_log import log_of, read_log
from tests.support.samples import NOON, TO_PACS, TO_VNA, instance
from tests.unit.sqlite.test_migration import former

PAGE_BYTES = 4096
FRAME_BYTES = PAGE_BYTES + 24


def fill(queue: SQLiteStore, numbers: range) -> None:
    for number in numbers:
        with queue.transaction(is_durable=False):
            queue.deliveries.accept([(instance(number), [TO_PACS, TO_VNA])], NOON)
            queue.spool.set_replayed_position("segments/00000001.seg", number)


def flip(path: Path, at_bytes: int, change: int = 0x55) -> None:
    with path.open("r+b") as file:
        file.seek(at_bytes)
        before = file.read(1)
        file.seek(at_bytes)
        file.write(bytes([before[0] ^ change]))


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A database with forty transactions in its log."""
    queue = SQLiteStore(tmp_path / "queue.db")
    fill(queue, range(40))
    folder = tmp_path / "crashed"
    folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{queue.path}{suffix}", folder / f"queue.db{suffix}")
    queue.close()
    return folder / "queue.db"


@pytest.fixture
def closed(crashed: Path) -> Path:
    """The same, closed in order."""
    SQLiteStore(crashed).close()
    assert not log_of(crashed).exists()
    return crashed


# --- checksums ------------------------------------------------------------------------------------------------------


def test_a_changed_byte_anywhere_is_noticed(closed: Path) -> None:
    chance = Random(20261129)
    data = closed.read_bytes()
    for _ in range(40):
        closed.write_bytes(data)
        flip(closed, chance.randrange(len(data)), chance.randrange(1, 256))
        with pytest.raises((QueueBroken, ConfigurationError), match=r"gateway rebuild|not a gateway's queue"):
            check_before_start(closed)


def test_a_damaged_page_is_damage_and_no_lack_of_room(closed: Path) -> None:
    for page in range(3, closed.stat().st_size // PAGE_BYTES):
        flip(closed, page * PAGE_BYTES + 2000)
    with pytest.raises(QueueBroken, match="gateway rebuild"), contextlib.closing(SQLiteStore(closed)) as queue:
        queue.administration.list(DeliveryFilter(), -1)


def test_a_whole_database_is_taken(closed: Path) -> None:
    check_before_start(closed)
    assert list(problems_of(closed)) == []
    assert not list(closed.parent.glob("*-wal")), "looking leaves nothing beside it"


def test_a_database_of_a_former_version_has_no_checksums_and_works(tmp_path: Path) -> None:
    path = former(tmp_path)
    check_before_start(path)
    with contextlib.closing(SQLiteStore(path)) as queue:
        assert len(queue.administration.list(DeliveryFilter(), -1)) == 9
        assert queue.connection.reserve_bytes() == 0
    check_before_start(path)


def test_without_the_module_for_checksums_such_a_database_is_refused(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that this process wrote would have none, and count as damaged later."""
    plain = apsw.Connection(str(closed), vfs="unix")
    with contextlib.closing(plain), pytest.raises(ConfigurationError, match="install its wheel"):
        page_checksums.check(plain, closed, None)


@pytest.mark.parametrize("content", [None, b""], ids=["none", "empty"])
def test_no_database_is_no_damage(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "queue.db"
    if content is not None:
        path.write_bytes(content)
    check_before_start(path)


# --- the write-ahead log --------------------------------------------------------------------------------------------


def instances(path: Path) -> int:
    with contextlib.closing(SQLiteStore(path)) as queue:
        return len(queue.administration.list(DeliveryFilter(destination="pacs"), -1))


def test_a_whole_log_is_read_whole(crashed: Path) -> None:
    state = read_log(crashed)
    assert (state.read_bytes, state.is_damaged) == (state.size_bytes, False)
    assert state.size_bytes == log_of(crashed).stat().st_size > 40 * FRAME_BYTES


def test_a_torn_end_is_no_damage(crashed: Path) -> None:
    size_bytes = log_of(crashed).stat().st_size
    os.truncate(log_of(crashed), size_bytes - 1000)
    state = read_log(crashed)
    assert (state.read_bytes, state.is_damaged) == (size_bytes - FRAME_BYTES, False)
    check_before_start(crashed)


@pytest.mark.parametrize("at_frame", [1, 20, 60])
def test_a_changed_byte_in_the_middle_is_seen(crashed: Path, at_frame: int) -> None:
    flip(log_of(crashed), 32 + at_frame * FRAME_BYTES + 1000)
    state = read_log(crashed)
    assert (state.read_bytes, state.is_damaged) == (32 + at_frame * FRAME_BYTES, True)


def test_a_changed_header_hides_all_of_it(crashed: Path) -> None:
    flip(log_of(crashed), 13)
    assert (read_log(crashed).read_bytes, read_log(crashed).is_damaged) == (0, True)


def test_frames_of_a_former_round_are_no_damage(tmp_path: Path) -> None:
    """After a checkpoint the log is written again from its beginning."""
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db")) as queue:
        fill(queue, range(40))
        queue.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        fill(queue, range(40, 43))
        shutil.copy(queue.path, tmp_path / "copy.db")
        shutil.copy(log_of(queue.path), tmp_path / "copy.db-wal")
    state = read_log(tmp_path / "copy.db")
    assert state.read_bytes < state.size_bytes
    assert not state.is_damaged


def test_frames_of_a_transaction_that_a_full_disk_cut_short_are_no_damage(tmp_path: Path, crashed: Path) -> None:
    """The next transaction writes over the first of them; the others are whole, and none of them ends a transaction."""
    shutil.copytree(crashed.parent, tmp_path / "other")
    with contextlib.closing(SQLiteStore(tmp_path / "other" / "queue.db")) as queue:
        with queue.transaction():
            queue.deliveries.accept([(instance(number), [TO_PACS]) for number in range(100, 400)], NOON)
        long = log_of(queue.path).read_bytes()
    with contextlib.closing(SQLiteStore(crashed)) as queue:
        with queue.transaction():
            queue.sync()
        path = killed(crashed, tmp_path / "killed")
    short = log_of(path).read_bytes()
    log_of(path).write_bytes(short + long[len(short) : -FRAME_BYTES])
    state = read_log(path)
    assert state.read_bytes == len(short) < state.size_bytes - 10 * FRAME_BYTES
    with structlog.testing.capture_logs() as lines:
        check_before_start(path)
    assert (state.is_damaged, lines) == (False, [])


def test_a_log_that_ends_early_is_taken_when_the_database_is_older(crashed: Path) -> None:
    """What it held stands in the segments."""
    flip(log_of(crashed), 32 + 200 * FRAME_BYTES + 1000)
    check_before_start(crashed)
    assert 0 < instances(crashed) < 40


def test_a_log_that_ends_before_what_stands_in_the_database_is_refused(tmp_path: Path, crashed: Path) -> None:
    """Its pages are older than those of the database: together they are no state that ever was."""
    with contextlib.closing(SQLiteStore(crashed)) as queue:
        queue.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        mixed = tmp_path / "mixed.db"
        shutil.copy(queue.path, mixed)
        shutil.copy(log_of(queue.path), log_of(mixed))
    flip(log_of(mixed), 32 + 60 * FRAME_BYTES + 1000)
    assert read_log(mixed).is_damaged
    with pytest.raises(QueueBroken, match="gateway rebuild"):
        check_before_start(mixed)


def killed(path: Path, folder: Path) -> Path:
    """The files as a process leaves them that is killed."""
    folder.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{suffix}", folder / f"queue.db{suffix}")
    return folder / "queue.db"


def cut_in_the_middle(log: Path) -> None:
    os.truncate(log, 32 + 60 * FRAME_BYTES)


def empty(log: Path) -> None:
    os.truncate(log, 0)


def flip_in_the_middle(log: Path) -> None:
    flip(log, 32 + 60 * FRAME_BYTES + 1000)


@pytest.mark.parametrize("damage", [cut_in_the_middle, empty, Path.unlink, flip_in_the_middle])
def test_a_start_on_an_older_state_is_logged_as_an_error(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """What was settled, held or discarded since is undone by it."""
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db")) as queue:
        fill(queue, range(40))
        path = killed(queue.path, tmp_path / "killed")
    damage(log_of(path))
    with structlog.testing.capture_logs() as lines:
        check_before_start(path)
    (found,) = [each for each in lines if each["event"] == "write_ahead_log_truncated"]
    assert (found["log_level"], found["file"]) == ("error", str(log_of(path)))
    assert "gateway check" in found["action"]
    with structlog.testing.capture_logs() as lines:
        SQLiteStore(path).close()
        check_before_start(path)
    assert lines == [], "once"


def test_a_rebuild_from_an_older_state_says_so_too(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db")) as queue:
        fill(queue, range(40))
        path = killed(queue.path, tmp_path / "killed")
    cut_in_the_middle(log_of(path))
    with structlog.testing.capture_logs() as lines, contextlib.closing(SQLiteStore(tmp_path / "new.db")) as new:
        assert salvage(path, new, lambda payload: True).is_complete
    assert [(each["event"], each["log_level"]) for each in lines] == [("write_ahead_log_truncated", "error")]


def test_a_log_that_stands_in_the_database_may_go(tmp_path: Path) -> None:
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db")) as queue:
        fill(queue, range(40))
        queue.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        path = killed(queue.path, tmp_path / "killed")
    whole = killed(path, tmp_path / "whole")
    log_of(path).unlink()
    with structlog.testing.capture_logs() as lines:
        check_before_start(path)
        check_before_start(whole)
    assert lines == []
    assert instances(path) == instances(whole) == 40


def test_a_cut_log_is_refused_when_its_end_stands_in_the_database(tmp_path: Path) -> None:
    """The place in the segments is the same in both, and what is read is no state that ever was."""
    with contextlib.closing(SQLiteStore(tmp_path / "queue.db")) as queue:
        fill(queue, range(40))
        queue.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        for _ in range(5):
            with queue.transaction():
                assert queue.deliveries.claim("pacs", 2, 60.0, NOON)
        queue.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        path = killed(queue.path, tmp_path / "killed")
    os.truncate(log_of(path), 32 + 1 * FRAME_BYTES)
    os.truncate(log_of(path), log_of(path).stat().st_size + FRAME_BYTES)
    with pytest.raises(QueueBroken, match="gateway rebuild"):
        check_before_start(path)
