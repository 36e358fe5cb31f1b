"""Bytes on their way from one node to another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.common.buffer import Buffer
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.ports.errors import PayloadMissing, Temporary
from gateway.retrieve.handed_bytes import THREADS, HandedBytes
from tests.support.expecting import HANDED
from tests.support.fakes.memory_object_store import MemoryObjectStore
from tests.support.processes import GUARD_S

SMALL, LARGE = b"s" * 1000, b"l" * 1001


class Discarded(MemoryReceiver):
    """Counts those whose bytes did not come."""

    number = 0

    def discard(self) -> None:
        Discarded.number += 1


@pytest.fixture
def objects() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture
def handed_bytes(objects: MemoryObjectStore) -> Iterator[HandedBytes]:
    Discarded.number = 0
    made = HandedBytes(objects, Discarded, len(SMALL))
    yield made
    made.close()


async def nothing_is_read(handover_id: str) -> bytes | None:
    raise AssertionError("the object store has them")


async def test_small_ones_go_with_the_row(handed_bytes: HandedBytes, objects: MemoryObjectStore) -> None:
    async with AsyncExitStack() as stack:
        assert await handed_bytes.put("h1", MemoryDataSet(SMALL), stack) == ("", SMALL)
    assert objects.objects == {}

    async def payload(handover_id: str) -> bytes | None:
        return SMALL if handover_id == HANDED.handover_id else None

    read = await handed_bytes.read(replace(HANDED, length_bytes=len(SMALL)), payload)
    assert bytes(read.view()) == SMALL


async def test_large_ones_lie_in_the_object_store_until_they_are_taken(
    handed_bytes: HandedBytes, objects: MemoryObjectStore
) -> None:
    async with AsyncExitStack() as stack:
        name, payload = await handed_bytes.put("h1", MemoryDataSet(LARGE), stack)
        assert (name, payload) == ("large/h1", b"")
        handed = replace(HANDED, length_bytes=len(LARGE), object_name=name)
        assert bytes((await handed_bytes.read(handed, nothing_is_read)).view()) == LARGE
    assert objects.objects == {}
    with pytest.raises(PayloadMissing):
        await handed_bytes.read(handed, nothing_is_read)
    assert Discarded.number == 1


@pytest.mark.parametrize("payload", [None, SMALL[1:]])
async def test_what_is_gone_or_cut_short_is_nobody_s_instance(handed_bytes: HandedBytes, payload: bytes | None) -> None:
    async def gone(handover_id: str) -> bytes | None:
        return payload

    with pytest.raises(Temporary, match="no more"):
        await handed_bytes.read(replace(HANDED, length_bytes=len(SMALL)), gone)
    assert Discarded.number == 1


class HangingStore(MemoryObjectStore):
    def __init__(self) -> None:
        super().__init__()
        self.hanging, self.goes_on = threading.Semaphore(0), threading.Event()

    def put(self, name: str, chunks: Iterable[Buffer], length_bytes: int, part_bytes: int = 0) -> None:
        self.hanging.release()
        self.goes_on.wait()
        super().put(name, chunks, length_bytes, part_bytes)


async def test_no_end_waits_for_an_object_store_that_hangs() -> None:
    objects = HangingStore()
    handed_bytes = HandedBytes(objects, Discarded, len(SMALL))
    async with AsyncExitStack() as stack:
        putting = [
            asyncio.create_task(handed_bytes.put(f"h{number}", MemoryDataSet(LARGE), stack))
            for number in range(THREADS + 1)
        ]
        for _ in range(THREADS):
            assert await asyncio.to_thread(objects.hanging.acquire, timeout=GUARD_S)
        handed_bytes.close()
        with pytest.raises(Temporary, match="this node ends"):
            await putting[-1]  # it had not begun
        with pytest.raises(Temporary, match="this node ends"):
            await handed_bytes.put("late", MemoryDataSet(LARGE), stack)
        objects.goes_on.set()
        await asyncio.gather(*putting[:-1])
