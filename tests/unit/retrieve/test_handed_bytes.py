"""Bytes on their way from one node to another."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.ports.errors import PayloadMissing, Temporary
from gateway.retrieve.handed_bytes import HandedBytes
from tests.support.expecting import HANDED
from tests.support.fakes.memory_object_store import MemoryObjectStore

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
def handed_bytes(objects: MemoryObjectStore) -> HandedBytes:
    Discarded.number = 0
    return HandedBytes(objects, Discarded, len(SMALL))


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
