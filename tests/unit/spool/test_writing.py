"""What is known of whether writes reach the disk, and the probe that finds it out."""

from __future__ import annotations

import concurrent.futures
import errno
import os
import time
from pathlib import Path

import pytest
import structlog

from gateway.model.settings import Spool
from gateway.ports.meter import NoMeter
from gateway.spool.lock import FileLock
from gateway.spool.store import PROBE, SpoolStore
from gateway.spool.writing import IDLE_S, Writing
from tests.unit.spool.faulty import FaultyDisk, error


class Now:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def test_trouble_is_logged_when_it_begins_and_when_it_ends() -> None:
    writing = Writing(NoMeter(), Now())
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            writing.failed("spool", "input/output error")
        writing.failed("database", "full")
        assert writing.problems == {"spool": "input/output error", "database": "full"}
        writing.worked("spool")
        writing.worked("spool")
    assert writing.problems == {"database": "full"}
    assert [(event["event"], event["place"]) for event in logs] == [
        ("storage_writing_failed", "spool"),
        ("storage_writing_failed", "database"),
        ("storage_writing_recovered", "spool"),
    ]


def test_a_probe_is_due_while_there_is_trouble_and_after_a_while_without_proof() -> None:
    now = Now()
    writing = Writing(NoMeter(), now)
    assert not writing.is_probe_due("spool")
    writing.failed("spool", "x")
    assert writing.is_probe_due("spool")
    assert not writing.is_probe_due("database")
    writing.worked("spool")
    assert not writing.is_probe_due("spool")
    now.s = IDLE_S
    assert writing.is_probe_due("spool")


@pytest.mark.parametrize("call", ["create", "pwritev", "fdatasync"])
def test_a_probe_finds_what_an_object_would(tmp_path: Path, call: str) -> None:
    disk = FaultyDisk()
    with concurrent.futures.ThreadPoolExecutor(1) as workers:
        store = SpoolStore(Spool(str(tmp_path)), disk=disk, monotonic=time.monotonic, workers=workers)
        store.probe()
        disk.fail[call] = error(errno.EIO)
        with pytest.raises(OSError, match="Input/output error"):
            store.probe()
        del disk.fail[call]
        (tmp_path / PROBE).touch()  # of a process that was killed
        store.probe()
        assert not (tmp_path / PROBE).exists()
        store.close()


def test_a_lock_is_held_though_a_full_disk_takes_no_process_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "pwrite", full)
    lock = FileLock(tmp_path / "lock", "spool x")
    with pytest.raises(Exception, match=r"another gateway uses it \(process unknown\)"):
        FileLock(tmp_path / "lock", "spool x")
    lock.release()
