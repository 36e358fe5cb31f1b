"""Objects that go round in a ring are noticed and held, with bounded memory; those of others are not looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.intake.loops import MOST_REMEMBERED, LoopWatch, is_forwarder
from gateway.model.association import AssociationFacts
from gateway.model.delivery import LOOP_RULE, DeliveryState
from gateway.model.hops import IMPLEMENTATION_CLASS_UID
from gateway.model.settings import Loops
from gateway.ports.errors import SpoolFull
from tests.support.caller import data_set
from tests.support.fakes.meter import MemoryMeter
from tests.unit.handlers import test_store
from tests.unit.handlers.test_store import (
    UID,
    FakeAssociation,
    FakeEvent,
    answer_of,
    journal_in_memory,
    store_handler,
    table,
)

AGAIN, WITHIN_S = 5, 600.0
LIMITS = Loops(repeats=AGAIN, within_s=WITHIN_S)

FROM_PACS = AssociationFacts("PACS", "GATEWAY", "10.0.0.9", peer="pacs", association_id="a1")
OF_A_GATEWAY = AssociationFacts(
    "OTHER",
    "GATEWAY",
    "10.0.0.8",
    implementation_class_uid=IMPLEMENTATION_CLASS_UID,
    implementation_version_name="GATEWAY_0.1.0+1",
)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (FROM_PACS, True),
        (replace(FROM_PACS, peer=""), True),
        (OF_A_GATEWAY, True),
        (replace(OF_A_GATEWAY, implementation_version_name="GATEWAY_0.1.0"), False),
        (replace(OF_A_GATEWAY, implementation_class_uid="1.2.3"), False),
        (replace(FROM_PACS, calling_ae_title="CT1"), False),
    ],
    ids=["a destination", "with its title", "a gateway that delivers", "a gateway that sends", "another", "a modality"],
)
def test_who_may_send_us_what_we_sent(facts: AssociationFacts, expected: bool) -> None:
    assert is_forwarder(facts, table()) is expected


class Ring:
    """A handler that gets one object again and again."""

    def __init__(self, limits: Loops = LIMITS) -> None:
        self.journal, self.meter, self.now_s = journal_in_memory(), MemoryMeter(), 0.0
        self.loops = LoopWatch(limits, lambda: self.now_s)
        self.handler = store_handler(self.journal, self.meter, loops=self.loops)

    async def comes(self, facts: AssociationFacts = FROM_PACS, size_bytes: int = 100) -> DeliveryState:
        """Once; what becomes of it."""
        body = MemoryDataSet(data_set(UID, size_bytes))
        event: Any = FakeEvent(FakeAssociation(table(), facts), body, facts=facts)
        assert await answer_of(self.handler, event) == 0x0000
        (dispatch,) = self.journal.committed[-1][2]
        assert dispatch.destination == "pacs"
        assert (dispatch.rule == LOOP_RULE) is (dispatch.state is DeliveryState.HELD)
        assert ("goes round" in dispatch.reason) is (dispatch.state is DeliveryState.HELD)
        return dispatch.state


async def test_it_is_held_at_last_and_reported_once() -> None:
    ring = Ring()
    with capture_logs() as logs:
        states = [await ring.comes() for _ in range(AGAIN + 3)]
    assert states == [DeliveryState.PENDING] * AGAIN + [DeliveryState.HELD] * 3
    (told,) = logs
    assert (told["event"], told["rule"], told["peer"], told["sop_instance_uid"]) == (
        "instance_loop_detected",
        LOOP_RULE,
        "pacs",
        UID,
    )
    assert ring.meter.counted["gateway_looping_instances_total", "pacs"] == 3
    assert ring.loops.held == {"pacs": 3}


async def test_what_is_no_loop() -> None:
    ring = Ring()
    for _ in range(AGAIN * 3):
        assert await ring.comes(replace(FROM_PACS, calling_ae_title="CT1", peer="ct1")) is DeliveryState.PENDING
    for _ in range(AGAIN * 3):
        ring.now_s += WITHIN_S / (AGAIN - 1)
        assert await ring.comes(size_bytes=10) is DeliveryState.PENDING, "not so often"
    assert ring.loops.held == {}


async def test_one_that_came_through_too_many_gateways_is_held_at_once() -> None:
    ring = Ring(Loops())
    for hops in range(1, LIMITS.hops + 1):
        through = replace(OF_A_GATEWAY, implementation_version_name=f"GATEWAY_0.1.0+{hops}")
        assert await ring.comes(through) is DeliveryState.PENDING
    with capture_logs() as logs:
        through = replace(OF_A_GATEWAY, implementation_version_name=f"GATEWAY_0.1.0+{LIMITS.hops + 1}")
        assert await ring.comes(through) is DeliveryState.HELD
    assert logs[0]["reason"] == "it came through more than 8 gateways: it goes round in a ring"


async def test_one_that_comes_back_from_where_it_was_sent_is_held_soon() -> None:
    """The size that it was sent with is that of the data set as it left."""
    ring = Ring(Loops(repeats=0, returns=2))
    body = len(data_set(UID, 100))
    states = []
    for _ in range(5):
        states.append(await ring.comes())
        ring.loops.on_sending(table().peers["pacs"], UID, UID, body)
    assert states == [DeliveryState.PENDING] * 3 + [DeliveryState.HELD] * 2


@pytest.mark.parametrize("limits", [Loops(hops=0, returns=0, repeats=0)])
async def test_nothing_is_held_when_nothing_is_counted(limits: Loops) -> None:
    watch = LoopWatch(limits, lambda: 0.0)
    through = replace(OF_A_GATEWAY, implementation_version_name="GATEWAY_0.1.0+9")
    assert not any(watch.comes(through, UID, 1) for _ in range(100))


@pytest.mark.parametrize("way", ["in-a-task", "by-completion"])
async def test_what_is_refused_for_want_of_room_comes_again_and_is_no_loop(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_store, "WAY", [way])
    ring = Ring()
    ring.journal.commit_error = SpoolFull("no room")
    for _ in range(AGAIN * 2):
        with pytest.raises(SpoolFull):
            await ring.comes()
    ring.journal.commit_error = None
    states = [await ring.comes() for _ in range(AGAIN + 1)]
    assert states == [DeliveryState.PENDING] * AGAIN + [DeliveryState.HELD]


@pytest.mark.campaign
def test_memory_is_bounded() -> None:
    now_s = 0.0
    watch = LoopWatch(LIMITS, lambda: now_s)
    pacs = table().peers["pacs"]
    for number in range(MOST_REMEMBERED + 10):
        watch.comes(FROM_PACS, str(number), 1)
        watch.on_sending(pacs, str(number), f"1.{number}", 1)
        watch.comes(FROM_PACS, f"1.{number}", 1)
    assert watch.remembered() <= 4 * MOST_REMEMBERED
    now_s = WITHIN_S + 1
    for number in range(MOST_REMEMBERED + 10):
        watch.comes(FROM_PACS, f"2.{number}", 1)
    assert len(watch._times) == MOST_REMEMBERED


@pytest.mark.campaign
def test_a_ring_with_more_objects_than_are_remembered_is_noticed_bit_by_bit() -> None:
    """What is noted first stays noted, so that it is held, and makes room."""
    now_s = 0.0
    watch = LoopWatch(LIMITS, lambda: now_s)
    going = set(range(MOST_REMEMBERED + 20_000))
    for _ in range(2 * (AGAIN + 2)):
        going = {number for number in going if not watch.comes(FROM_PACS, str(number), 1)}
        now_s += WITHIN_S / (AGAIN + 1.5)
    assert not going
