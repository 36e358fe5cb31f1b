"""A peer that serves one association at a time, and is sent deliveries, asked questions and moved instances to."""

from __future__ import annotations

import asyncio

import pytest

from gateway.destinations.dicom import DimseDestination
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.pynetdicom_contract.associate_keywords import Target
from gateway.dimse.pynetdicom_contract.sendable import SendableBytes
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.query_contexts import query_contexts
from gateway.dimse.services.sub_operations import MoveTarget
from gateway.model.delivery import Delivered
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.ports.meter import NoMeter
from gateway.sending.store_outcome import SubOperationResult
from gateway.sources.source_clock import SourceClock
from gateway.sources.sources import Sources
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.dimse.one_at_a_time import OneAtATime
from tests.support.dimse.query_rig import IDENTIFIER, STUDY_FIND, serving, uid
from tests.support.processes import GUARD_S
from tests.unit.destinations.fakes import outbound

IN_WAYS = pytest.mark.parametrize("is_rejecting", [True, False], ids=["turned away", "let wait"])


class Users:
    """Deliveries, queries and sub-operations to one peer, on one pool."""

    def __init__(self, port: int, opening: OneAtATime) -> None:
        self.peer = Peer("pacs", "PACS", "127.0.0.1", port, timers=Timers(association_s=120.0, dimse_s=120.0))
        self.pool = AssociationPool("GATEWAY", associate=opening)
        self.sources = Sources(self.pool)
        self.channel = DimseDestination(self.peer, self.pool, NoMeter()).channel()
        self.target = MoveTarget(Target(self.peer), self.pool, width=2, priority=0, originator=("WS1", 1))

    async def deliver(self, number: int) -> None:
        await self.channel.prepare([(MR, EXPLICIT)])
        sent = outbound(uid(number), data_set(uid(number)), kind=(MR, EXPLICIT))
        assert await self.channel.send(sent) == Delivered()

    async def query(self) -> None:
        contexts = query_contexts(self.peer, [STUDY_FIND])
        async with (
            self.sources.association(self.peer, contexts, SourceClock(120.0)) as association,
            association.c_find(IDENTIFIER, sop_class_uid=STUDY_FIND) as responses,
        ):
            assert (await responses.final()).status == 0

    async def move(self, number: int) -> None:
        one = EncodedInstance(MR, uid(number), EXPLICIT, MemoryDataSet(data_set(uid(number))))
        assert await self.target.send(SendableBytes(one)) is SubOperationResult.COMPLETED

    async def close(self) -> None:
        self.target.close()
        await self.channel.close()
        await self.pool.close()


@IN_WAYS
async def test_a_delivery_a_query_and_a_retrieve_one_after_the_other(*, is_rejecting: bool) -> None:
    """Each of them keeps the association that it used."""
    async with serving(find=lambda event: None, store=lambda event: 0x0000) as port:
        users = Users(port, OneAtATime(is_rejecting=is_rejecting))
        async with asyncio.timeout(GUARD_S):
            for number in (1, 2):
                await users.deliver(number)
                await users.query()
                await users.move(number)
            await users.close()


@IN_WAYS
async def test_deliveries_queries_and_retrieves_at_once(*, is_rejecting: bool) -> None:
    """Each of them gets its turn, though the others have more to do."""
    stored: list[str] = []

    def store(event: object) -> int:
        stored.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[attr-defined]
        return 0x0000

    async with serving(find=lambda event: None, store=store) as port:
        users = Users(port, OneAtATime(is_rejecting=is_rejecting))

        async def deliveries() -> None:
            for number in range(40):
                await users.deliver(number)

        async def moves() -> None:
            for number in range(100, 140):
                await users.move(number)

        async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(deliveries())
            tasks.create_task(moves())
            tasks.create_task(users.query())
        await users.close()
    assert sorted(stored) == sorted(uid(number) for number in (*range(40), *range(100, 140)))
