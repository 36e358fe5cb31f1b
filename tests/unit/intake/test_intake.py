"""C-STORE of objects that break the standard: what archives take is taken and told, `strict` refuses it, and what
nobody can read is refused or held."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.dataset.scan import is_read_at_once
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.leniency import LENIENCIES
from gateway.model.delivery import UNREADABLE_RULE, DeliveryState
from gateway.model.dimse_status import SUCCESS
from gateway.model.peer import Peer
from gateway.ports.errors import Unreadable
from gateway.routing.table import RoutingTable
from tests.support.fakes.meter import MemoryMeter
from tests.support.odd_objects import OddObject, deflated_objects, odd_objects
from tests.unit.handlers.test_store import (
    FakeAssociation,
    FakeEvent,
    answer_of,
    journal_in_memory,
    route,
    store_handler,
    table,
)

OBJECTS = [*odd_objects(), *deflated_objects()]
CUT = b"\x08\x00\x60\x00CS\x10\x00MR"
STRICT = Peer("ct1", "CT1", "", 0, is_strict=True)


def event(data: bytes, rules: RoutingTable, odd: OddObject = OBJECTS[0]) -> FakeEvent:
    return FakeEvent(
        FakeAssociation(rules), MemoryDataSet(data), odd.sop_class_uid, odd.sop_instance_uid, odd.transfer_syntax_uid
    )


def for_all(**changes: object) -> RoutingTable:
    return table(routes=(route("all", {}, "pacs"),), **changes)


@pytest.mark.parametrize("odd", OBJECTS, ids=lambda odd: odd.name)
async def test_taken_byte_for_byte_and_reported(odd: OddObject) -> None:
    journal, meter = journal_in_memory(), MemoryMeter()
    with capture_logs() as lines:
        status = await answer_of(store_handler(journal, meter), event(odd.data, for_all(), odd))
    assert status == SUCCESS
    assert [payload for _, payload, _ in journal.committed] == [odd.data]
    told = [kind for name, _, kind in meter.counted.elements() if name == "gateway_leniencies_total"]
    assert sorted(told) == sorted(odd.kinds)
    assert sorted(line["kind"] for line in lines if line["event"] == "deviation_tolerated") == sorted(odd.kinds)
    assert all("Doe" not in str(line) and "PID1" not in str(line) for line in lines)


@pytest.mark.parametrize("odd", [one for one in OBJECTS if one.kinds], ids=lambda odd: odd.name)
async def test_a_strict_peer_is_refused(odd: OddObject) -> None:
    journal = journal_in_memory()
    rules = for_all(peers={"ct1": STRICT}, unreadable="hold")
    with pytest.raises(Unreadable):
        await answer_of(store_handler(journal, MemoryMeter()), event(odd.data, rules, odd))
    assert not journal.committed


async def test_a_strict_peer_may_send_what_is_right() -> None:
    journal = journal_in_memory()
    rules = for_all(peers={"ct1": STRICT})
    await answer_of(store_handler(journal, MemoryMeter()), event(OBJECTS[0].data, rules))
    assert len(journal.committed) == 1


async def test_what_nobody_can_read_is_refused() -> None:
    journal = journal_in_memory()
    with pytest.raises(Unreadable) as refused:
        await answer_of(store_handler(journal, MemoryMeter()), event(CUT, for_all()))
    assert refused.value.dimse_status == 0xC000
    assert not journal.committed


async def test_or_held_as_it_came() -> None:
    journal, meter = journal_in_memory(), MemoryMeter()
    rules = for_all(unreadable="hold")
    status = await answer_of(store_handler(journal, meter), event(CUT, rules))
    assert status == SUCCESS
    ((instance, payload, (dispatch,)),) = journal.committed
    assert payload == CUT
    assert (instance.sop_instance_uid, instance.study_instance_uid) == (OBJECTS[0].sop_instance_uid, "")
    assert (dispatch.rule, dispatch.destination, dispatch.state) == (UNREADABLE_RULE, "", DeliveryState.HELD)
    assert dispatch.reason
    assert ("gateway_decided_instances_total", UNREADABLE_RULE, "hold") in meter.counted


async def test_an_empty_data_set_is_refused_all_the_same() -> None:
    with pytest.raises(Unreadable):
        await answer_of(store_handler(journal_in_memory(), MemoryMeter()), event(b"", for_all(unreadable="hold")))


def test_every_row_that_the_objects_use_is_in_the_table() -> None:
    assert {kind for one in OBJECTS for kind in one.kinds} <= LENIENCIES.keys()


class _NoMeter(MemoryMeter):
    """Cannot count."""

    def count(self, name: str, amount: float = 1, /, **labels: str) -> None:
        raise KeyError(name)


async def test_what_is_kept_is_answered_although_its_oddities_cannot_be_reported() -> None:
    odd = next(one for one in OBJECTS if one.kinds and is_read_at_once(len(one.data), one.transfer_syntax_uid))
    sent: Any = event(odd.data, for_all(), odd)
    later: Any = store_handler(journal_in_memory(), _NoMeter())(sent)
    answers: asyncio.Queue[Any] = asyncio.Queue()
    later.then(lambda result, error: answers.put_nowait(result if error is None else error))
    assert await asyncio.wait_for(answers.get(), 60) == SUCCESS
