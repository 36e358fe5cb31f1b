"""A node that is killed while it writes into a shared folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.objects.folder import FolderObjectStore
from tests.support.processes import REPOSITORY

WRITER = """
import sys
from gateway.objects.folder import FolderObjectStore
store, run = FolderObjectStore(sys.argv[1]), sys.argv[2]
for number in range(1_000_000):
    name = f"large/{run}/{number}"
    store.put(name, [name.encode() * 1000 for _ in range(100)], len(name) * 100_000)
    print(name, flush=True)
"""
ACKNOWLEDGED = 20
"""Objects of a writer before it is killed."""


@pytest.mark.parametrize("kills", [4])
def test_each_object_with_a_name_is_whole_and_none_that_was_acknowledged_is_missing(tmp_path: Path, kills: int) -> None:
    acknowledged = []
    for run in range(kills):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as writer:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(ACKNOWLEDGED)]
            writer.kill()
            acknowledged += writer.stdout.read().split()
    store = FolderObjectStore(str(tmp_path))
    store.check("cluster-7", "1")
    found = {each.name: each.length_bytes for each in store.list("large/")}
    assert len(acknowledged) >= kills * ACKNOWLEDGED
    assert set(acknowledged) <= found.keys()
    for name, length_bytes in found.items():
        assert store.read(name, 0, length_bytes) == name.encode() * 100_000
    for name in found:
        store.put(name, [name.encode() * 100_000], len(name) * 100_000)  # what was written before its answer was lost
