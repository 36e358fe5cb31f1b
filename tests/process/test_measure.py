"""Processor time of a process and of what it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.load.measure import cpu_seconds, tree_cpu_seconds

BUSY_S = 0.5
CHILD = f"""
import sys, time
while time.process_time() < {BUSY_S}:
    pass
print("done", flush=True)
"""
STAYS = "sys.stdin.read()"
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
if not sys.argv[2]:
    child.wait()
print("done", flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


@pytest.mark.parametrize("stays", ["", STAYS], ids=["has ended", "goes on"])
def test_the_time_of_a_child_counts(stays: str) -> None:
    command = [sys.executable, "-c", PARENT, CHILD + stays, stays]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"done\n"
        own_s = cpu_seconds(parent.pid)  # before the sum, for it goes on
        assert tree_cpu_seconds(parent.pid) - own_s >= BUSY_S - 0.02  # it counts in hundredths
        assert parent.stdin is not None
        parent.stdin.close()
