"""C-ECHO and C-STORE on accepted associations: statuses, receivers, several requests, C-CANCEL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from structlog.testing import capture_logs

from gateway.common.completion import Completion
from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.acceptor.handler_thread import on_event_loop
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.dimse.protocol.message import Command, encode
from gateway.dimse.protocol.pdata import COMMAND, LAST
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.model.associate import AssociateKeywords
from gateway.model.listener import Limits
from gateway.model.peer import Peer as Sender
from gateway.ports.errors import NotAllowed, SpoolFull
from tests.support.dimse.rig import (
    CT,
    CT_ID,
    ECHO_ID,
    IMPLICIT,
    MR_ID,
    VERIFICATION,
    Peer,
    echo_command,
    item,
    message,
    p_data,
    serving,
    store_command,
)
from tests.support.processes import until

INVALID = encode_abort(2, 6)
ABORT = encode_abort(0, 0)
# --- C-ECHO and C-STORE -------------------------------------------------------------------------------------------


async def test_echo() -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        peer.send(message(ECHO_ID, echo_command(7)))
        response = await peer.response()
        assert response == {
            "CommandGroupLength": response["CommandGroupLength"],
            "AffectedSOPClassUID": VERIFICATION,
            "CommandField": 0x8030,
            "MessageIDBeingRespondedTo": 7,
            "CommandDataSetType": 0x0101,
            "Status": 0,
        }


async def test_the_end_of_an_association_says_how_many_requests_had_which_status() -> None:
    async with serving() as running:
        with capture_logs() as events:
            async with await Peer.associated(running.port) as peer:
                for number in (1, 2):
                    peer.send(message(ECHO_ID, echo_command(number)))
                    await peer.response()
                command = store_command() | {"AffectedSOPInstanceUID": ""}
                peer.send(message(CT_ID, command, b""))
                refused = (await peer.response())["Status"]
            await until(lambda: any(event["event"] == "association_ended" for event in events))
    (ended,) = [event for event in events if event["event"] == "association_ended"]
    assert (ended["c_echo"], ended["c_store"]) == ({"0x0000": 2}, {f"0x{refused:04X}": 1})


async def test_a_failing_echo_handler_is_answered_as_documented() -> None:
    def echo(event: Any) -> int:
        raise ValueError("broken")

    async with serving(echo=echo) as running, await Peer.associated(running.port) as peer:
        peer.send(message(ECHO_ID, echo_command()))
        assert (await peer.response())["Status"] == 0x0000


def later(handler: Any) -> Any:
    """The same as a coroutine."""

    async def handle(event: Any) -> Any:
        await asyncio.sleep(0)
        return handler(event)

    return handle


def completing(handler: Any) -> Any:
    """The same by a completion."""

    @on_event_loop
    def handle(event: Any) -> Completion[Any]:
        completion: Completion[Any] = Completion()

        def complete() -> None:
            try:
                result = handler(event)
            except Exception as error:
                completion.set_exception(error)
            else:
                completion.set_result(result)

        asyncio.get_running_loop().call_soon(complete)
        return completion

    return handle


WAYS = pytest.mark.parametrize(
    "way", [lambda handler: handler, later, completing], ids=["function", "coroutine", "completion"]
)


@WAYS
@pytest.mark.parametrize("layout", ["one write", "byte by byte", "many items in one PDU", "commands over several PDUs"])
async def test_store(layout: str, way: Any) -> None:
    seen: list[Any] = []

    def store(event: Any) -> int:
        seen.append((event.sop_class_uid, event.sop_instance_uid, event.transfer_syntax_uid, bytes(event.body.view())))
        seen.append((event.assoc.table, event.facts.calling_ae_title, event.message_id, event.context.context_id))
        return 0xB007

    command, data = encode(store_command(9)), bytes(range(200))
    pieces = [command[:10], command[10:33], command[33:]]
    parts = [item(CT_ID, COMMAND | (LAST if piece is pieces[-1] else 0), piece) for piece in pieces]
    body = [item(CT_ID, 0, data[:100]), item(CT_ID, 0, b""), item(CT_ID, LAST, data[100:])]
    async with serving(way(store)) as running, await Peer.associated(running.port) as peer:
        if layout == "one write":
            peer.send(message(CT_ID, store_command(9), data))
        elif layout == "byte by byte":
            for byte in message(CT_ID, store_command(9), data):
                peer.send(bytes([byte]))
                await asyncio.sleep(0)
        elif layout == "many items in one PDU":
            peer.send(p_data(*parts, *body))
        else:
            peer.send(b"".join(map(p_data, [*parts, *body])))
        response = await peer.response()
    assert response["Status"] == 0xB007
    assert response["CommandField"] == 0x8001
    assert response["MessageIDBeingRespondedTo"] == 9
    assert (response["AffectedSOPClassUID"], response["AffectedSOPInstanceUID"]) == (CT, "1.2.3.4")
    assert seen == [(CT, "1.2.3.4", IMPLICIT, data), ("table", "TESTER", 9, CT_ID)]


def failing(error: Exception) -> Any:
    def store(event: Any) -> int:
        raise error

    return store


def answering(**elements: Any) -> Any:
    def store(event: Any) -> Dataset:
        answer = Dataset()
        for keyword, value in elements.items():
            setattr(answer, keyword, value)
        return answer

    return store


ANSWERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "None": (lambda event: None, {"Status": 0xC002}),
    "data set without Status": (answering(ErrorComment="x"), {"Status": 0xC001}),
    "data set": (
        answering(Status=0xA900, ErrorComment="no", OffendingElement=0x00080016),
        {"Status": 0xA900, "ErrorComment": "no", "OffendingElement": (0x00080016,)},
    ),
    "exception": (failing(ValueError("patient Doe")), {"Status": 0xC211}),
    "no room": (failing(SpoolFull("no room left")), {"Status": 0xA700, "ErrorComment": "no room left"}),
    "not allowed": (failing(NotAllowed("x" * 80)), {"Status": 0x0124, "ErrorComment": "x" * 64}),
}


@WAYS
@pytest.mark.parametrize(("handler", "elements"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_answers_of_handlers(handler: Any, elements: dict[str, Any], way: Any) -> None:
    async with serving(way(handler)) as running, await Peer.associated(running.port) as peer:
        for message_id in (1, 2):
            peer.send(message(CT_ID, store_command(message_id), b"data"))
            response = await peer.response()
            assert {keyword: response.get(keyword) for keyword in elements} == elements
            assert ("ErrorComment" in response) == ("ErrorComment" in elements)


async def test_requests_that_come_together_are_answered_in_order_by_completions() -> None:
    """The next is begun when the one before is answered; a coroutine and a function may come between."""
    begun: list[int] = []

    def status_of(event: Any) -> int:
        return 0xB000 + int(event.message_id)

    @on_event_loop
    def store(event: Any) -> Any:
        begun.append(event.message_id)
        way = (completing, later, lambda handler: handler)[event.message_id % 3]
        return way(status_of)(event)

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(b"".join(message(CT_ID, store_command(number), b"data") for number in range(1, 31)))
        answers = [await peer.response() for _ in range(30)]
    assert [answer["MessageIDBeingRespondedTo"] for answer in answers] == begun == list(range(1, 31))
    assert [answer["Status"] for answer in answers] == [0xB000 + number for number in range(1, 31)]


@pytest.mark.parametrize("is_aborted", [True, False], ids=["aborted", "released"])
async def test_an_association_that_ends_before_its_completion(is_aborted: bool) -> None:
    """After an abort nobody is answered and the body is freed; a release waits for the answer."""
    completions: list[Completion[int]] = []
    bodies: list[Any] = []

    @on_event_loop
    def store(event: Any) -> Completion[int]:
        completions.append(Completion())
        bodies.append(event._message)
        return completions[-1]

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(), b"data") + (ABORT if is_aborted else RELEASE_RQ))
        while not completions or (is_aborted and running.server.associations):
            await asyncio.sleep(0.001)
        assert bodies[0].body is not None
        completions[0].set_result(0)
        assert bodies[0].body is None
        if not is_aborted:
            assert (await peer.response())["Status"] == 0
            assert await peer.pdu() == RELEASE_RP


REFUSED: dict[str, tuple[int, Command, bytes | None, int]] = {
    "SOP class of another context": (MR_ID, store_command(), b"data", 0xA900),
    "no SOP class": (CT_ID, store_command(AffectedSOPClassUID=None), b"data", 0xA900),
    "C-STORE over Verification": (ECHO_ID, store_command(AffectedSOPClassUID=VERIFICATION), b"data", 0x0122),
    "C-ECHO over storage": (CT_ID, echo_command(), None, 0x0122),
    "no SOP instance": (CT_ID, store_command(AffectedSOPInstanceUID=None), b"data", 0x0117),
    "an empty SOP instance": (CT_ID, store_command(AffectedSOPInstanceUID=""), b"data", 0x0117),
    "no data set": (CT_ID, store_command(CommandDataSetType=0x0101), None, 0xC000),
    "C-FIND": (CT_ID, {"CommandField": 0x20, "MessageID": 1, "CommandDataSetType": 1}, b"data", 0x0122),
    "N-ACTION": (CT_ID, {"CommandField": 0x130, "MessageID": 1, "CommandDataSetType": 1}, b"data", 0x0211),
    "N-DELETE": (CT_ID, {"CommandField": 0x150, "MessageID": 1}, None, 0x0211),
    "an operation of nobody": (CT_ID, {"CommandField": 0x0777, "MessageID": 1}, None, 0x0211),
}


@pytest.mark.parametrize(("context_id", "command", "data", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_requests_leave_the_association_alone(
    context_id: int, command: Command, data: bytes | None, status: int
) -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        with capture_logs() as events:
            peer.send(message(context_id, command, data))
            response = await peer.response()
        assert response["Status"] == status
        told = [event["status"] for event in events if event["event"] == "instance_refused"]
        assert told == ([f"0x{status:04X}"] if command["CommandField"] == 1 and status else [])
        assert response["CommandField"] == command["CommandField"] | 0x8000
        assert response["MessageIDBeingRespondedTo"] == 1
        peer.send(message(ECHO_ID, echo_command(2)))
        assert (await peer.response())["MessageIDBeingRespondedTo"] == 2


UIDS: dict[str, tuple[str, bool, bool]] = {
    # UID, is it taken, is it taken from a peer with `accept: {uids: any}`
    "a UID": ("1.2.840.113619.2.55", True, True),
    "64 characters": ("1." + "2" * 62, True, True),
    "trailing spaces": ("1.2.3  ", True, True),
    "trailing zero bytes": ("1.2.3\0\0\0", True, True),
    "leading zeros": ("1.2.0840.003", True, True),
    "an empty component": ("1.2..3", True, True),
    "a dot at the end": ("1.2.3.", True, True),
    "one digit": ("1", True, True),
    "65 characters": ("1." + "2" * 63, False, True),
    "128 characters": ("1." + "2" * 126, False, True),
    "129 characters": ("1." + "2" * 127, False, False),
    "letters": ("1.2.840.ABC-7_f", False, True),
    "a path": ("../../../etc/passwd", False, False),
    "a path that begins with a digit": ("1/../../etc/passwd", False, False),
    "dots": ("..", False, False),
    "a dot at the start": (".1.2.3", False, False),
    "a space": ("1.2 3", False, False),
    "a line end": ("1.2\n3", False, False),
    "a backslash": ("1.2\\3", False, False),
    "wild cards": ("1.2.*", False, False),
    "beyond ASCII": ("1.2.\xe4", False, False),
    "digits of other scripts": ("1.\xb2", False, False),
    "a template": ("{{PatientName}}", False, False),
    "a URL": ("1.2.3?a=b&c", False, False),
}


@pytest.mark.parametrize("is_any", [False, True], ids=["standard", "any"])
@pytest.mark.parametrize("name", UIDS)
async def test_sop_instance_uids(name: str, is_any: bool) -> None:
    uid, *taken = UIDS[name]
    sender = Sender("ct1", may=frozenset({"store"}), accepts_odd_uids=is_any)
    admission = lambda facts: Admitted(sender)  # noqa: E731
    async with serving(admission=admission) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(AffectedSOPInstanceUID=uid), b"data"))
        assert (await peer.response())["Status"] == (0x0000 if taken[is_any] else 0x0117)


async def test_without_a_handler_a_request_is_answered_as_documented() -> None:
    async with (
        serving(handlers=[(evt.EVT_C_ECHO, lambda event: 0)]) as running,
        await Peer.associated(running.port) as peer,
    ):
        (association,) = running.server.associations
        assert set(association.accepted_contexts) == {ECHO_ID, CT_ID, MR_ID}
        peer.send(message(CT_ID, store_command(), b"data"))
        assert (await peer.response())["Status"] == 0xC211


async def test_handlers_get_their_arguments() -> None:
    async with (
        serving(handlers=[(evt.EVT_C_ECHO, lambda event, one, two: one + two, [0x0100, 0x0022])]) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(ECHO_ID, echo_command()))
        assert (await peer.response())["Status"] == 0x0122


async def test_an_object_over_the_limit_is_refused_and_the_association_goes_on() -> None:
    async with serving(limits=Limits(object_bytes=1000)) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(1), bytes(100_000)) + message(CT_ID, store_command(2), bytes(1000)))
        assert (await peer.response())["Status"] == 0xA700
        assert (await peer.response())["Status"] == 0x0000


async def test_a_small_maximum_of_the_peer_is_kept() -> None:
    async with (
        serving() as running,
        await Peer.associated(running.port, associate=AssociateKeywords(max_pdu_bytes=16)) as peer,
    ):
        peer.send(message(ECHO_ID, echo_command(3)))
        header = await peer.pdu()
        assert len(header) <= 6 + 16
        assert int.from_bytes(header[2:6], "big") == len(header) - 6


# --- receivers ----------------------------------------------------------------------------------------------------


class GatedReceiver(MemoryReceiver):
    """Takes no more until the gate opens."""

    gate: asyncio.Event
    written = 0
    discarded = 0

    def write(self, fragment: memoryview) -> Awaitable[None]:  # type: ignore[override]
        super().write(fragment)
        type(self).written += len(fragment)
        return self._wait()

    async def _wait(self) -> None:
        await self.gate.wait()

    def discard(self) -> None:
        type(self).discarded += 1


@pytest.fixture
def gated() -> type[GatedReceiver]:
    return type("Gated", (GatedReceiver,), {"gate": asyncio.Event()})


async def test_a_slow_receiver_holds_the_peer_back(gated: type[GatedReceiver]) -> None:
    size = 40_000_000
    received: list[int] = []

    def store(event: Any) -> int:
        received.append(event.body.length_bytes)
        return 0

    async with serving(store, receiver=gated) as running, await Peer.associated(running.port) as peer:
        peer.send(p_data(item(CT_ID, 3, encode(store_command()))))
        for start in range(0, size, 100_000):
            peer.send(p_data(item(CT_ID, LAST if start + 100_000 == size else 0, bytes(100_000))))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await peer.writer.drain()
        assert gated.written < 1_000_000
        gated.gate.set()
        assert (await peer.response())["Status"] == 0
        assert received == [size]


async def test_a_peer_that_vanishes_in_a_message(gated: type[GatedReceiver]) -> None:
    gated.gate.set()
    async with (
        serving(receiver=gated) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(CT_ID, store_command(), b"data")[:-2])
        while not gated.written:
            await asyncio.sleep(0.001)
        peer.writer.transport.abort()
        while running.server.associations:
            await asyncio.sleep(0.001)
        assert gated.discarded == 1


class FullReceiver(MemoryReceiver):
    def write(self, fragment: memoryview) -> None:
        raise SpoolFull("no room")


async def test_a_full_spool_is_answered_and_recovers() -> None:
    receivers = iter([FullReceiver, MemoryReceiver])

    async with serving(receiver=lambda: next(receivers)()) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(1), bytes(300_000)))
        assert (await peer.response())["Status"] == 0xA700
        peer.send(message(CT_ID, store_command(2), bytes(300_000)))
        assert (await peer.response())["Status"] == 0x0000


async def test_bodies_are_closed_after_the_response() -> None:
    closed: list[int] = []

    class Body(MemoryDataSet):
        def close(self) -> None:
            closed.append(self.length_bytes)

    class Receiver(MemoryReceiver):
        def finish(self) -> MemoryDataSet:
            return Body(super().finish().view())

    async with serving(receiver=Receiver) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(), b"data"))
        await peer.response()
        assert closed == [4]


# --- more than one request ----------------------------------------------------------------------------------------


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    order: list[int] = []

    async def store(event: Any) -> int:
        await asyncio.sleep(0)
        order.append(event.message_id)
        return 0

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(b"".join(message(CT_ID, store_command(number), b"data") for number in range(1, 101)) + RELEASE_RQ)
        for number in range(1, 101):
            assert (await peer.response())["MessageIDBeingRespondedTo"] == number
        assert await peer.pdu() == RELEASE_RP
        assert order == list(range(1, 101))


async def test_a_peer_far_ahead_of_our_answers_is_held_back() -> None:
    gate = asyncio.Event()

    async def store(event: Any) -> int:
        await gate.wait()
        return 0

    written = 0

    class Receiver(MemoryReceiver):
        def write(self, fragment: memoryview) -> None:
            nonlocal written
            written += len(fragment)

    count = 300
    async with serving(store, receiver=Receiver) as running, await Peer.associated(running.port) as peer:
        peer.send(b"".join(message(CT_ID, store_command(number), bytes(100_000)) for number in range(1, count)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await peer.writer.drain()
        assert written < 2_000_000
        gate.set()
        for number in range(1, count):
            assert (await peer.response())["MessageIDBeingRespondedTo"] == number


async def test_cancel_reaches_the_handler_and_stray_ones_hurt_nobody() -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()
    seen: list[bool] = []

    async def store(event: Any) -> int:
        seen.append(event.is_cancelled)
        asked.set()
        await cancelled.wait()
        seen.append(event.is_cancelled)
        seen.append(event.is_cancelled)
        return 0

    def cancel(message_id: int) -> bytes:
        return message(CT_ID, {"CommandField": 0x0FFF, "MessageIDBeingRespondedTo": message_id})

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(b"".join(cancel(number) for number in range(50)))
        peer.send(message(CT_ID, store_command(7), b"data"))
        await asked.wait()
        (association,) = running.server.associations
        peer.send(cancel(7))
        while not association.is_cancelled(7):
            await asyncio.sleep(0.001)
        cancelled.set()
        assert (await peer.response())["Status"] == 0
        assert seen == [False, True, True]
        assert not association.is_cancelled(7)
