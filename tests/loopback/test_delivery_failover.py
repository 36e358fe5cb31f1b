"""A failover group over the wire: nothing is lost, nothing is at two members, and all goes back to the first one."""

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

ARCHIVES = PeerGroup("archives", ("first", "second"), "failover", after_s=0.5)
ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "0"))
SMALL, LARGE = b"\0" * 2000, b"\0" * 8_000_000


class Archives:
    """A group of two members, the first of which fails."""

    def __init__(self, fault: Fault) -> None:
        self.first, self.second = FailingMember("first", fault), FailingMember("second")
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
        async with self.first, self.second:
            await self.service.start(table(self.first.peer, self.second.peer, groups=[ARCHIVES]))
            try:
                yield
            finally:
                assert await self.service.drain(60.0)
                await self.pool.close()

    def arrives(self, data: bytes = SMALL) -> str:
        """One more object, as the intake takes it; the member that was chosen."""
        (dispatch,) = self.service.members.choose(
            [Dispatch("all", "first", group_name="archives")], {"archives": ARCHIVES}
        )
        self.journal.add(dispatch.destination, group_name="archives", data=data, transfer_syntax_uid=IMPLICIT)
        return dispatch.destination

    @property
    def is_first_given_up(self) -> bool:
        return self.service.members.is_given_up(ARCHIVES, "first")

    def waiting(self, *, are_doubtful: bool) -> int:
        rows = self.journal.rows.values()
        return sum(row.state is DeliveryState.PENDING and row.is_doubtful is are_doubtful for row in rows)

    async def until_away(self) -> None:
        """Return when all is delivered but what the first member may have; objects go on to arrive."""
        await self.journal.until(lambda: self.is_first_given_up)
        for _ in range(10):
            self.arrives()
            await asyncio.sleep(0)
        await self.journal.until(lambda: self.waiting(are_doubtful=False) == 0)

    async def until_back(self) -> None:
        """Objects go on to arrive; return when the first member gets them again, and has what it was owed."""
        async with asyncio.timeout(60.0):
            while self.is_first_given_up:
                self.arrives()
                await asyncio.sleep(0.02)
        await self.journal.until(lambda: not self.waiting(are_doubtful=True) + self.waiting(are_doubtful=False))
        assert [self.arrives() for _ in range(3)] == ["first"] * 3
        await self.journal.until(lambda: self.waiting(are_doubtful=False) == 0)

    def assert_each_is_at_one_member(self) -> None:
        uids = {row.instance.sop_instance_uid for row in self.journal.rows.values()}
        assert {row.state for row in self.journal.rows.values()} == {DeliveryState.DELIVERED}
        assert set(self.first.have) | set(self.second.have) == uids
        assert set(self.first.have) & set(self.second.have) == set()
        assert len(self.second.have) == len(set(self.second.have))


async def fail_and_come_back(fault: Fault) -> None:
    site = Archives(fault)
    async with site.running():
        for _ in range(20):
            site.arrives()
        await site.until_away()
        assert site.second.have
        if fault not in ("frozen", "killed"):
            assert site.waiting(are_doubtful=True) == 0
        await site.first.mend()
        await site.until_back()
    site.assert_each_is_at_one_member()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_member_that_fails_is_stood_in_for_and_comes_back(fault: Fault) -> None:
    await fail_and_come_back(fault)


@pytest.mark.campaign
@pytest.mark.skipif(not ROUNDS, reason="FAILOVER_ROUNDS says how often each fault happens")
@pytest.mark.parametrize("fault", FAULTS)
async def test_however_often_a_member_fails(fault: Fault) -> None:
    for _ in range(ROUNDS):
        await fail_and_come_back(fault)


async def test_objects_that_break_off_in_the_middle_are_no_doubt() -> None:
    """Their last fragments never left: the first member cannot have them."""
    site = Archives("killed")
    async with site.running():
        for _ in range(3):
            site.arrives(LARGE)
        await site.journal.until(lambda: len(site.second.have) == 3)
    site.assert_each_is_at_one_member()
