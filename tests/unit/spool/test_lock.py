"""Whether a lock file is held, as seen by others: by the file itself, and without taking anything."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.spool.lock import NAME, FileLock, InUse, QueueLock, is_gateway_running, is_held, is_in_use, of_queue

HOLDS = """
import pathlib, sys, time
from gateway.spool.lock import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]), "spool here")
print("held", flush=True)
sys.stdin.read()
"""


def nothing(folder: Path) -> None:
    pass


def our_number_in_it(folder: Path) -> None:
    """As of a gateway that ended; its process number is another program's now, which holds locks of its own."""
    (folder / "queue.db.lock").write_text(f"{os.getpid()}\n")


def a_folder_in_its_place(folder: Path) -> None:
    (folder / "queue.db.lock").mkdir()


def a_pipe_in_its_place(folder: Path) -> None:
    os.mkfifo(folder / "queue.db.lock")


@pytest.mark.parametrize("made", [nothing, our_number_in_it, a_folder_in_its_place, a_pipe_in_its_place])
def test_a_lock_of_another_file_is_not_this_ones(tmp_path: Path, made: Callable[[Path], None]) -> None:
    other = FileLock(tmp_path / "other.lock", "spool elsewhere")
    made(tmp_path)
    assert not is_gateway_running(tmp_path / "queue.db")
    assert not is_in_use(tmp_path / "spool", tmp_path / "queue.db")
    assert is_held(tmp_path / "other.lock")
    other.release()
    assert not is_held(tmp_path / "other.lock")


@pytest.mark.process
def test_a_lock_that_is_held_is_seen_by_every_process_until_its_holder_is_killed(tmp_path: Path) -> None:
    path = of_queue(tmp_path / "queue.db")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        for _ in range(3):
            assert is_gateway_running(tmp_path / "queue.db"), "looking ends no lock"
        path.write_text("")
        assert is_gateway_running(tmp_path / "queue.db"), "whatever the file says"
        with pytest.raises(InUse):
            QueueLock(tmp_path / "queue.db")
        process.kill()
    assert not is_gateway_running(tmp_path / "queue.db")


def test_a_lock_file_that_was_replaced_is_not_held(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / NAME, "spool here")
    (tmp_path / NAME).rename(tmp_path / "old")
    (tmp_path / NAME).touch()
    assert (is_held(tmp_path / NAME), is_held(tmp_path / "old")) == (False, True)
    lock.release()


@pytest.mark.campaign
def test_a_look_does_not_keep_a_gateway_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    QueueLock(path).release()
    is_over, looks = threading.Event(), []

    def look() -> None:
        while not is_over.is_set():
            looks.append(is_in_use(tmp_path, path))

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for each in lookers:
        each.start()
    try:
        for _ in range(2000):
            QueueLock(path).release()  # raises InUse where a look takes the lock
    finally:
        is_over.set()
        for each in lookers:
            each.join()
    assert looks
