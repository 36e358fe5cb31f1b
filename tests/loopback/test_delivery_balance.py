"""A balance group over the wire: each object is at one member, and studies stay together."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from random import Random

import pytest

from gateway.delivery.service import DeliveryService
from gateway.destinations.dicom import DimseDestination
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.peer import PeerGroup
from gateway.ports.meter import NoMeter
from tests.support.failing_member import FAULTS, FailingMember, Fault
from tests.support.fakes.delivery import table
from tests.support.fakes.memory_journal import IMPLICIT, MemoryJournal, real_clock

NAMES = ("first", "second", "third")
READERS = PeerGroup("readers", NAMES, "balance", after_s=0.5)
ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "0"))
STUDIES, OBJECTS = 12, 5
SMALL = b"\0" * 2000


class Readers:
    """A group of three members, the first of which fails."""

    def __init__(self, fault: Fault) -> None:
        self.members = {name: FailingMember(name, fault if name == "first" else "") for name in NAMES}
        self.journal = MemoryJournal(real_clock)
        self.pool = AssociationPool("GATEWAY")
        meter = NoMeter()
        self.service = DeliveryService(
            journal=self.journal,
            open_destination=lambda peer: DimseDestination(peer, self.pool, meter),
            meter=meter,
            now=self.journal.now,
            random=Random(1),
            look_s=0.05,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for member in self.members.values():
                await stack.enter_async_context(member)
            await self.service.start(table(*(member.peer for member in self.members.values()), groups=[READERS]))
            try:
                yield
            finally:
                assert await self.service.drain(60.0)
                await self.pool.close()

    async def comes(self, study: str, data: bytes = SMALL) -> str:
        """One more object, as the intake takes it; the member that was chosen."""
        to_readers = Dispatch("all", "first", group_name="readers")
        (chosen,) = await self.service.study_members.chosen([to_readers], {"readers": READERS}, study)
        self.journal.add(
            chosen.destination,
            group_name="readers",
            data=data,
            transfer_syntax_uid=IMPLICIT,
            study_instance_uid=study,
        )
        return chosen.destination

    @property
    def is_first_given_up(self) -> bool:
        return self.service.members.is_given_up(READERS, "first")

    def waiting(self) -> int:
        """The number of deliveries that wait and that no member may have."""
        rows = self.journal.rows.values()
        return sum(row.state is DeliveryState.PENDING and not row.is_doubtful for row in rows)

    def places(self, stayed: set[int]) -> dict[str, set[str]]:
        """Study → where its objects are or wait, but for those deliveries."""
        found: dict[str, set[str]] = {}
        for number, row in self.journal.rows.items():
            if number not in stayed:
                found.setdefault(row.instance.study_instance_uid, set()).add(row.destination)
        return found

    async def until_back(self) -> None:
        """New studies go on to arrive; return when the first member has what it was owed and gets studies again."""
        number = 0
        async with asyncio.timeout(60.0):
            while self.is_first_given_up:
                await self.comes(f"9.{number}")
                number += 1
                await asyncio.sleep(0.02)
        await self.journal.until(lambda: all(each is DeliveryState.DELIVERED for each in self.states()))

    def states(self) -> list[DeliveryState]:
        return [row.state for row in self.journal.rows.values()]

    def assert_each_is_at_one_member(self) -> None:
        uids = {row.instance.sop_instance_uid for row in self.journal.rows.values()}
        have = {name: {*member.have} for name, member in self.members.items()}
        assert {*self.states()} == {DeliveryState.DELIVERED}
        assert set[str]().union(*have.values()) == uids
        assert sum(map(len, have.values())) == len(uids)


async def fail_and_come_back(fault: Fault) -> None:
    site = Readers(fault)
    studies = [f"1.{number}" for number in range(STUDIES)]
    async with site.running():
        for study in studies * OBJECTS:
            await site.comes(study)
        await site.journal.until(lambda: site.is_first_given_up and site.waiting() == 0)
        stayed = {number for number, row in site.journal.rows.items() if row.state is DeliveryState.PENDING}
        moved = site.places(stayed)
        assert set[str]().union(*moved.values()) == {"second", "third"}, "the others get its share"
        for study in studies:
            assert moved.setdefault(study, {await site.comes(study)}) == {await site.comes(study)}
        await site.journal.until(lambda: site.waiting() == 0)
        assert site.places(stayed) == moved, "studies stay together"
        assert all(len(places) == 1 for places in moved.values())
        await site.members["first"].mend()
        await site.until_back()
    site.assert_each_is_at_one_member()


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_others_get_the_studies_of_a_member_that_fails(fault: Fault) -> None:
    await fail_and_come_back(fault)


@pytest.mark.campaign
@pytest.mark.skipif(not ROUNDS, reason="FAILOVER_ROUNDS says how often each fault happens")
@pytest.mark.parametrize("fault", FAULTS)
async def test_however_often_a_member_of_three_fails(fault: Fault) -> None:
    for _ in range(ROUNDS):
        await fail_and_come_back(fault)


async def test_each_member_has_its_share_and_studies_are_whole() -> None:
    site = Readers("")
    async with site.running():
        for number in range(9):
            for _ in range(3):
                await site.comes(f"1.{number}")
        await site.journal.until(lambda: site.waiting() == 0)
    site.assert_each_is_at_one_member()
    assert all(len(places) == 1 for places in site.places(set()).values())
    assert all(member.have for member in site.members.values())
