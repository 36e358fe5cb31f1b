"""The sub-operations of a C-GET: one at a time, in order, each answered, and reading held while many wait."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import AssociationEnded
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.dimse.protocol.message import Command
from gateway.dimse.protocol.status import StatusRefusal
from gateway.dimse.requestor.incoming_stores import MOST_STORES_AHEAD, IncomingStore, IncomingStores, OnStore
from gateway.model.association import AssociationFacts
from gateway.ports.errors import SpoolFull

CT, SYNTAX = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
GUARD_S = 60.0


class Association:
    """Keeps the responses, and whether it reads."""

    def __init__(self) -> None:
        self.facts = AssociationFacts("SOURCE", "GATEWAY", "127.0.0.1")
        self.answers: list[tuple[int, Command]] = []
        self.is_reading = True
        self.has_ended = False

    def send_command(self, context_id: int, command: Command) -> None:
        if self.has_ended:
            raise AssociationEnded("aborted")
        self.answers.append((context_id, command))

    def read_on(self) -> None:
        self.is_reading = True

    def read_no_more(self) -> None:
        self.is_reading = False


def store(number: int, *, service: str = "store", is_scp: bool = True) -> Message:
    """A C-STORE request that has arrived whole."""
    context = SimpleNamespace(context_id=7, service=service, is_scp=is_scp, transfer_syntax=SYNTAX)
    uid = f"1.2.{number}"
    command = {"AffectedSOPClassUID": CT, "AffectedSOPInstanceUID": uid, "CommandField": 1, "MessageID": number}
    message = Message(cast(Any, context), command)
    message.body = MemoryDataSet(b"data set")
    return message


def taking(on_store: OnStore) -> tuple[IncomingStores, Association, list[bool]]:
    association, changes = Association(), []
    stores = IncomingStores(association, on_store, MemoryReceiver, lambda: changes.append(stores.are_in_work))
    return stores, association, changes


async def test_each_is_handed_on_in_order_and_answered() -> None:
    got: list[IncomingStore] = []

    async def on_store(incoming: IncomingStore) -> int:
        got.append(incoming)
        return 0xB000 if len(got) == 2 else 0x0000

    stores, association, changes = taking(on_store)
    for number in (1, 2, 3):
        stores.take(store(number))
    async with asyncio.timeout(GUARD_S):
        await stores.wait()
    assert [each.sop_instance_uid for each in got] == ["1.2.1", "1.2.2", "1.2.3"]
    assert {(each.sop_class_uid, each.transfer_syntax_uid, each.association) for each in got} == {
        (CT, SYNTAX, association.facts)
    }
    assert [command["Status"] for _, command in association.answers] == [0x0000, 0xB000, 0x0000]
    context_id, first = association.answers[0]
    assert context_id == 7
    assert (first["CommandField"], first["MessageIDBeingRespondedTo"]) == (0x8001, 1)
    assert (first["AffectedSOPClassUID"], first["AffectedSOPInstanceUID"]) == (CT, "1.2.1")
    assert changes == [True, False]


async def test_nothing_more_is_read_while_many_wait() -> None:
    go = asyncio.Event()

    async def on_store(_: IncomingStore) -> int:
        await go.wait()
        return 0x0000

    stores, association, _ = taking(on_store)
    for number in range(MOST_STORES_AHEAD + 1):
        assert association.is_reading is (number < MOST_STORES_AHEAD)
        stores.take(store(number))
    go.set()
    async with asyncio.timeout(GUARD_S):
        await stores.wait()
    assert association.is_reading
    assert len(association.answers) == MOST_STORES_AHEAD + 1


@pytest.mark.parametrize(
    ("error", "status"), [(SpoolFull("no space"), 0xA700), (RuntimeError("a fault of ours"), 0xC211)]
)
async def test_an_error_gives_its_status_and_the_next_goes_on(error: Exception, status: int) -> None:
    errors = [error]

    async def on_store(_: IncomingStore) -> int:
        if errors:
            raise errors.pop()
        return 0x0000

    stores, association, _ = taking(on_store)
    stores.take(store(1))
    stores.take(store(2))
    async with asyncio.timeout(GUARD_S):
        await stores.wait()
    assert [command["Status"] for _, command in association.answers] == [status, 0x0000]


async def test_a_request_without_a_data_set_or_with_one_that_was_not_kept() -> None:
    async def on_store(_: IncomingStore) -> int:
        raise AssertionError("it must not be handed on")

    stores, association, _ = taking(on_store)
    without, failed = store(1), store(2)
    without.body = None
    failed.failure = SpoolFull("no space")
    stores.take(without)
    stores.take(failed)
    async with asyncio.timeout(GUARD_S):
        await stores.wait()
    assert [command["Status"] for _, command in association.answers] == [0xC000, 0xA700]


async def test_the_end_of_the_association_is_no_error() -> None:
    async def on_store(_: IncomingStore) -> int:
        return 0x0000

    stores, association, changes = taking(on_store)
    association.has_ended = True
    stores.take(store(1))
    async with asyncio.timeout(GUARD_S):
        await stores.wait()
    assert changes == [True, False]


@pytest.mark.parametrize(("service", "is_scp"), [("store", False), ("find", True)])
async def test_a_context_where_we_are_no_storage_scp(service: str, *, is_scp: bool) -> None:
    stores, _, _ = taking(cast(OnStore, None))
    with pytest.raises(StatusRefusal):
        stores.receiver_for(store(1, service=service, is_scp=is_scp))
    assert isinstance(stores.receiver_for(store(1)), MemoryReceiver)
