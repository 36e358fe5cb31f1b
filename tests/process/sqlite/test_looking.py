"""A queue that is only looked at: nothing on the disk changes, and the log of a gateway that was killed counts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import ConfigurationError
from gateway.spool.lock import is_gateway_running, of_queue
from gateway.sqlite import inspection
from gateway.sqlite.inspection import inspected, problems_of, state_of_log
from gateway.sqlite.store import SQLiteStore
from gateway.sqlite.write_ahead_log import index_of, log_of

KILLED = """
import os, pathlib, signal, sys
from datetime import UTC, datetime
from gateway.sqlite.store import SQLiteStore
from gateway.spool.lock import QueueLock
from tests.support.samples import TO_PACS, instance
path = pathlib.Path(sys.argv[1])
lock, queue = QueueLock(path), SQLiteStore(path)
with queue.transaction():
    for number in range(1, 201):
        queue.deliveries.accept([(instance(number), [TO_PACS])], datetime.now(UTC))
os.kill(os.getpid(), signal.SIGKILL)
"""
STARTED = """
import pathlib, sys
from datetime import UTC, datetime
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, instance
queue = SQLiteStore(pathlib.Path(sys.argv[1]), busy_timeout_s=0.0)  # waits for nobody
with queue.transaction():
    queue.deliveries.accept([(instance(201), [TO_PACS])], datetime.now(UTC))
queue.consolidate()
queue.close()
"""

Files = dict[str, tuple[int, int, int, int, bytes]]


def files_of(folder: Path) -> Files:
    """Name → inode, when it was written, owner, mode, content. Another process reads: closing a file here would end the
    locks that a connection of this one has on it."""
    script = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    found: Files = {}
    for path in sorted(folder.iterdir()):
        status = path.stat()
        content = subprocess.run([sys.executable, "-S", "-c", script, str(path)], capture_output=True, check=True)
        found[path.name] = (status.st_ino, status.st_mtime_ns, status.st_uid, status.st_mode, content.stdout)
    return found


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The database of a gateway that was killed: 200 deliveries stand in its log alone."""
    folder = tmp_path / "var"
    folder.mkdir()
    path = folder / "gateway.db"
    process = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert process.returncode < 0
    assert sorted(os.listdir(folder)) == [each.name for each in (path, index_of(path), log_of(path), of_queue(path))]
    return path


def as_it_is(path: Path) -> None:
    pass


def without_index(path: Path) -> None:
    """As in a backup."""
    index_of(path).unlink()


def started_once(path: Path) -> None:
    """Ended in order: there is no log."""
    SQLiteStore(path).close()


LEFT = [as_it_is, without_index, started_once]


@pytest.mark.parametrize("left", LEFT)
def test_looking_changes_nothing_and_sees_all(killed: Path, left: Callable[[Path], None]) -> None:
    left(killed)
    before = files_of(killed.parent)
    with contextlib.closing(SQLiteStore(killed, is_read_only=True)) as queue:
        assert queue.administration.count(DeliveryFilter(), tuple(DeliveryState)) == 200
        assert len(queue.administration.list(DeliveryFilter(), 300)) == 200
        assert files_of(killed.parent) == before
    assert problems_of(killed) == []
    state = state_of_log(killed)
    assert (state.read_bytes, state.is_damaged) == (state.size_bytes, False)
    with inspected(killed) as found:
        assert (found.count(), found.waiting()) == (200, {"pacs": 200})
    assert files_of(killed.parent) == before


@pytest.mark.parametrize("left", LEFT[:2])
def test_a_gateway_that_starts_while_its_queue_is_looked_at_is_not_hindered(
    killed: Path, left: Callable[[Path], None]
) -> None:
    left(killed)
    with contextlib.closing(SQLiteStore(killed, is_read_only=True)) as queue:
        queue.connection.execute("BEGIN")
        assert queue.administration.count(DeliveryFilter(), tuple(DeliveryState)) == 200
        started = subprocess.run(
            [sys.executable, "-c", STARTED, str(killed)], capture_output=True, text=True, check=False
        )
        assert (started.returncode, started.stderr) == (0, "")
        assert queue.administration.count(DeliveryFilter(), tuple(DeliveryState)) == 200, (
            "one state as long as it is read"
        )
    with contextlib.closing(SQLiteStore(killed, is_read_only=True)) as queue:
        assert queue.administration.count(DeliveryFilter(), tuple(DeliveryState)) == 201


def test_a_damaged_log_is_read_as_far_as_it_is_whole(killed: Path) -> None:
    """The index that a killed gateway left says more than SQLite reads of such a log."""
    whole = state_of_log(killed)
    with log_of(killed).open("r+b") as file:
        file.seek(whole.size_bytes // 2)
        file.write(b"\xde\xad")
    before = files_of(killed.parent)
    state = state_of_log(killed)
    assert state.read_bytes < whole.size_bytes // 2
    assert files_of(killed.parent) == before


def test_nothing_is_left_of_a_copy(killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_index(killed)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with contextlib.closing(SQLiteStore(killed, is_read_only=True)) as queue:
        assert list(scratch.iterdir()) == []
        assert len(queue.administration.list(DeliveryFilter(), 300)) == 200


def test_what_is_too_large_for_a_copy_is_said(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_index(killed)
    monkeypatch.setattr(inspection, "MOST_COPIED_BYTES", 10_000)
    with pytest.raises(ConfigurationError, match=r"has no index \(gateway.db-shm\), and a copy of .* would be needed"):
        SQLiteStore(killed, is_read_only=True)


def test_a_queue_of_another_version_is_not_brought_up_to_date_by_looking(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with contextlib.closing(SQLiteStore(path)) as queue:
        queue.connection.pragma("user_version", 1)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"made by an older gateway \(schema 1\); start the gateway once"):
        SQLiteStore(path, is_read_only=True)
    assert path.read_bytes() == before
    path.write_bytes(b"")
    with pytest.raises(ConfigurationError, match="it was never filled; start the gateway once"):
        SQLiteStore(path, is_read_only=True)


@pytest.mark.quick
def test_nothing_can_be_written(killed: Path) -> None:
    with contextlib.closing(SQLiteStore(killed, is_read_only=True)) as queue, pytest.raises(apsw.ReadOnlyError):
        queue.administration.discard(DeliveryFilter())
    assert not is_gateway_running(killed)
