"""A queue whose files are deleted or replaced while it is open, and one that other processes open and close."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.sqlite.store import SQLiteStore

LOCKS = Path("/proc/locks")


@pytest.mark.skipif(not LOCKS.exists(), reason="locks are read from /proc")
def test_a_second_connection_does_not_end_the_locks_of_the_first(tmp_path: Path) -> None:
    """By them other processes know that the database is in use."""
    path = tmp_path / "queue.db"
    first = SQLiteStore(path)
    inode = path.stat().st_ino

    def held() -> int:
        rows = [line.split() for line in LOCKS.read_text().splitlines()]
        return sum(row[4] == str(os.getpid()) and row[5].endswith(f":{inode}") for row in rows)

    assert held() == 1
    second = SQLiteStore(path)
    assert held() == 1
    second.close()
    assert held() == 1
    first.close()


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
@pytest.mark.parametrize("happening", ["deleted", "replaced"])
def test_a_file_that_is_not_the_one_that_was_opened_is_named(tmp_path: Path, end: str, happening: str) -> None:
    path = Path(f"{tmp_path / 'queue.db'}{end}")
    queue = SQLiteStore(tmp_path / "queue.db")
    path.rename(tmp_path / "aside")
    if happening == "replaced":
        path.write_bytes((tmp_path / "aside").read_bytes())
    assert queue.moved() == f"the queue's file {path} was {happening}"
    (tmp_path / "aside").rename(path)
    assert queue.moved() == ""
    queue.close()


def test_a_quick_look_is_one_system_call_for_database_and_log_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made for each group of acceptances."""
    queue = SQLiteStore(tmp_path / "queue.db")
    asked: list[object] = []
    system = os.stat

    def stat(*arguments: object, **names: object) -> os.stat_result:
        asked.append(arguments[0])
        return system(*arguments, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    assert queue.moved(is_quick=True) == ""
    monkeypatch.undo()
    assert asked == [os.fsencode(f"{tmp_path / 'queue.db'}{end}") for end in ("", "-wal")]
    Path(f"{queue.path}-wal").rename(tmp_path / "aside")
    assert "queue.db-wal was deleted" in queue.moved(is_quick=True)
    queue.close()
