"""Deliveries to a peer made of bytes that grants an asynchronous operations window (PS3.7 §D.3.3.3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.delivery.service import DeliveryService
from gateway.destinations.dicom import DimseDestination
from gateway.dimse.protocol.message import Command
from gateway.dimse.protocol.upper_layer import RELEASE_RP, encode_abort
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.associate import AssociateKeywords
from gateway.model.delivery import DeliveryState
from gateway.model.peer import Peer
from gateway.ports.meter import NoMeter
from tests.support.dimse.acceptor_rig import Script, accept, acceptor, read_message, response, until_closed
from tests.support.dimse.rig import Peer as Bytes
from tests.support.dimse.rig import message, serving
from tests.support.fakes.delivery import QUICK, table
from tests.support.fakes.memory_journal import MemoryJournal, real_clock

DELIVERED = DeliveryState.DELIVERED
ONE = 1  # the only presentation context that is proposed for one kind of objects comes first


@contextlib.asynccontextmanager
async def delivering(peer: Peer, journal: MemoryJournal) -> AsyncIterator[DeliveryService]:
    """The delivery service with real associations."""
    pool, meter = AssociationPool("GATEWAY"), NoMeter()
    service = DeliveryService(
        journal=journal,
        open_destination=lambda peer: DimseDestination(peer, pool, meter),
        meter=meter,
        now=journal.now,
        random=Random(1),
    )
    await service.start(table(peer))
    try:
        yield service
    finally:
        assert await service.drain(60.0)
        await pool.close()


class Taken:
    """What the peer was sent, association by association."""

    def __init__(self) -> None:
        self.associations: list[list[str]] = []
        self.answered: list[str] = []

    def script(self, window: tuple[int, int], then: Callable[[Bytes, list[Command]], Awaitable[bool]]) -> Script:
        """Grants the window, and calls `then` with the requests that wait after each; the association ends when that
        is False."""

        async def script(peer: Bytes) -> None:
            await accept(peer, window=window)
            taken: list[str] = []
            self.associations.append(taken)
            waiting: list[Command] = []
            goes_on = True
            while goes_on:
                try:
                    command, *_ = await read_message(peer)
                except AssertionError:  # A-RELEASE-RQ
                    peer.send(RELEASE_RP)
                    return
                taken.append(command["AffectedSOPInstanceUID"])
                waiting.append(command)
                goes_on = await then(peer, waiting)

        return script

    def answer(self, peer: Bytes, command: Command, status: int = 0) -> None:
        self.answered.append(command["AffectedSOPInstanceUID"])
        peer.send(message(ONE, response(command, status)))


def uids(first: int, last: int) -> list[str]:
    return [f"1.2.3.{number}" for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("invoked", "granted", "expected"),
    [(4, (4, 1), 4), (4, (9, 1), 4), (0, (3, 1), 3), (0, (0, 0), 64)],
    ids=["as proposed", "more than proposed", "any number proposed", "any number granted"],
)
async def test_the_peer_has_as_many_requests_as_it_granted_and_answers_in_any_order(
    invoked: int, granted: tuple[int, int], expected: int
) -> None:
    taken, journal, most = Taken(), MemoryJournal(real_clock), 0

    async def then(peer: Bytes, waiting: list[Command]) -> bool:
        nonlocal most
        most = max(most, len(waiting))
        if len(taken.associations[0]) == 1 or len(waiting) == expected:
            with pytest.raises(TimeoutError):
                await peer.pdu(timeout_s=0.05)  # and no more
            for command in reversed(waiting):
                taken.answer(peer, command)
            waiting.clear()
        return True

    journal.add_many(1 + 2 * expected)
    associate = AssociateKeywords(async_operations=(invoked, 1))
    script = taken.script(granted, then)
    async with (
        acceptor(script, associations=1, retry=QUICK, associate=associate) as peer,
        delivering(peer, journal),
    ):
        await journal.until_all(DELIVERED)
    assert most == expected
    assert taken.associations == [uids(1, 1 + 2 * expected)]
    assert taken.answered == [
        "1.2.3.1",
        *reversed(uids(2, 1 + expected)),
        *reversed(uids(2 + expected, 1 + 2 * expected)),
    ]
    assert [len(row.reason) for row in journal.rows.values()] == [0] * (1 + 2 * expected)


END: dict[str, Callable[[Bytes, Command], None]] = {
    "abort": lambda peer, command: peer.send(encode_abort(0, 0)),
    "lost": lambda peer, command: peer.writer.transport.abort(),
    "an answer to no request": lambda peer, command: peer.send(
        message(ONE, response({**command, "MessageID": command["MessageID"] + 100}))
    ),
    "an answer twice": lambda peer, command: peer.send(message(ONE, response(command)) * 2),
}


@pytest.mark.parametrize("end", END.values(), ids=END)
async def test_what_was_not_answered_when_the_association_ends_is_sent_again(
    end: Callable[[Bytes, Command], None],
) -> None:
    taken, journal = Taken(), MemoryJournal(real_clock)

    async def then(peer: Bytes, waiting: list[Command]) -> bool:
        if len(taken.associations) > 1 or len(taken.associations[0]) == 1:
            taken.answer(peer, waiting.pop())
            return True
        if len(waiting) < 4:
            return True
        taken.answer(peer, waiting.pop(1))
        end(peer, waiting[0])
        await until_closed(peer)
        return False

    journal.add_many(12)
    associate = AssociateKeywords(async_operations=(4, 1))
    script = taken.script((4, 1), then)
    async with (
        acceptor(script, associations=1, retry=QUICK, associate=associate) as peer,
        delivering(peer, journal),
    ):
        await journal.until_all(DELIVERED)
    first, second = taken.associations
    assert first[:5] == uids(1, 5)
    times = Counter(first + second)
    assert times["1.2.3.1"] == times["1.2.3.3"] == 1, "what was answered is not sent again"
    assert set(times) == set(uids(1, 12))
    assert max(times.values()) == 2
    settled = Counter(each.delivery_id for each in journal.settlements if each.state is DELIVERED)
    assert settled == Counter(range(1, 13)), "settled once each"
    assert {row.attempts for row in journal.rows.values()} == {1}


async def test_an_object_over_which_the_peer_aborts_does_not_take_the_others_with_it() -> None:
    """The others that were not answered are sent again at once, and are never held to blame."""
    taken, journal = Taken(), MemoryJournal(real_clock)

    async def then(peer: Bytes, waiting: list[Command]) -> bool:
        if waiting[-1]["AffectedSOPInstanceUID"] == "1.2.3.5":
            waiting.clear()
            peer.send(encode_abort(0, 0))
            await until_closed(peer)
            return False

        def answer(command: Command) -> None:
            if command in waiting:
                waiting.remove(command)
                taken.answer(peer, command)

        asyncio.get_running_loop().call_later(0.002, answer, waiting[-1])
        return True

    journal.add_many(10)
    associate = AssociateKeywords(async_operations=(3, 1))
    script = taken.script((3, 1), then)
    async with (
        acceptor(script, associations=1, retry=QUICK, associate=associate) as peer,
        delivering(peer, journal),
    ):
        with capture_logs() as logs:
            while journal.states()[4] is DeliveryState.PENDING:
                tried = journal.rows[5].attempts
                await journal.until(lambda: journal.rows[5].attempts > tried)  # noqa: B023
                journal.add_many(3)  # what the destination takes between two tries makes the object a suspect
                await journal.until(lambda: DeliveryState.PENDING not in journal.states()[5:])
    states = journal.states()
    assert states[4] is DeliveryState.DEAD
    assert set(states[:4] + states[5:]) == {DELIVERED}
    assert {row.attempts for row in journal.rows.values() if row.delivery_id != 5} == {1}
    assert max(line["count"] for line in logs if line["event"] == "objects_unanswered") > 1


async def test_a_gateway_sends_ahead_to_another_one() -> None:
    """The other one reads the requests ahead, and responds in their order."""
    journal, began, gate = MemoryJournal(real_clock), list[str](), asyncio.Event()

    async def store(event: Any) -> int:
        began.append(str(event.request.AffectedSOPInstanceUID))
        if len(began) > 1:
            await gate.wait()
        return 0

    journal.add_many(40)
    async with serving(store) as running:
        associate = AssociateKeywords(async_operations=(0, 1))
        there = Peer("pacs", "GATEWAY", "127.0.0.1", running.port, associations=1, retry=QUICK, associate=associate)
        async with delivering(there, journal):
            await journal.until(lambda: len(journal.opened) == 1 + 8)
            assert began == uids(1, len(began)), "the first, and at most one of the eight that were sent ahead"
            assert len(began) <= 2
            gate.set()
            await journal.until_all(DELIVERED)
    assert began == uids(1, 40)
    assert {row.attempts for row in journal.rows.values()} == {1}
