"""Requests over associations that we asked for: what the peer gets, and what it may do to us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.message import Command
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.model.associate import AssociateKeywords, Role, UserIdentity
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses
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
from tests.support.dimse.rig import CONTEXTS, CT, CT_ID, ECHO_ID, IMPLICIT, TIMERS, VERIFICATION, message, serving
from tests.support.dimse.rig import Peer as Bytes
from tests.support.processes import GUARD_S

# --- what reaches the wire ----------------------------------------------------------------------------------------


async def test_the_keywords_of_associate_reach_the_wire() -> None:
    seen: list[Any] = []

    async def script(peer: Bytes) -> None:
        port = peer.writer.get_extra_info("peername")[1]
        seen.append((await accept(peer), port))
        await until_closed(peer)

    settings = AssociateKeywords(
        called_ae_title="THEIRS",
        max_pdu_bytes=65536,
        roles=(Role(CT, scu_role=True, scp_role=True),),
        extended=((CT, b"\2\0"),),
        common_extended=((CT, "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.4",)),),
        user_identity=UserIdentity("username_passcode", "someone", "secret", is_response_requested=True),
        async_operations=(3, 4),
        bind_address=("127.0.0.1", 0),
    )
    async with acceptor(script, associate=settings, calling_ae_title="OURS") as peer:
        association = await open_to(peer)
        association.abort()
    pdu: Any = A_ASSOCIATE_RQ()
    pdu.decode(seen[0][0])
    information = pdu.user_information
    assert (pdu.called_ae_title.strip(), pdu.calling_ae_title.strip()) == ("THEIRS", "OURS")
    assert [
        (context.context_id, context.abstract_syntax, tuple(context.transfer_syntax))
        for context in pdu.presentation_context
    ] == [(2 * i + 1, context.abstract_syntax, context.transfer_syntaxes) for i, context in enumerate(CONTEXTS)]
    assert information.maximum_length == 65536
    assert [(item.uid, item.scu, item.scp) for item in information.role_selection.values()] == [(CT, 1, 1)]
    assert [(item.uid, item.app_info) for item in information.ext_neg] == [(CT, b"\2\0")]
    assert information.common_ext_neg[0].related_general_sop_class_identification == ["1.2.840.10008.5.1.4.1.1.4"]
    assert information.async_ops_window.max_operations_performed == 4
    identity = information.user_identity
    assert (identity.id_type, identity.primary, identity.secondary) == (2, b"someone", b"secret")
    assert identity.response_requested


@pytest.mark.parametrize("size", [0, 1, 2, 3, 41, 500])
@pytest.mark.parametrize("maximum", [16, 17, 100, 0], ids=lambda value: f"maximum {value}")
async def test_the_peers_maximum_is_kept(size: int, maximum: int) -> None:
    data = bytes(index % 256 for index in range(size))
    seen: list[Any] = []

    async def script(peer: Bytes) -> None:
        await accept(peer, max_pdu_bytes=maximum)
        seen.append(await read_message(peer))
        peer.send(message(CT_ID, response(seen[0][0], 0xB000, ErrorComment="coerced")))
        assert await peer.pdu() == RELEASE_RQ
        peer.send(RELEASE_RP)

    async with acceptor(script) as peer:
        association = await open_to(peer)
        answer = await store(association, data, priority=1, move_originator=("MOVER", 77))
        await association.release()
        assert association.is_closed
    assert (answer.status, answer.error_comment) == (0xB000, "coerced")
    command, received, lengths = seen[0]
    assert received == data + bytes(size % 2), "fragments have even lengths (PS3.8 §E.1)"
    assert max(lengths) <= (maximum or 131072)
    assert command["Priority"] == 1
    assert (command["MoveOriginatorApplicationEntityTitle"], command["MoveOriginatorMessageID"]) == ("MOVER", 77)
    assert (command["AffectedSOPClassUID"], command["AffectedSOPInstanceUID"]) == (CT, "1.2.3")


async def test_accepted_contexts_by_syntax() -> None:
    async with serving() as running:
        association = await open_to(Peer("self", "GATEWAY", "127.0.0.1", running.port, timers=TIMERS))
        mr = CONTEXTS[2]
        assert association.accepted == {
            (VERIFICATION, IMPLICIT): ECHO_ID,
            (CT, IMPLICIT): CT_ID,
            (mr.abstract_syntax, mr.transfer_syntaxes[0]): 5,
        }
        assert await association.c_echo() == 0
        assert (await store(association)).status == 0
        with pytest.raises(DestinationRefuses, match="accepted no context"):
            await association.c_store(
                sop_class_uid=CT,
                sop_instance_uid="1",
                transfer_syntax_uid="1.2.840.10008.1.2.2",
                body=MemoryDataSet(b""),
            )
        await association.release()
        assert not association.is_open
        with pytest.raises(DestinationDown):
            await store(association)


async def test_one_request_at_a_time() -> None:
    async with serving() as running:
        association = await open_to(Peer("self", "GATEWAY", "127.0.0.1", running.port, timers=TIMERS))
        first = asyncio.ensure_future(association.c_echo())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one request"):
            await association.c_echo()
        assert await first == 0
        await association.release()


async def test_a_body_that_lies_about_its_length_costs_the_association() -> None:
    class Liar(MemoryDataSet):
        @property
        def length_bytes(self) -> int:
            return 10

    async with serving() as running:
        association = await open_to(Peer("self", "GATEWAY", "127.0.0.1", running.port, timers=TIMERS))
        with pytest.raises(ValueError, match="bytes"):
            await association.c_store(
                sop_class_uid=CT, sop_instance_uid="1", transfer_syntax_uid=IMPLICIT, body=Liar(b"1234")
            )
        assert not association.is_open


# --- what a peer may do to a request ------------------------------------------------------------------------------


def answering(make: Callable[[Command], bytes]) -> Script:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        command, *_ = await read_message(peer)
        peer.send(make(command))
        await until_closed(peer)

    return script


def without_status(command: Command) -> bytes:
    answer = response(command)
    del answer["Status"]
    return message(CT_ID, answer)


LOST: dict[str, tuple[Script, str]] = {
    "abort": (answering(lambda command: encode_abort(0, 0)), "aborted by the peer"),
    "another message": (answering(lambda c: message(CT_ID, response({**c, "MessageID": 99}))), "to no request of ours"),
    "another kind": (answering(lambda c: message(CT_ID, response({**c, "CommandField": 0x30}))), "another kind"),
    "no status": (answering(without_status), "without a status"),
    "garbage": (answering(lambda command: b"\xff" * 20), "PDU type 0xFF"),
    "release instead": (answering(lambda command: RELEASE_RQ), "released"),
    "a context of nobody": (answering(lambda c: message(77, response(c))), "context 77 was not accepted"),
}


@pytest.mark.parametrize(("script", "text"), LOST.values(), ids=LOST.keys())
async def test_a_request_whose_answer_is_none(script: Script, text: str) -> None:
    async with acceptor(script) as peer:
        association = await open_to(peer)
        with pytest.raises(DestinationDown, match=rf"pacs.*{text}"):
            await store(association)
        assert not association.is_open


async def never_read(peer: Bytes) -> None:
    await accept(peer)
    peer.writer.transport.abort()


async def read_in_part(peer: Bytes) -> None:
    await accept(peer)
    await peer.pdu()
    peer.writer.transport.abort()


async def read_whole(peer: Bytes) -> None:
    await accept(peer)
    await read_message(peer)
    peer.writer.transport.abort()


async def answered_without_a_status(peer: Bytes) -> None:
    await accept(peer)
    command, *_ = await read_message(peer)
    answer = response(command)
    del answer["Status"]
    peer.send(message(CT_ID, answer))
    await until_closed(peer)


DOUBTS: dict[str, tuple[Script, int, bool]] = {
    "read in part": (read_in_part, 16_000_000, False),
    "read whole": (read_whole, 40_000, True),
    "no status": (answered_without_a_status, 10, True),
}


@pytest.mark.parametrize(("script", "size", "is_doubtful"), DOUBTS.values(), ids=DOUBTS)
async def test_an_object_is_doubtful_from_its_last_fragment_on(script: Script, size: int, is_doubtful: bool) -> None:
    """The large one does not fit into the buffers of the connection."""
    async with acceptor(script) as peer:
        association = await open_to(peer)
        with pytest.raises(DestinationDown) as raised:
            await store(association, bytes(size))
    assert raised.value.is_doubtful is is_doubtful


async def test_nothing_is_doubtful_on_an_association_that_had_ended() -> None:
    async with acceptor(never_read) as peer:
        association = await open_to(peer)
        await association.wait_closed()
        with pytest.raises(DestinationDown) as raised:
            await store(association)
    assert not raised.value.is_doubtful


async def test_no_response_in_time() -> None:
    async with acceptor(answering(lambda command: b""), timers=QUICK) as peer:
        association = await open_to(peer)
        with pytest.raises(DestinationDown, match="no response within the DIMSE time limit"):
            await store(association)


async def test_half_a_response() -> None:
    async with acceptor(answering(lambda c: message(CT_ID, response(c))[:-3]), timers=QUICK) as peer:
        association = await open_to(peer)
        with pytest.raises(DestinationDown, match=r"in the middle of a message|no response"):
            await store(association)


async def test_a_peer_that_stops_reading_does_not_hang_us() -> None:
    size, given = 200_000_000, 0

    class Endless(MemoryDataSet):
        """Does not exist in memory."""

        @property
        def length_bytes(self) -> int:
            return size

        def chunks(self, size_bytes: int) -> Iterator[memoryview]:
            nonlocal given
            for _ in range(size // size_bytes + 1):
                given += size_bytes
                yield memoryview(bytes(size_bytes))

    gone = asyncio.Event()

    async def script(peer: Bytes) -> None:
        await accept(peer)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gone.wait()

    async with acceptor(script, timers=QUICK) as peer:
        association = await open_to(peer)
        with pytest.raises(DestinationDown, match="stopped reading"):
            await association.c_store(
                sop_class_uid=CT, sop_instance_uid="1", transfer_syntax_uid=IMPLICIT, body=Endless(b"")
            )
        assert given < size / 4
        async with asyncio.timeout(GUARD_S):
            await association.wait_closed()
        gone.set()


async def test_giving_up_a_request_aborts() -> None:
    seen: list[bytes] = []

    async def script(peer: Bytes) -> None:
        await accept(peer)
        await read_message(peer)
        seen.append(await peer.pdu())

    async with acceptor(script) as peer:
        association = await open_to(peer)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await store(association)
        assert not association.is_open
    assert seen == [encode_abort(0, 0)]


async def test_requests_of_the_peer_are_answered_not_recognized() -> None:
    answers: list[Command] = []

    async def script(peer: Bytes) -> None:
        await accept(peer)
        request = {"CommandField": 0x0100, "MessageID": 5, "CommandDataSetType": 1}
        peer.send(message(CT_ID, request, b"event information"))
        answers.append(await peer.response())
        await until_closed(peer)

    async with acceptor(script) as peer:
        association = await open_to(peer)
        while not answers:
            await asyncio.sleep(0.001)
        assert association.is_open
        association.abort()
    assert (answers[0]["CommandField"], answers[0]["MessageIDBeingRespondedTo"]) == (0x8100, 5)
    assert answers[0]["Status"] == 0x0211
