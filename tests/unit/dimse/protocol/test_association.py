"""Messages of one association on a transport in memory: received in pieces, sent in fragments, responses that are
waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.dimse.protocol.assembly import Message
from gateway.dimse.protocol.association import Association, AssociationEnded
from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.context import AcceptedContext, as_uid
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.memory import MemoryDataSet, MemoryReceiver
from gateway.dimse.protocol.upper_layer import AssociateRequestPDU, UpperLayerEvent, encode_abort
from gateway.model.listener import Limits, Timers
from gateway.ports.encoded_data_set import DataSetReceiver
from tests.support.dimse.memory_transport import MemoryTransport, deliver
from tests.support.dimse.rig import CT, CT_ID, IMPLICIT, MR, MR_ID, echo_command, item, message, p_data, store_command

CONTEXTS = {
    CT_ID: AcceptedContext(CT_ID, as_uid(CT), as_uid(IMPLICIT), "store"),
    MR_ID: AcceptedContext(MR_ID, as_uid(MR), as_uid(IMPLICIT), "store"),
}


class Bench(Association):
    """Keeps the messages that it receives."""

    holds_reading_while_writing = False

    def __init__(self, receiver: Any = MemoryReceiver, limits: Limits = Limits()) -> None:
        super().__init__(is_requestor=False, timers=Timers(association_s=600.0, dimse_s=600.0), limits=limits)
        self.received: list[Message] = []
        self._receiver = receiver

    def _open_data_set(self, message: Message) -> DataSetReceiver | None:
        opened: DataSetReceiver = self._receiver()
        return opened

    def _message_received(self, message: Message) -> None:
        if message.command["CommandField"] & 0x8000:
            self._response_received(message)
        else:
            self.received.append(message)

    def ended_as(self) -> str | None:
        return self._ended

    def is_running(self, *timers: AssociationTimer) -> list[bool]:
        return [self._deadlines.is_running(timer) for timer in timers]


ARRIVAL = (AssociationTimer.RECEIVING, AssociationTimer.PROGRESS, AssociationTimer.MESSAGE)


def established(
    receiver: Any = MemoryReceiver,
    max_pdu_bytes: int = 16384,
    *,
    kind: type[Bench] = Bench,
    limits: Limits = Limits(),
) -> tuple[Bench, MemoryTransport]:
    bench, transport = kind(receiver, limits), MemoryTransport()
    bench.connection_made(transport)
    bench._event(UpperLayerEvent.TRANSPORT_INDICATION)
    bench._event(UpperLayerEvent.ASSOCIATE_RQ_PDU, AssociateRequestPDU(1, None))
    bench._establish(CONTEXTS, max_pdu_bytes)
    bench._event(UpperLayerEvent.ASSOCIATE_ACCEPT, b"accept")
    bench._unhold(ReadingHeld.TRANSPORT)
    transport.taken()
    return bench, transport


async def test_a_message_arrives_in_any_pieces_and_its_time_limits_end_with_it() -> None:
    bench, _ = established()
    data = message(CT_ID, store_command(), b"0123456789")
    for byte in data[:-1]:
        deliver(bench, bytes((byte,)))
    assert bench.received == []
    assert bench.is_running(*ARRIVAL) == [True, True, True]
    deliver(bench, data[-1:])
    (got,) = bench.received
    assert got.body is not None
    assert bytes(got.body.view()) == b"0123456789"
    assert bench.is_running(*ARRIVAL) == [False, False, False]
    bench.close_now()


class SlowReceiver(MemoryReceiver):
    """Takes the next fragment when `ready` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: memoryview) -> Any:
        super().write(data)
        return self.ready


async def test_nothing_is_read_while_a_receiver_is_behind() -> None:
    receivers: list[SlowReceiver] = []

    def opened() -> SlowReceiver:
        receivers.append(SlowReceiver())
        return receivers[-1]

    bench, transport = established(opened)
    deliver(bench, message(CT_ID, store_command(), b"abcd") + message(CT_ID, echo_command(2)))
    assert bench.received == []
    assert transport.is_paused
    receivers[0].ready.set_result(None)
    async with asyncio.timeout(60):
        while len(bench.received) < 2:
            await asyncio.sleep(0)
    assert [got.command["MessageID"] for got in bench.received] == [1, 2]
    bench.close_now()


async def test_a_value_on_an_unknown_context_aborts() -> None:
    bench, transport = established()
    deliver(bench, p_data(item(99, 3, b"ab")))
    assert transport.taken()[:1] == encode_abort(2, 0)[:1]
    assert bench.is_over
    with pytest.raises(AssociationEnded):
        bench.send_command(CT_ID, echo_command())


