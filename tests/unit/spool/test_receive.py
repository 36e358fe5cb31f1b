"""Fragments of one data set: what is copied, and what is kept as it is."""

from __future__ import annotations

from concurrent.futures import Executor
from unittest.mock import Mock

import pytest

from gateway.spool.free_space import FreeSpace
from gateway.spool.receive import KEPT_SHARE, MemoryBudget, Receiver, ReceiverConfig

LIMIT_BYTES = 1024**2
DATA = bytes(range(256)) * 256


def receiver() -> Receiver:
    """One that has no file: nothing here is large."""
    nothing = Mock(spec=["submit"])
    return Receiver(
        ReceiverConfig(LIMIT_BYTES, LIMIT_BYTES, MemoryBudget(), Mock(spec=FreeSpace), nothing, Mock(spec=Executor))
    )


def chunk_of(fragment: memoryview) -> memoryview:
    """What a receiver keeps of one fragment."""
    taking = receiver()
    assert taking.write(fragment) is None
    (chunk,) = taking.finish().chunks(LIMIT_BYTES)
    assert bytes(chunk) == bytes(fragment)
    return memoryview(chunk)


SHARE_BYTES = len(DATA) // KEPT_SHARE


@pytest.mark.parametrize(
    ("start", "stop"), [(0, len(DATA)), (0, SHARE_BYTES), (100, 100 + SHARE_BYTES)], ids=["all", "first", "some"]
)
def test_a_large_share_of_bytes_is_kept_as_it_is(start: int, stop: int) -> None:
    assert chunk_of(memoryview(DATA)[start:stop]).obj is DATA


COPIED = {
    "a small share of bytes": memoryview(DATA)[: SHARE_BYTES - 1],
    "a buffer that is used again": memoryview(bytearray(DATA)),
    "such a buffer, read-only": memoryview(bytearray(DATA)).toreadonly(),
}


@pytest.mark.parametrize("fragment", COPIED.values(), ids=COPIED)
def test_all_else_is_copied(fragment: memoryview) -> None:
    assert chunk_of(fragment).obj is not fragment.obj


def test_pieces_of_all_kinds_stay_in_order() -> None:
    taking = receiver()
    buffer = bytearray(64)
    expected = b""
    for number in range(40):
        buffer[:] = bytes([number]) * 64
        start = number * 1000
        fragments = [memoryview(buffer), memoryview(DATA)[start : start + 20_000], memoryview(DATA)[start : start + 10]]
        for fragment in fragments[number % 3 :]:
            expected += fragment
            taking.write(fragment)
    body = taking.finish()
    assert b"".join(body.chunks(5000)) == expected
    assert bytes(body.view()) == expected
    body.close()
