"""Accepted associations, byte by byte: rejections, malformed PDUs, C-ECHO and C-STORE, limits, timers, closing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom import evt

from gateway.dimse.admission import Admitted, admit
from gateway.dimse.memory import MemoryDataSet, MemoryReceiver
from gateway.dimse.message import Command, encode
from gateway.dimse.pdata import COMMAND, LAST
from gateway.dimse.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.model import Associate, Limits, ProposedContext, Role, Settings, Spool, Timers, UserIdentity
from gateway.model import Peer as ConfiguredPeer
from gateway.ports import NotAllowed, SpoolFull
from tests.unit.dimse.rig import (
    CT,
    CT_ID,
    ECHO_ID,
    IMPLICIT,
    MR_ID,
    VERIFICATION,
    Peer,
    associate_rq,
    echo_command,
    item,
    message,
    p_data,
    serving,
    store_command,
)

SETTINGS = Settings(ae_title="GATEWAY", listeners=(), spool=Spool(path=""), queue_path="")
KNOWN = {
    "ct": ConfiguredPeer("ct", "TESTER", may=frozenset({"echo", "store"}), hosts=("127.0.0.0/8",)),
    "far": ConfiguredPeer("far", "FAR", may=frozenset({"store"}), hosts=("10.0.0.0/8",)),
    "pacs": ConfiguredPeer("pacs", "PACS", host="10.0.0.9", port=104),
}


def admission(facts: Any) -> Admitted:
    return admit(facts, SETTINGS, KNOWN, "table")


# --- rejections ------------------------------------------------------------------------------------------------------


def with_version(version: int) -> bytes:
    pdu = bytearray(associate_rq())
    pdu[6:8] = version.to_bytes(2, "big")
    return bytes(pdu)


REJECTED = {
    "called AE title not recognized": (associate_rq(called="OTHER"), (1, 1, 7)),
    "called AE title not ASCII": (associate_rq().replace(b"GATEWAY ", b"GATEWAY\xe4"), (1, 1, 7)),
    "calling AE title not recognized": (associate_rq(calling="STRANGER"), (1, 1, 3)),
    "calling AE title from another host": (associate_rq(calling="FAR"), (1, 1, 3)),
    "calling AE title of a destination only": (associate_rq(calling="PACS"), (1, 1, 3)),
    "protocol version": (with_version(2), (1, 2, 2)),
    "application context name": (
        associate_rq().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"),
        (1, 1, 2),
    ),
    "maximum length too small": (associate_rq(associate=Associate(max_pdu_bytes=15)), (1, 1, 1)),
}


@pytest.mark.parametrize(("pdu", "numbers"), REJECTED.values(), ids=REJECTED.keys())
async def test_rejections(pdu: bytes, numbers: tuple[int, int, int]) -> None:
    async with serving(admission=admission) as running, await Peer.connect(running.port) as peer:
        peer.send(pdu)
        assert await peer.pdu() == bytes((3, 0, 0, 0, 0, 4, 0, *numbers))
        assert not running.server.associations


async def test_protocol_versions_with_bit_0_are_taken() -> None:
    async with serving(admission=admission) as running, await Peer.connect(running.port) as peer:
        peer.send(with_version(0x8001))
        assert (await peer.pdu())[0] == 2


@pytest.mark.parametrize(
    "limits",
    [Limits(associations=2), Limits(associations_per_peer=2)],
    ids=["in all", "per peer"],
)
async def test_limits_of_associations_are_transient(limits: Limits) -> None:
    async with serving(limits=limits) as running, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(await Peer.associated(running.port)) for _ in range(2)]
        third = await stack.enter_async_context(await Peer.connect(running.port))
        third.send(associate_rq())
        assert await third.pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))
        peers[0].send(RELEASE_RQ)
        assert await peers[0].pdu() == RELEASE_RP
        await stack.enter_async_context(await Peer.associated(running.port))


async def test_another_calling_title_has_a_limit_of_its_own() -> None:
    async with (
        serving(limits=Limits(associations_per_peer=1)) as running,
        await Peer.associated(running.port, calling="ONE"),
        await Peer.associated(running.port, calling="TWO"),
    ):
        assert len(running.server.associations) == 2


async def test_while_stopping_associations_are_rejected() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def store(event: Any) -> int:
        started.set()
        await go_on.wait()
        return 0

    async with (
        serving(store) as running,
        await Peer.associated(running.port) as busy,
        await Peer.connect(running.port) as late,
    ):
        busy.send(message(CT_ID, store_command(), b"data"))
        await started.wait()
        draining = asyncio.ensure_future(running.server.drain(10.0))
        assert await late.is_closed()  # connected, but not associated: nothing is lost
        go_on.set()
        assert (await busy.response())["Status"] == 0
        assert await busy.pdu() == RELEASE_RQ
        busy.send(RELEASE_RP)
        assert await draining is True


# --- malformed PDUs --------------------------------------------------------------------------------------------------

USER, UNRECOGNIZED, UNEXPECTED = encode_abort(0, 0), encode_abort(2, 1), encode_abort(2, 2)
UNEXPECTED_PARAMETER, INVALID = encode_abort(2, 5), encode_abort(2, 6)

BEFORE = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": bytes.fromhex("160301020001"),
    "an endless A-ASSOCIATE-RQ": bytes.fromhex("0100FFFFFFFF"),
    "P-DATA-TF": message(1, echo_command()),
    "A-RELEASE-RQ": RELEASE_RQ,
    "A-ASSOCIATE-AC": b"\x02" + associate_rq()[1:],
    "an item beyond the PDU": bytes.fromhex("01000000004A 0001") + bytes(66) + bytes.fromhex("10000020 3132"),
    "an item header cut off": bytes.fromhex("010000000046 0001") + bytes(66) + b"\x10\0",
}


@pytest.mark.parametrize("data", BEFORE.values(), ids=BEFORE.keys())
async def test_what_is_no_association_is_aborted(data: bytes) -> None:
    """PS3.8 AA-1: in Sta2 the standard has us abort as the service user."""
    async with serving() as running, await Peer.connect(running.port) as peer:
        peer.send(data)
        assert await peer.pdu() == USER


AFTER = {
    "unknown PDU type": (b"\x09\0\0\0\0\4abcd", UNRECOGNIZED),
    "A-ASSOCIATE-RQ": (associate_rq(), UNEXPECTED),
    "A-RELEASE-RP": (RELEASE_RP, UNEXPECTED),
    "A-ASSOCIATE-AC": (b"\x02" + associate_rq()[1:], UNEXPECTED),
    "A-RELEASE-RQ of 5 bytes": (bytes.fromhex("0500000000050000000000"), INVALID),
    "empty P-DATA-TF": (bytes.fromhex("040000000000"), INVALID),
    "P-DATA-TF of 4 GiB": (bytes.fromhex("0400FFFFFFFF"), INVALID),
    "item beyond its PDU": (p_data(bytes.fromhex("000000FF0103")), INVALID),
    "context not accepted": (message(99, echo_command()), INVALID),
    "data set first": (p_data(item(CT_ID, 2, b"xx")), UNEXPECTED_PARAMETER),
    "interleaved messages": (
        p_data(item(CT_ID, 3, encode(store_command())), item(MR_ID, 2, b"xx")),
        UNEXPECTED_PARAMETER,
    ),
    "command of zeros": (p_data(item(ECHO_ID, 3, bytes(7))), INVALID),
    "command without Command Field": (p_data(item(ECHO_ID, 3, encode({"MessageID": 1}))), INVALID),
    "request without Message ID": (message(ECHO_ID, {"CommandField": 0x30}), INVALID),
    "response to nothing": (
        message(ECHO_ID, {"CommandField": 0x8030, "MessageIDBeingRespondedTo": 1, "Status": 0}),
        UNEXPECTED_PARAMETER,
    ),
    "command over the limit": (p_data(item(ECHO_ID, 1, bytes(70000))), INVALID),
}


@pytest.mark.parametrize(("data", "abort"), AFTER.values(), ids=AFTER.keys())
async def test_what_breaks_an_association_is_aborted(data: bytes, abort: bytes) -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        peer.send(data)
        assert await peer.pdu() == abort
        peer.send(message(ECHO_ID, echo_command()) * 100)  # ignored: AA-6
        peer.writer.write_eof()
        assert await peer.is_closed()
        assert not running.server.associations


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=300), is_associated=st.booleans(), seed=st.integers(0, 2**32))
def test_no_bytes_crash_or_hang_the_server(noise: bytes, is_associated: bool, seed: int) -> None:
    """Noise, and a valid stream with a few bytes changed; the server is there for the next one."""
    rng = random.Random(seed)
    valid = bytearray(message(CT_ID, store_command(), b"x" * 50) + message(ECHO_ID, echo_command()) + RELEASE_RQ)
    for _ in range(3):
        valid[rng.randrange(len(valid))] = rng.randrange(256)

    async def once(data: bytes) -> None:
        async with serving() as running:
            peer = await (Peer.associated(running.port) if is_associated else Peer.connect(running.port))
            async with peer:
                peer.send(data)
                peer.writer.write_eof()
                while await peer.pdu():
                    pass
            async with await Peer.associated(running.port) as other:
                other.send(message(ECHO_ID, echo_command()))
                assert (await other.response())["Status"] == 0

    asyncio.run(once(noise))
    asyncio.run(once(bytes(valid)))


# --- C-ECHO and C-STORE ----------------------------------------------------------------------------------------------


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


async def test_a_failing_echo_handler_is_answered_as_documented() -> None:
    def echo(event: Any) -> int:
        raise ValueError("broken")

    async with serving(echo=echo) as running, await Peer.associated(running.port) as peer:
        peer.send(message(ECHO_ID, echo_command()))
        assert (await peer.response())["Status"] == 0x0000


@pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine"])
@pytest.mark.parametrize("layout", ["one write", "byte by byte", "many items in one PDU", "commands over several PDUs"])
async def test_store(layout: str, is_async: bool) -> None:
    seen: list[Any] = []

    def store(event: Any) -> int:
        seen.append((event.sop_class_uid, event.sop_instance_uid, event.transfer_syntax_uid, bytes(event.body.view())))
        seen.append((event.assoc.table, event.facts.calling_ae_title, event.message_id, event.context.context_id))
        return 0xB007

    async def store_later(event: Any) -> int:
        await asyncio.sleep(0)
        return store(event)

    command, data = encode(store_command(9)), bytes(range(200))
    pieces = [command[:10], command[10:33], command[33:]]
    parts = [item(CT_ID, COMMAND | (LAST if piece is pieces[-1] else 0), piece) for piece in pieces]
    body = [item(CT_ID, 0, data[:100]), item(CT_ID, 0, b""), item(CT_ID, LAST, data[100:])]
    async with serving(store_later if is_async else store) as running, await Peer.associated(running.port) as peer:
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


@pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine"])
@pytest.mark.parametrize(("handler", "elements"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_answers_of_handlers(handler: Any, elements: dict[str, Any], is_async: bool) -> None:
    async def later(event: Any) -> Any:
        await asyncio.sleep(0)
        return handler(event)

    async with serving(later if is_async else handler) as running, await Peer.associated(running.port) as peer:
        for message_id in (1, 2):
            peer.send(message(CT_ID, store_command(message_id), b"data"))
            response = await peer.response()
            assert {keyword: response.get(keyword) for keyword in elements} == elements
            assert ("ErrorComment" in response) == ("ErrorComment" in elements)


REFUSED: dict[str, tuple[int, Command, bytes | None, int]] = {
    "SOP class of another context": (MR_ID, store_command(), b"data", 0xA900),
    "no SOP class": (CT_ID, store_command(AffectedSOPClassUID=None), b"data", 0xA900),
    "C-STORE over Verification": (ECHO_ID, store_command(AffectedSOPClassUID=VERIFICATION), b"data", 0x0122),
    "C-ECHO over storage": (CT_ID, echo_command(), None, 0x0122),
    "no SOP instance": (CT_ID, store_command(AffectedSOPInstanceUID=None), b"data", 0x0117),
    "SOP instance with a space": (CT_ID, store_command(AffectedSOPInstanceUID="1.2 3"), b"data", 0x0117),
    "SOP instance far too long": (CT_ID, store_command(AffectedSOPInstanceUID="1" * 130), b"data", 0x0117),
    "SOP instance somewhat too long": (CT_ID, store_command(AffectedSOPInstanceUID="1" * 70), b"data", 0x0000),
    "no data set": (CT_ID, store_command(CommandDataSetType=0x0101), None, 0xC000),
    "C-FIND": (CT_ID, {"CommandField": 0x20, "MessageID": 1, "CommandDataSetType": 1}, b"data", 0x0211),
    "N-ACTION": (CT_ID, {"CommandField": 0x130, "MessageID": 1, "CommandDataSetType": 1}, b"data", 0x0211),
    "N-DELETE": (CT_ID, {"CommandField": 0x150, "MessageID": 1}, None, 0x0211),
    "an operation of nobody": (CT_ID, {"CommandField": 0x0777, "MessageID": 1}, None, 0x0211),
}


@pytest.mark.parametrize(("context_id", "command", "data", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused_requests_leave_the_association_alone(
    context_id: int, command: Command, data: bytes | None, status: int
) -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        peer.send(message(context_id, command, data))
        response = await peer.response()
        assert response["Status"] == status
        assert response["CommandField"] == command["CommandField"] | 0x8000
        assert response["MessageIDBeingRespondedTo"] == 1
        peer.send(message(ECHO_ID, echo_command(2)))
        assert (await peer.response())["MessageIDBeingRespondedTo"] == 2


async def test_without_a_handler_for_store_no_context_is_accepted() -> None:
    async with (
        serving(handlers=[(evt.EVT_C_ECHO, lambda event: 0)]) as running,
        await Peer.associated(running.port) as peer,
    ):
        (association,) = running.server.associations
        assert set(association.accepted_contexts) == {ECHO_ID}
        peer.send(message(CT_ID, store_command(), b"data"))
        assert await peer.pdu() == INVALID


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
        await Peer.associated(running.port, associate=Associate(max_pdu_bytes=16)) as peer,
    ):
        peer.send(message(ECHO_ID, echo_command(3)))
        header = await peer.pdu()
        assert len(header) <= 6 + 16
        assert int.from_bytes(header[2:6], "big") == len(header) - 6


# --- user information ------------------------------------------------------------------------------------------------


async def test_what_is_known_of_the_association() -> None:
    identity = UserIdentity("username_passcode", "someone", "secret", is_response_requested=True)
    async with (
        serving(admission=admission) as running,
        await Peer.associated(running.port, associate=Associate(user_identity=identity)) as peer,
    ):
        (association,) = running.server.associations
        facts = association.facts
        port = peer.writer.get_extra_info("sockname")[1]
        assert (facts.calling_ae_title, facts.called_ae_title, facts.peer) == ("TESTER", "GATEWAY", "ct")
        assert (facts.remote_host, facts.remote_port, facts.listener) == ("127.0.0.1", port, "main")
        assert facts.user_identity == "someone"
        assert "secret" not in repr(facts)
        assert facts.implementation_class_uid
        assert facts.association_id == association.association_id
        assert association.requestor == ("TESTER", "127.0.0.1", port)


async def test_a_peer_gets_what_it_may() -> None:
    narrow = dataclasses.replace(KNOWN["ct"], may=frozenset({"store"}), accept_sop_classes=(CT,))
    async with serving(admission=lambda facts: Admitted(narrow)) as running, await Peer.associated(running.port):
        (association,) = running.server.associations
        assert {context.abstract_syntax for context in association.accepted_contexts.values()} == {CT}


# --- receivers -------------------------------------------------------------------------------------------------------


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


# --- more than one request -------------------------------------------------------------------------------------------


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


# --- release, abort, timers ------------------------------------------------------------------------------------------


async def test_release() -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP
        assert not running.server.associations


async def test_release_waits_for_the_answer_in_work() -> None:
    gate = asyncio.Event()

    async def store(event: Any) -> int:
        await gate.wait()
        return 0

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(), b"data") + RELEASE_RQ)
        with pytest.raises(TimeoutError):
            await peer.pdu(timeout_s=0.1)
        gate.set()
        assert (await peer.response())["Status"] == 0
        assert await peer.pdu() == RELEASE_RP


async def test_release_collision_as_the_acceptor() -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        (association,) = running.server.associations
        association.drain()
        assert await peer.pdu() == RELEASE_RQ
        peer.send(RELEASE_RQ)  # collision: the requestor answers first, then we do
        peer.send(RELEASE_RP)
        assert await peer.pdu() == RELEASE_RP


async def test_an_abort_of_the_peer_ends_it() -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        peer.send(encode_abort(0, 0))
        assert await peer.is_closed()
        assert not running.server.associations


async def test_a_handler_may_abort() -> None:
    def store(event: Any) -> int:
        event.assoc.abort()
        return 0

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(), b"data"))
        assert await peer.pdu() == USER


async def test_a_handler_goes_on_when_its_peer_is_gone() -> None:
    started, gate, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def store(event: Any) -> int:
        started.set()
        await gate.wait()
        assert bytes(event.body.view()) == b"data"
        ended.set()
        return 0

    async with (
        serving(store) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(CT_ID, store_command(), b"data"))
        await started.wait()
        peer.writer.transport.abort()
        while running.server.associations:
            await asyncio.sleep(0.001)
        gate.set()
        await asyncio.wait_for(ended.wait(), 5.0)


SLOW = Timers(association_s=30.0, dimse_s=30.0, idle_s=30.0)


async def test_artim_closes_a_silent_connection() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, association_s=0.2)) as running,
        await Peer.connect(running.port) as peer,
    ):
        peer.send(associate_rq()[:50])
        assert await peer.is_closed()


async def test_artim_closes_what_the_peer_leaves_open_after_release() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, association_s=0.2)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP
        assert await peer.is_closed()


async def test_an_idle_association_is_aborted() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, idle_s=0.2)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(ECHO_ID, echo_command()))
        await peer.response()
        assert await peer.pdu() == USER


async def test_a_long_handler_is_not_idle() -> None:
    async def store(event: Any) -> int:
        await asyncio.sleep(0.5)
        return 0

    async with (
        serving(store, timers=dataclasses.replace(SLOW, idle_s=0.2, dimse_s=0.2)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(CT_ID, store_command(), b"data"))
        assert (await peer.response())["Status"] == 0


HALF = message(CT_ID, store_command(), b"data" * 10)


@pytest.mark.parametrize("cut", [3, 30, len(HALF) - 50, len(HALF) - 46, len(HALF) - 1])
async def test_half_a_message_is_aborted_after_the_time_limit(cut: int) -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, dimse_s=0.2)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(HALF[:cut])
        assert await peer.pdu() == USER


async def test_a_message_may_take_longer_than_its_limits_while_it_moves() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, dimse_s=0.3, idle_s=0.3)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(CT_ID, store_command())[:0] + p_data(item(CT_ID, 3, encode(store_command()))))
        for index in range(8):
            await asyncio.sleep(0.1)
            peer.send(p_data(item(CT_ID, LAST if index == 7 else 0, b"data")))
        assert (await peer.response())["Status"] == 0


async def test_a_peer_that_stops_reading_is_let_go() -> None:
    """It goes on sending requests and never reads an answer."""
    async with (
        serving(timers=dataclasses.replace(SLOW, dimse_s=0.3)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        requests = message(ECHO_ID, echo_command()) * 2000
        with contextlib.suppress(OSError):
            async with asyncio.timeout(20):
                while running.server.associations:
                    peer.send(requests)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await peer.writer.drain()
        assert not running.server.associations


async def test_too_many_connections_are_closed_at_once() -> None:
    async with serving(limits=Limits(associations=1)) as running, contextlib.AsyncExitStack() as stack:
        for _ in range(66):
            await stack.enter_async_context(await Peer.connect(running.port))
        surplus = await stack.enter_async_context(await Peer.connect(running.port))
        assert await surplus.is_closed()


async def test_a_drain_that_takes_too_long_aborts() -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def store(event: Any) -> int:
        started.set()
        await gate.wait()
        return 0

    async with serving(store) as running, await Peer.associated(running.port) as peer:
        peer.send(message(CT_ID, store_command(), b"data"))
        await started.wait()
        assert await running.server.drain(0.2) is False
        assert await peer.pdu() == USER
        gate.set()


async def test_roles_reach_the_wire() -> None:
    roles = (Role(CT, scu_role=True, scp_role=True),)
    contexts = (ProposedContext(CT, (IMPLICIT,)),)
    async with serving() as running, await Peer.connect(running.port) as peer:
        peer.send(associate_rq(contexts=contexts, associate=Associate(roles=roles, async_operations=(4, 4))))
        accept = await peer.pdu()
        assert (
            b"\x54\0" + (len(CT) + 4).to_bytes(2, "big") + len(CT).to_bytes(2, "big") + CT.encode() + b"\1\0" in accept
        )
        assert b"\x53\0\0\4\0\1\0\1" in accept
