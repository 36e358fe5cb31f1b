"""An object store of each implementation, and bytes to put into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.objects.folder import FolderObjectStore
from gateway.objects.s3 import S3Limits, S3ObjectStore
from gateway.objects.start_check import CheckedStore
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.fakes.s3_server import FakeS3
from tests.support.seaweedfs import shared_seaweedfs

PATIENT = S3Limits(answer_s=60.0, retry_s=30.0, retries=2)
"""For a machine that has much else to do."""
Place = Callable[[], CheckedStore]
"""Opens one place; each call as another node does."""


@contextlib.contextmanager
def memory(folder: Path) -> Iterator[Place]:
    store = MemoryObjectStore()
    yield lambda: store


@contextlib.contextmanager
def shared_folder(folder: Path) -> Iterator[Place]:
    (folder / "shared").mkdir()
    yield lambda: FolderObjectStore(str(folder / "shared"))


@contextlib.contextmanager
def fake_s3(folder: Path) -> Iterator[Place]:
    with FakeS3() as server:
        yield lambda: S3ObjectStore(server.place(), PATIENT)


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[Place]:
    place = shared_seaweedfs().place()
    yield lambda: S3ObjectStore(place, PATIENT)


IMPLEMENTATIONS = {"memory": memory, "folder": shared_folder, "fake_s3": fake_s3, "seaweedfs": seaweedfs}
MARKS = {"fake_s3": pytest.mark.loopback, "seaweedfs": pytest.mark.s3}
EACH = [pytest.param(name, marks=MARKS.get(name, ())) for name in IMPLEMENTATIONS]
"""Their names, as parameters of tests."""


def pattern(length_bytes: int, seed: int = 0) -> bytes:
    """Bytes in which each place differs from those around it, and from those a part away."""
    block = b"".join((number * 2654435761 + seed).to_bytes(8, "big")[-5:] for number in range(20_011))
    return (block * (length_bytes // len(block) + 1))[:length_bytes]
