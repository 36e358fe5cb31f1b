"""Associations that we ask for, against a peer made of bytes: what it may do to us, and what it gets from us."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ

from gateway.dimse.associate_request import parse
from gateway.dimse.client import ClientAssociation, associate
from gateway.dimse.memory import MemoryDataSet
from gateway.dimse.message import Command, decode
from gateway.dimse.negotiation import Policy, encode_accept, negotiate
from gateway.dimse.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort, encode_reject
from gateway.model import Associate, Peer, ProposedContext, Role, Timers, UserIdentity
from gateway.ports import DestinationDown, DestinationRefuses
from tests.unit.dimse.rig import CONTEXTS, CT, CT_ID, ECHO_ID, IMPLICIT, VERIFICATION, message, serving
from tests.unit.dimse.rig import Peer as Bytes

Script = Callable[[Bytes], Awaitable[None]]
BIG_ENDIAN = "1.2.840.10008.1.2.2"
TIMERS = Timers(connect_s=5.0, association_s=5.0, dimse_s=5.0)
QUICK = Timers(connect_s=5.0, association_s=0.3, dimse_s=0.3)


@contextlib.asynccontextmanager
async def acceptor(script: Script, **peer: Any) -> AsyncIterator[Peer]:
    """A peer that plays `script` on every connection; what the script raises fails the test."""
    scripts: list[asyncio.Task[None]] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with Bytes(reader, writer) as other:
            await script(other)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scripts.append(asyncio.ensure_future(play(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Peer("pacs", "PACS", "127.0.0.1", port, timers=peer.pop("timers", TIMERS), **peer)
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*scripts), 20.0)


async def accept(peer: Bytes, *, max_pdu_bytes: int = 16384, services: frozenset[str] | None = None) -> bytes:
    """Take the A-ASSOCIATE-RQ and say yes."""
    pdu = await peer.pdu()
    request = parse(pdu)
    policy = Policy(frozenset({"echo", "store"}) if services is None else services)
    peer.send(encode_accept(request, negotiate(request.contexts, request.roles, policy), max_pdu_bytes=max_pdu_bytes))
    return pdu


async def until_closed(peer: Bytes) -> list[bytes]:
    """What still comes, until the connection is closed or the peer that asked for the end closes it."""
    pdus: list[bytes] = []
    while pdu := await peer.pdu():
        pdus.append(pdu)
        if pdu[0] in (6, 7):
            break
    return pdus


async def open_to(peer: Peer) -> ClientAssociation:
    return await associate(peer, own_ae_title="GATEWAY", contexts=CONTEXTS)


async def store(association: ClientAssociation, data: bytes = b"data", **more: Any) -> Any:
    return await association.c_store(
        sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=IMPLICIT, body=MemoryDataSet(data), **more
    )


async def read_message(peer: Bytes) -> tuple[Command, bytes, list[int]]:
    """(command set, data set, lengths of the PDUs) of the next message."""
    command, data, lengths = b"", b"", []
    expects_data = False
    while True:
        pdu = await peer.pdu()
        assert pdu[0] == 4, pdu[:20]
        lengths.append(len(pdu) - 6)
        position = 6
        while position < len(pdu):
            length = int.from_bytes(pdu[position : position + 4], "big")
            control, value = pdu[position + 5], pdu[position + 6 : position + 4 + length]
            position += 4 + length
            if control & 1:
                command += value
                expects_data = bool(control & 2) and decode(command)["CommandDataSetType"] != 0x0101
                if control & 2 and not expects_data:
                    return decode(command), data, lengths
            else:
                data += value
                if control & 2:
                    return decode(command), data, lengths


def response(command: Command, status: int = 0, **more: Any) -> Command:
    return {
        "CommandField": command["CommandField"] | 0x8000,
        "MessageIDBeingRespondedTo": command["MessageID"],
        "CommandDataSetType": 0x0101,
        "Status": status,
        **more,
    }


# --- associations that do not come to be -----------------------------------------------------------------------------


def sending(data: bytes) -> Script:
    async def script(peer: Bytes) -> None:
        await peer.pdu()
        peer.send(data)
        await until_closed(peer)

    return script


async def closing(peer: Bytes) -> None:
    await peer.pdu()


async def silent(peer: Bytes) -> None:
    await until_closed(peer)


async def accepting_nothing(peer: Bytes) -> None:
    await accept(peer, services=frozenset())
    assert await peer.pdu() == RELEASE_RQ
    peer.send(RELEASE_RP)


async def with_tiny_pdus(peer: Bytes) -> None:
    await accept(peer, max_pdu_bytes=15)
    assert await peer.pdu() == encode_abort(0, 0)


FAILURES: dict[str, tuple[Script, type[Exception], str]] = {
    "called title": (sending(encode_reject(1, 1, 7)), DestinationRefuses, r"Called AE title not recogni.ed.*1/1/7"),
    "calling title": (sending(encode_reject(1, 1, 3)), DestinationRefuses, r"Calling AE title.*1/1/3"),
    "protocol version": (sending(encode_reject(1, 2, 2)), DestinationRefuses, r"1/2/2"),
    "congestion": (sending(encode_reject(2, 3, 1)), DestinationDown, r"Temporary congestion.*2/3/1"),
    "limit": (sending(encode_reject(2, 3, 2)), DestinationDown, r"Local limit exceeded.*2/3/2"),
    "values of nobody": (sending(encode_reject(9, 8, 7)), DestinationRefuses, r"reserved value.*9/8/7"),
    "abort by the user": (sending(encode_abort(0, 0)), DestinationDown, r"aborted by the peer's service user"),
    "abort by the provider": (sending(encode_abort(2, 1)), DestinationDown, r"service provider: unrecognized pdu"),
    "closed": (closing, DestinationDown, r"closed the connection"),
    "HTTP": (sending(b"HTTP/1.1 400 Bad Request\r\n\r\n"), DestinationDown, r"PDU type 0x48"),
    "an empty accept": (sending(bytes.fromhex("020000000044 0001") + bytes(66)), DestinationDown, r"A-ASSOCIATE-AC"),
    "data before the accept": (sending(message(1, {"CommandField": 0x30})), DestinationDown, r"unexpected pdu"),
    "no context": (accepting_nothing, DestinationRefuses, r"accepted none of 3 presentation contexts"),
    "PDUs too small": (with_tiny_pdus, DestinationRefuses, r"PDUs of 15 bytes"),
}


@pytest.mark.parametrize(("script", "error", "text"), FAILURES.values(), ids=FAILURES.keys())
async def test_what_comes_instead_of_an_association(script: Script, error: type[Exception], text: str) -> None:
    async with acceptor(script) as peer:
        with pytest.raises(error, match=rf"pacs.*{text}"):
            await open_to(peer)


async def test_no_answer_to_the_request() -> None:
    async with acceptor(silent, timers=QUICK) as peer:
        with pytest.raises(DestinationDown, match=r"did not answer the association request in 0\.3 s"):
            await open_to(peer)


async def test_nobody_listens() -> None:
    async with acceptor(silent) as peer:
        pass
    with pytest.raises(DestinationDown, match="cannot be reached"):
        await open_to(peer)


@pytest.mark.parametrize("count", [0, 129])
async def test_too_many_or_no_contexts(count: int) -> None:
    async with acceptor(silent) as peer:
        with pytest.raises(ValueError, match="presentation contexts"):
            await associate(
                peer, own_ae_title="GATEWAY", contexts=[ProposedContext(f"1.2.{n}", (IMPLICIT,)) for n in range(count)]
            )


async def test_giving_up_while_associating() -> None:
    async with acceptor(silent) as peer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await open_to(peer)


# --- what reaches the wire -------------------------------------------------------------------------------------------


async def test_the_keywords_of_associate_reach_the_wire() -> None:
    seen: list[Any] = []

    async def script(peer: Bytes) -> None:
        port = peer.writer.get_extra_info("peername")[1]
        seen.append((await accept(peer), port))
        await until_closed(peer)

    settings = Associate(
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
    assert received == data
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


# --- what a peer may do to a request ---------------------------------------------------------------------------------


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
        async with asyncio.timeout(2.0):
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


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_release_that_nobody_answers() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        assert await peer.pdu() == RELEASE_RQ
        await until_closed(peer)

    async with acceptor(script, timers=QUICK) as peer:
        association = await open_to(peer)
        async with asyncio.timeout(3.0):
            await association.release()


async def test_release_collision_as_the_requestor() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        assert await peer.pdu() == RELEASE_RQ
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP
        peer.send(RELEASE_RP)
        assert await until_closed(peer) == []

    async with acceptor(script) as peer:
        association = await open_to(peer)
        await association.release()


async def test_the_peer_releases_an_idle_association() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP

    async with acceptor(script) as peer:
        association = await open_to(peer)
        await association.wait_closed()
        assert not association.is_open
        with pytest.raises(DestinationDown, match="released"):
            await association.c_echo()
        await association.release()


async def test_memory_stays_flat_while_a_large_object_passes() -> None:
    """300 MB through a requestor and an acceptor in this process, neither of which keeps it."""
    size = 300_000_000
    received = 0

    class Counting:
        def write(self, fragment: memoryview) -> None:
            nonlocal received
            received += len(fragment)

        def finish(self) -> MemoryDataSet:
            return MemoryDataSet(b"")

        def discard(self) -> None: ...

    class Large(MemoryDataSet):
        @property
        def length_bytes(self) -> int:
            return size

        def chunks(self, size_bytes: int) -> Iterator[memoryview]:
            chunk = memoryview(bytes(size_bytes))
            left = size
            while left:
                yield chunk[: min(left, size_bytes)]
                left -= min(left, size_bytes)

    async with serving(receiver=Counting) as running:
        association = await open_to(Peer("self", "GATEWAY", "127.0.0.1", running.port, timers=TIMERS))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await association.c_store(
            sop_class_uid=CT, sop_instance_uid="1", transfer_syntax_uid=IMPLICIT, body=Large(b"")
        )
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        await association.release()
    assert answer.status == 0
    assert received == size
    assert grown_kib < 20_000
