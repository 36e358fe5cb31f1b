"""Drafts of files: nothing stays of a process that was killed, and nothing of others is touched."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.destinations import drafts as draft
from gateway.destinations.drafts import Drafts, delete_left
from tests.support.processes import REPOSITORY

LONG_AGO = time.time() - 24 * 3600
OTHERS = f".{'a' * 12}-{'b' * 32}-1.part"
FORMER = f".{'b' * 32}-1.part"

WRITER = """
import os, sys
from gateway.destinations import drafts
if sys.argv[2] == "named":
    drafts._try_unnamed = lambda folder: False
handle = os.open(sys.argv[1], os.O_RDONLY)
begun = drafts.Drafts().begin(handle)
os.write(begun.descriptor, b"half of an object")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "here").mkdir()
    handle = os.open(tmp_path / "here", os.O_RDONLY)
    yield handle
    os.close(handle)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without O_TMPFILE."""
    real = os.open

    def refuse(path: Any, flags: int, *arguments: Any, **keywords: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no such files here")
        return real(path, flags, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)


def put(folder: int, name: str, data: bytes, drafts: Drafts | None = None) -> bool:
    begun = (drafts or Drafts()).begin(folder)
    try:
        os.write(begun.descriptor, data)
        return begun.take_name(folder, name)
    finally:
        begun.close(folder)


def made(folder: int, name: str, *, age_s: float = 0.0) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder))
    os.utime(name, (time.time() - age_s,) * 2, dir_fd=folder)


def writing(path: Path, how: str) -> subprocess.Popen[bytes]:
    """A process in the middle of a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("how", ["unnamed", "named"])
def test_a_name_is_taken_once_and_nothing_else_stays(folder: int, how: str, request: pytest.FixtureRequest) -> None:
    if how == "named":
        request.getfixturevalue("named")
    drafts = Drafts()
    assert put(folder, "a", b"first", drafts)
    assert not put(folder, "a", b"second", drafts)
    begun = drafts.begin(folder)
    assert bool(begun.name) == (how == "named")
    os.write(begun.descriptor, b"third")
    begun.replace(folder, "a")
    begun.close(folder)
    assert os.listdir(folder) == ["a"]
    assert Path(f"/proc/self/fd/{folder}/a").read_bytes() == b"third"


@pytest.mark.process
def test_a_process_that_is_killed_leaves_nothing_where_files_need_no_name(folder: int, tmp_path: Path) -> None:
    kill(writing(tmp_path / "here", "unnamed"))
    assert os.listdir(folder) == []


@pytest.mark.process
def test_what_a_killed_process_left_is_gone_with_the_next_file(folder: int, tmp_path: Path) -> None:
    kill(writing(tmp_path / "here", "named"))
    assert len(os.listdir(folder)) == 1
    assert put(folder, "a", b"")
    assert os.listdir(folder) == ["a"]


@pytest.mark.process
def test_the_draft_of_a_living_process_stays(folder: int, tmp_path: Path) -> None:
    process = writing(tmp_path / "here", "named")
    (name,) = os.listdir(folder)
    os.utime(tmp_path / "here" / name, (LONG_AGO, LONG_AGO))
    assert delete_left(folder) == 0
    assert os.listdir(folder) == [name]
    kill(process)
    assert delete_left(folder) == 1


@pytest.mark.parametrize("name", [OTHERS, FORMER], ids=["of another machine", "of a former version"])
def test_drafts_of_others_go_when_nobody_wrote_to_them_for_long(folder: int, name: str) -> None:
    made(folder, name, age_s=draft.QUIET_S / 2)
    assert delete_left(folder) == 0
    os.utime(name, (LONG_AGO, LONG_AGO), dir_fd=folder)
    descriptor = os.open(name, os.O_RDWR, dir_fd=folder)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert delete_left(folder) == 0, "it is locked"
    os.close(descriptor)
    assert delete_left(folder) == 1


@pytest.mark.parametrize(
    "name",
    ["a.part", ".a.part", f".{'B' * 32}-1.part", f".{'b' * 31}-1.part", f".{'b' * 32}-.part", f"{'b' * 32}-1.part"],
)
def test_names_that_are_not_ours_are_left_alone(folder: int, name: str) -> None:
    made(folder, name, age_s=24 * 3600)
    assert delete_left(folder) == 0


def test_what_only_has_such_a_name_is_left_alone(folder: int, tmp_path: Path) -> None:
    """A folder, a link, a pipe."""
    os.mkdir(FORMER, dir_fd=folder)
    os.symlink(tmp_path, OTHERS, dir_fd=folder)
    os.mkfifo(f".{'c' * 32}-7.part", dir_fd=folder)
    for name in os.listdir(folder):
        os.utime(name, (LONG_AGO, LONG_AGO), dir_fd=folder, follow_symlinks=False)
    assert delete_left(folder) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_files_of_another_user_are_left_alone(folder: int) -> None:
    made(folder, FORMER, age_s=24 * 3600)
    os.chown(FORMER, 65534, 65534, dir_fd=folder)
    assert delete_left(folder) == 0


def test_a_folder_is_searched_once(folder: int) -> None:
    drafts = Drafts()
    put(folder, "a", b"", drafts)
    made(folder, FORMER, age_s=24 * 3600)
    put(folder, "b", b"", drafts)
    assert FORMER in os.listdir(folder)
    put(folder, "c", b"")
    assert FORMER not in os.listdir(folder)
