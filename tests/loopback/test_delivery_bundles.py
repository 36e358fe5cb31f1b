"""Routes with `one_association`, to a real acceptor: one association a study, with nothing else in it, in order."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.delivery.service import DeliveryService
from gateway.destinations.dicom import DimseDestination
from gateway.dimse.protocol.upper_layer import RELEASE_RP
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.bundle import place_in_bundle
from gateway.model.delivery import DeliveryState
from gateway.ports.meter import NoMeter
from tests.support.dimse.acceptor_rig import accept, acceptor, read_message, response
from tests.support.dimse.rig import Peer as Bytes
from tests.support.dimse.rig import message
from tests.support.fakes.delivery import QUICK, table
from tests.support.fakes.memory_journal import CT, MemoryJournal, real_clock

DELIVERED = DeliveryState.DELIVERED
STUDIES, SERIES, IMAGES = 6, 3, 5


class GroupsByAssociation:
    """A receiver for which what comes over one association is one study."""

    def __init__(self) -> None:
        self.associations: list[list[str]] = []

    async def script(self, peer: Bytes) -> None:
        await accept(peer)
        came: list[str] = []
        self.associations.append(came)
        while True:
            try:
                command, *_ = await read_message(peer)
            except AssertionError:  # A-RELEASE-RQ
                peer.send(RELEASE_RP)
                return
            came.append(command["AffectedSOPInstanceUID"])
            peer.send(message(1, response(command)))


@pytest.mark.parametrize("associations", [1, 2, 4])
async def test_a_receiver_that_groups_by_association_sees_each_study_whole_alone_and_in_order(
    associations: int,
) -> None:
    there, journal, pool = GroupsByAssociation(), MemoryJournal(real_clock), AssociationPool("GATEWAY")
    images = [(study, series, image) for study in range(STUDIES) for series in range(SERIES) for image in range(IMAGES)]
    Random(7).shuffle(images)
    for study, series, image in images:
        journal.add(
            sop_instance_uid=f"1.2.{study}.{series}.{image}",
            study_instance_uid=f"1.2.{study}",
            series_instance_uid=f"1.2.{study}.{series}",
            sop_class_uid=CT,
            bundle=f"1.2.{study}",
            bundle_place=place_in_bundle((str(series),), (str(image),)),
        )
    meter = NoMeter()
    service = DeliveryService(
        journal=journal,
        open_destination=lambda peer: DimseDestination(peer, pool, meter),
        meter=meter,
        now=journal.now,
        random=Random(1),
    )
    async with acceptor(there.script, associations=associations, retry=QUICK) as peer:
        await service.start(table(peer))
        await journal.until_all(DELIVERED)
        assert await service.drain(60.0)
        await pool.close()
        await asyncio.sleep(0)
    assert sorted(there.associations) == [
        [f"1.2.{study}.{series}.{image}" for series in range(SERIES) for image in range(IMAGES)]
        for study in range(STUDIES)
    ]
