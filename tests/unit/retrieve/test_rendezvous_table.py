"""The table of the rendezvous: bytes are passed on as they came, sources wait, and memory is bounded."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.retrieve import rendezvous_table
from gateway.retrieve.get_fetcher import FetchedInstance
from gateway.retrieve.rendezvous_table import RendezvousTable
from tests.unit.retrieve.test_move_rendezvous import DATA, OFFER, Body, Taker, expectation, give, rendezvous

__all__ = ["rendezvous"]


async def test_the_bytes_are_those_that_came_and_are_closed_by_the_last_holder(rendezvous: RendezvousTable) -> None:
    body = Body(DATA)
    kept: list[FetchedInstance] = []

    async def take(arrived: FetchedInstance) -> int:
        kept.append(dataclasses.replace(arrived, body=arrived.body.share()))
        return 0x0000

    with rendezvous.expecting(dataclasses.replace(expectation(Taker()), take=take)):
        assert await give(rendezvous, body) == 0x0000
        assert kept[0].body.inner is body  # no copy
        assert body.closed == 0
        kept[0].body.close()
        assert body.closed == 1


async def test_the_source_waits_while_the_retrieve_has_no_room(rendezvous: RendezvousTable) -> None:
    room = asyncio.Event()

    async def take(arrived: FetchedInstance) -> int:
        await room.wait()
        return 0x0000

    with rendezvous.expecting(dataclasses.replace(expectation(Taker()), take=take)):
        giving = asyncio.create_task(give(rendezvous))
        await asyncio.sleep(0)
        assert not giving.done()
        room.set()
        assert await giving == 0x0000


@pytest.mark.parametrize("changes", [{"peer": "ct"}, {"sop_instance_uid": "1.3.9"}, {"remote_host": "10.9.9.9"}])
async def test_the_bytes_of_what_is_not_meant_stay_with_the_request(
    rendezvous: RendezvousTable, changes: dict[str, Any]
) -> None:
    def take_body() -> MemoryDataSet:
        raise AssertionError("it is not for a retrieve")

    with rendezvous.expecting(expectation(Taker())):
        assert await rendezvous.deliver(dataclasses.replace(OFFER, **changes), take_body) is None


async def test_what_has_ended_is_forgotten(rendezvous: RendezvousTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous_table, "LATE_S", 0.0)
    with rendezvous.expecting(expectation(Taker())):
        assert rendezvous.is_expected("1.3.1")
    while rendezvous.is_expected("1.3.1"):
        await asyncio.sleep(0)
    assert not rendezvous.is_expected("1.3.2")
    assert await give(rendezvous) is None


async def test_of_what_has_ended_not_more_than_a_number_is_known(
    rendezvous: RendezvousTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendezvous_table, "MOST_LATE", 3)
    with rendezvous.expecting(expectation(Taker(), "1.3.1", "1.3.2")):
        pass
    with rendezvous.expecting(expectation(Taker(), "1.3.2", "1.3.3")):
        pass
    assert [rendezvous.is_expected(uid) for uid in ("1.3.1", "1.3.2", "1.3.3")] == [False, True, True]


async def test_message_ids_differ(rendezvous: RendezvousTable) -> None:
    ids = [rendezvous.next_message_id() for _ in range(0x10001)]
    assert set(ids) == set(range(1, 0x10000))
    assert len(set(ids[:0xFFFF])) == 0xFFFF