@pytest.mark.parametrize("size", [0, 1, 9, 10, 1000])
async def test_a_data_set_leaves_in_even_fragments_that_the_peer_takes(size: int) -> None:
    bench, transport = established(max_pdu_bytes=256)
    await bench.send_message(CT_ID, store_command(), MemoryDataSet((bytes(range(256)) * 4)[:size]))
    sent, lengths, data = transport.taken(), [], b""
    while sent:
        length = int.from_bytes(sent[2:6], "big")
        lengths.append(length)
        data += sent[12 : 6 + length] if not sent[11] & 1 else b""
        sent = sent[6 + length :]
    assert max(lengths) <= 256
    assert all(length % 2 == 0 for length in lengths)
    assert data == (bytes(range(256)) * 4)[:size] + bytes(size % 2)
    assert not bench.is_sending
    bench.close_now()


@pytest.mark.parametrize("max_pdu_bytes", [256, 16384])
async def test_messages_of_one_command_leave_as_one_after_the_other_and_together(max_pdu_bytes: int) -> None:
    data_sets = [bytes([number % 256]) * (number * 7 % 300) for number in range(1000)]
    apart, apart_transport = established(max_pdu_bytes=max_pdu_bytes)
    for data_set in data_sets:
        await apart.send_message(CT_ID, store_command(), MemoryDataSet(data_set))
    together, transport = established(max_pdu_bytes=max_pdu_bytes)
    await together.send_messages(CT_ID, store_command(), data_sets)
    assert transport.writes < 10 < apart_transport.writes
    assert transport.taken() == apart_transport.taken()
    assert not together.is_sending
    apart.close_now()
    together.close_now()


async def test_messages_after_the_end_are_refused() -> None:
    bench, _ = established()
    bench.close_now()
    with pytest.raises(AssociationEnded):
        await bench.send_messages(CT_ID, store_command(), [b"ab"])
    assert not bench.is_sending


async def test_a_response_goes_to_its_request_and_one_to_none_aborts() -> None:
    bench, transport = established()
    waiting = bench._expect_response(request := echo_command())
    bench.send_command(CT_ID, request)
    bench._await_response()
    assert bench.is_running(AssociationTimer.RESPONSE) == [True]
    response = {"CommandField": 0x8030, "MessageIDBeingRespondedTo": 1, "CommandDataSetType": 0x0101, "Status": 0}
    deliver(bench, message(CT_ID, response))
    assert (await waiting).command["Status"] == 0
    transport.taken()
    deliver(bench, message(CT_ID, response))
    assert transport.taken() == encode_abort(2, 5)
    assert bench.is_over


async def test_the_end_fails_what_waits_for_a_response() -> None:
    bench, _ = established()
    waiting = bench._expect_response(echo_command())
    bench.connection_lost(OSError("reset"))
    with pytest.raises(AssociationEnded, match="connection lost: reset"):
        await waiting


@pytest.mark.parametrize(
    ("written_bytes", "asked", "progress_bytes"),
    [(100, 0, 100), (16 * 1024 - 1, 0, 16 * 1024 - 1), (16 * 1024, 1, 0), (1024**2, 1, 0)],
)
async def test_what_a_request_had_sent_when_its_response_was_awaited(
    written_bytes: int, asked: int, progress_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that alone could put the time limit off are counted from the time of waiting on, as the system says."""
    bench, _ = established()
    bench._write(bytes(1000))
    before_bytes = bench._outflow.written_bytes
    bench._write(bytes(written_bytes))
    questions: list[Any] = []

    def nothing_under_way(transport: Any) -> int:
        questions.append(transport)
        return 0

    monkeypatch.setattr("gateway.dimse.protocol.flow._unacknowledged_bytes", nothing_under_way)
    bench._await_response(before_bytes)
    assert len(questions) == asked
    assert bench.is_running(AssociationTimer.RESPONSE) == [True]
    assert bench._outflow.progress_bytes() == progress_bytes
    bench._deadlines.stop_all()


async def test_bytes_that_arrive_for_a_small_request_do_not_put_its_time_limit_off() -> None:
    bench, _ = established()
    before_bytes = bench._outflow.written_bytes
    bench._write(bytes(8000))
    bench._await_response(before_bytes)
    bench._expired(AssociationTimer.RESPONSE)
    assert bench.is_over
