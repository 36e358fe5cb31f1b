"""Several C-STORE requests without a response on one association (PS3.7 §D.3.3.3), to a peer made of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import Command, decode
from gateway.dimse.protocol.upper_layer import encode_abort
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.dimse.requestor.single_response import MOST_UNANSWERED, granted_window
from gateway.model.associate import AssociateKeywords
from gateway.ports.errors import DestinationDown
from gateway.sending.store_sender import StoreResponse
from tests.support.dimse.acceptor_rig import (
    QUICK,
    Script,
    accept,
    acceptor,
    open_to,
    read_message,
    response,
    store,
    until_closed,
)
from tests.support.dimse.rig import CT, CT_ID, IMPLICIT, message
from tests.support.dimse.rig import Peer as Bytes
from tests.support.processes import GUARD_S

ANY = AssociateKeywords(async_operations=(0, 1))


@pytest.mark.parametrize(
    ("proposed", "answered", "window"),
    [
        (None, None, 1),
        (None, (5, 1), 1),
        ((5, 1), None, 1),
        ((5, 1), (1, 1), 1),
        ((5, 1), (3, 1), 3),
        ((5, 1), (9, 1), 5),
        ((5, 1), (0, 0), 5),
        ((0, 1), (4, 1), 4),
        ((0, 1), (0, 1), MOST_UNANSWERED),
        ((65535, 1), (65535, 1), MOST_UNANSWERED),
    ],
    ids=str,
)
def test_the_window_is_what_was_proposed_and_granted_and_never_without_limit(
    proposed: tuple[int, int] | None, answered: tuple[int, int] | None, window: int
) -> None:
    assert granted_window(proposed, answered) == window


class Answers:
    """What came back, in its order."""

    def __init__(self) -> None:
        self.came: list[tuple[str, int | None]] = []
        self._has_come = asyncio.Event()

    def to(self, uid: str) -> Callable[[StoreResponse | None], None]:
        def answered(answer: StoreResponse | None) -> None:
            self.came.append((uid, None if answer is None else answer.status))
            self._has_come.set()

        return answered

    async def until(self, count: int) -> list[tuple[str, int | None]]:
        async with asyncio.timeout(GUARD_S):
            while len(self.came) < count:
                self._has_come.clear()
                await self._has_come.wait()
        return self.came


async def command_of(peer: Bytes) -> Command:
    """The command set of the next message, whose data set is in other PDUs."""
    pdu = await peer.pdu()
    assert (pdu[0], pdu[11]) == (4, 3), pdu[:12]
    return decode(pdu[12:])


def is_last(pdu: bytes) -> bool:
    """True for a P-DATA-TF with the last fragment of a data set alone."""
    assert (pdu[0], pdu[11] & 1) == (4, 0), pdu[:12]
    return bool(pdu[11] & 2)


async def begin(association: RequestorAssociation, answers: Answers, *uids: str, data: bytes = b"data") -> None:
    for uid in uids:
        await association.begin_store(
            sop_class_uid=CT,
            sop_instance_uid=uid,
            transfer_syntax_uid=IMPLICIT,
            body=MemoryDataSet(data),
            answered=answers.to(uid),
        )


def taking(count: int, then: Callable[[Bytes, list[Command]], Awaitable[None]], window: tuple[int, int]) -> Script:
    """Grants `window`, reads `count` requests, and does `then` with them."""

    async def script(peer: Bytes) -> None:
        await accept(peer, window=window)
        commands = [(await read_message(peer))[0] for _ in range(count)]
        await then(peer, commands)
        await until_closed(peer)

    return script


def answering(*order: int, status: Callable[[int], int] = lambda _: 0) -> Callable[[Bytes, list[Command]], Any]:
    """Sends the responses to the requests of these places."""

    async def then(peer: Bytes, commands: list[Command]) -> None:
        for place in order:
            peer.send(message(CT_ID, response(commands[place], status(place))))

    return then


async def test_responses_belong_to_their_requests_in_whatever_order_they_come() -> None:
    then = answering(2, 0, 3, 1, status=lambda place: 0xB000 + place)
    async with acceptor(taking(4, then, (4, 1)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        assert association.window == 4
        await begin(association, answers, "1", "2", "3", "4")
        assert await answers.until(4) == [("3", 0xB002), ("1", 0xB000), ("4", 0xB003), ("2", 0xB001)]
        assert not association.is_busy
        association.close_now()


async def test_requests_follow_each_other_whole_while_the_peer_reads_slowly() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer, window=(0, 0))
        for uid in ("1", "2", "3"):
            command, data, _ = await read_message(peer)
            assert (command["AffectedSOPInstanceUID"], data) == (uid, b"x" * 3_000_000)
            peer.send(message(CT_ID, response(command)))
        await until_closed(peer)

    async with acceptor(script, associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2", "3", data=b"x" * 3_000_000)
        assert await answers.until(3) == [("1", 0), ("2", 0), ("3", 0)]
        association.close_now()


async def test_no_more_requests_than_the_window() -> None:
    async with acceptor(taking(2, answering(1, 0), (2, 1)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2")
        with pytest.raises(RuntimeError, match="window"):
            await begin(association, answers, "3")
        with pytest.raises(RuntimeError, match="one request at a time"):
            await store(association)
        assert await answers.until(2) == [("2", 0), ("1", 0)]
        association.close_now()


@pytest.mark.parametrize("window", [None, (1, 1)], ids=["no answer", "one"])
async def test_one_at_a_time_where_no_window_was_granted(window: tuple[int, int] | None) -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer, window=window)
        command, *_ = await read_message(peer)
        peer.send(message(CT_ID, response(command)))
        await until_closed(peer)

    proposed = None if window is None else ANY
    async with acceptor(script, **({} if proposed is None else {"associate": proposed})) as peer:
        association = await open_to(peer)
        assert association.window == 1
        assert (await store(association)).status == 0
        association.close_now()


def unknown(command: Command) -> bytes:
    return message(CT_ID, response({**command, "MessageID": 4711}))


def nameless(command: Command) -> bytes:
    answer = response(command)
    del answer["MessageIDBeingRespondedTo"]
    return message(CT_ID, answer)


def without_status(command: Command) -> bytes:
    answer = response(command)
    del answer["Status"]
    return message(CT_ID, answer)


def of_another(command: Command) -> bytes:
    """PS3.7 §9.1.1.1.4: the SOP Instance UID of a response is that of its request. This is the last request's."""
    return message(CT_ID, response(command, AffectedSOPInstanceUID="3"))


