"""The memory of a process that writes and reads an object that is much larger, with what the library for S3 holds."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from tests.support.processes import REPOSITORY
from tests.support.seaweedfs import shared_seaweedfs

MIB = 1024**2
OBJECT_BYTES = 200 * MIB
MOST_BYTES = 60 * MIB
"""Above what the process has without the object: parts of 5 MiB that wait and are sent, ranges, buffers of sockets."""
PROGRAM = """
import json, pathlib, re, sys
from gateway.model.settings import S3Settings
from gateway.objects.s3 import S3Limits, S3ObjectStore

def most_bytes():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024

store = S3ObjectStore(S3Settings(**json.loads(sys.argv[1])), S3Limits(answer_s=60, retry_s=30))
length_bytes, piece = int(sys.argv[2]), bytes(range(256)) * 4096
store.put("small", [piece], len(piece))
assert store.read("small", 0, len(piece)) == piece
before_bytes = most_bytes()
store.put("large", (piece for _ in range(length_bytes // len(piece))), length_bytes)
assert all(chunk == piece for chunk in store.stream("large", 0, length_bytes, len(piece)))
store.delete(["large"])
print(most_bytes() - before_bytes)
"""


@pytest.mark.s3
def test_memory_does_not_grow_with_the_object() -> None:
    place = json.dumps(dataclasses.asdict(shared_seaweedfs().place()))
    command = [sys.executable, "-c", PROGRAM, place, str(OBJECT_BYTES)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280)
    assert done.stderr == ""
    assert int(done.stdout) < MOST_BYTES