BROKEN: dict[str, tuple[Callable[[Command], bytes], list[int | None]]] = {
    "abort": (lambda command: encode_abort(0, 0), [None, None]),
    "a message ID of nobody": (unknown, [None, None]),
    "no message ID": (nameless, [None, None]),
    "the same message ID again": (lambda command: message(CT_ID, response(command)) * 2, [0, None]),
    "another kind of response": (lambda c: message(CT_ID, response({**c, "CommandField": 0x30})), [None, None]),
    "no status": (without_status, [None, None]),
    "the object of another": (of_another, [None, None]),
    "garbage": (lambda command: b"\xff" * 20, [None, None]),
}


@pytest.mark.parametrize(("made", "expected"), BROKEN.values(), ids=BROKEN.keys())
async def test_each_request_without_a_response_is_reported_once_when_the_association_ends(
    made: Callable[[Command], bytes], expected: list[int | None]
) -> None:
    async def then(peer: Bytes, commands: list[Command]) -> None:
        peer.send(message(CT_ID, response(commands[1])) + made(commands[0]))

    async with acceptor(taking(3, then, (0, 0)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2", "3")
        came = await answers.until(3)
        assert sorted(came) == [("1", expected[0]), ("2", 0), ("3", expected[1])]
        assert not association.is_open


@pytest.mark.parametrize("uid", ["1", "9.9", ""], ids=["its own", "of nobody", "empty"])
async def test_a_response_may_name_its_object_or_none_that_waits(uid: str) -> None:
    """What peers write there beside the request's UID is passed over, as long as no object is taken for another."""

    async def then(peer: Bytes, commands: list[Command]) -> None:
        peer.send(message(CT_ID, response(commands[0], AffectedSOPInstanceUID=uid)))
        await answering(1)(peer, commands)

    async with acceptor(taking(2, then, (0, 0)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2")
        assert await answers.until(2) == [("1", 0), ("2", 0)]
        association.close_now()


async def test_a_connection_that_is_lost_is_reported_for_each_request_in_their_order() -> None:
    async def then(peer: Bytes, commands: list[Command]) -> None:
        peer.writer.transport.abort()

    async with acceptor(taking(3, then, (0, 0)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2", "3")
        assert await answers.until(3) == [("1", None), ("2", None), ("3", None)]
        await begin(association, answers, "4")
        assert (await answers.until(4))[3:] == [("4", None)], "what is begun afterwards has no response either"


async def test_silence_to_all_of_them_ends_the_association() -> None:
    async with acceptor(taking(2, answering(), (0, 0)), associate=ANY, timers=QUICK) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2")
        assert await answers.until(2) == [("1", None), ("2", None)]


async def test_a_peer_that_does_one_after_the_other_has_its_time_for_each() -> None:
    turn = asyncio.Event()

    async def then(peer: Bytes, commands: list[Command]) -> None:
        for command in commands:
            await turn.wait()
            turn.clear()
            peer.send(message(CT_ID, response(command)))

    async with acceptor(taking(3, then, (0, 0)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1", "2", "3")
        due = association._deadlines._due
        limits = [due[AssociationTimer.RESPONSE]]
        for count in (1, 2, 3):
            turn.set()
            await answers.until(count)
            limits.append(due.get(AssociationTimer.RESPONSE, 0.0))
        assert limits[0] < limits[1] < limits[2]
        assert limits[3] == 0.0, "nothing is waited for"
        association.close_now()


async def test_a_request_that_is_passed_over_again_and_again_ends_the_association() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer, window=(2, 1))
        await read_message(peer)
        while True:
            try:
                command, *_ = await read_message(peer)
            except AssertionError:
                return  # A-ABORT
            peer.send(message(CT_ID, response(command)))

    async with acceptor(script, associate=ANY, timers=QUICK) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "first")
        sent = 0
        while association.is_open:
            sent += 1
            await begin(association, answers, str(sent))
            await answers.until(sent)
        assert ("first", None) in await answers.until(sent + 1)


@pytest.mark.parametrize("is_read", [True, False], ids=["whole", "in part"])
async def test_a_response_that_comes_before_the_request_was_sent_counts_when_it_was(is_read: bool) -> None:
    """No peer has what it was not sent, whatever it says."""

    async def script(peer: Bytes) -> None:
        await accept(peer, window=(0, 0))
        for uid in ("1", "2"):
            command = await command_of(peer)
            peer.send(message(CT_ID, response(command)))
            await peer.writer.drain()
            if uid == "2":
                await sent_early.wait()
                if not is_read:
                    peer.writer.transport.abort()
                    return
            while not is_last(await peer.pdu()):
                pass
        has_read_all.set()
        await until_closed(peer)

    sent_early, has_read_all = asyncio.Event(), asyncio.Event()
    async with acceptor(script, associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1")
        sending = asyncio.ensure_future(begin(association, answers, "2", data=b"x" * 30_000_000))
        async with asyncio.timeout(GUARD_S):
            while association._waiting or not association.is_sending:
                await asyncio.sleep(0)
        assert await answers.until(1) == [("1", 0)], "the response to the second is there, but it is not sent"
        sent_early.set()
        await sending
        assert await answers.until(2) == [("1", 0), ("2", 0 if is_read else None)]
        if is_read:  # what is on its way would be cut off
            await has_read_all.wait()
        association.close_now()


async def test_a_request_that_cannot_be_written_ends_the_association_and_is_not_reported() -> None:
    class Liar(MemoryDataSet):
        @property
        def length_bytes(self) -> int:
            return 10

    async def script(peer: Bytes) -> None:
        await accept(peer, window=(0, 0))
        await until_closed(peer)

    async with acceptor(script, associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1")
        with pytest.raises(ValueError, match="bytes"):
            await association.begin_store(
                sop_class_uid=CT,
                sop_instance_uid="2",
                transfer_syntax_uid=IMPLICIT,
                body=Liar(b"1234"),
                answered=answers.to("2"),
            )
        assert await answers.until(1) == [("1", None)]
        with pytest.raises(DestinationDown):
            await store(association)


async def test_message_ids_of_requests_without_a_response_are_not_given_again() -> None:
    ids: list[int] = []

    async def then(peer: Bytes, commands: list[Command]) -> None:
        ids.extend(command["MessageID"] for command in commands)
        await answering(0, 1, 2)(peer, commands)

    async with acceptor(taking(3, then, (0, 0)), associate=ANY) as peer:
        association, answers = await open_to(peer), Answers()
        await begin(association, answers, "1")
        association.number_from(65535)
        await begin(association, answers, "2", "3")
        await answers.until(3)
        assert ids == [1, 65535, 2]
        association.close_now()
