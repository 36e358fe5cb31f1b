"""The upper layer of one association on a transport in memory."""

from __future__ import annotations

import asyncio

import pytest

from gateway.dimse.protocol.connection import ReadingHeld
from gateway.dimse.protocol.deadlines import AssociationTimer
from gateway.dimse.protocol.flow import LEFTOVER_BYTES
from gateway.dimse.protocol.upper_layer import (
    RELEASE_RP,
    RELEASE_RQ,
    Abort,
    AssociateRequestPDU,
    UpperLayerEvent,
    UpperLayerState,
    encode_abort,
)
from gateway.dimse.protocol.upper_layer_provider import ABORTED_BY_USER, UpperLayerProvider, describe_abort
from gateway.model.listener import Limits, Timers
from tests.support.dimse.memory_transport import MemoryTransport, deliver
from tests.support.dimse.rig import item, p_data

ACCEPT = b"\x02\0\0\0\0\0"
TIMERS = Timers(association_s=600.0, dimse_s=600.0)


class Provider(UpperLayerProvider):
    """Keeps what the subclass would make messages of."""

    holds_reading_while_writing = False

    def __init__(self) -> None:
        super().__init__(is_requestor=False, timers=TIMERS, limits=Limits())
        self.values: list[tuple[int, int, bytes]] = []
        self.calls: list[str] = []

    def _fragment(self, context_id: int, control: int, data: memoryview) -> None:
        self.values.append((context_id, control, bytes(data)))

    def _watch_receiving(self) -> None:
        self.calls.append("read")

    def _discard_messages(self, reason: str) -> None:
        self.calls.append(f"discard: {reason}")

    def _association_ended(self, reason: str) -> None:
        self.calls.append(f"ended: {reason}")

    def expire(self, timer: AssociationTimer) -> None:
        self._expired(timer)

    @property
    def state(self) -> UpperLayerState:
        return self._upper.state


def accepted() -> tuple[Provider, MemoryTransport]:
    """An acceptor's side whose association is established."""
    provider, transport = Provider(), MemoryTransport()
    provider.connection_made(transport)
    provider._event(UpperLayerEvent.TRANSPORT_INDICATION)
    provider._event(UpperLayerEvent.ASSOCIATE_RQ_PDU, AssociateRequestPDU(1, None))
    provider._event(UpperLayerEvent.ASSOCIATE_ACCEPT, ACCEPT)
    assert transport.taken() == ACCEPT
    provider._unhold(ReadingHeld.TRANSPORT)
    provider.calls.clear()
    return provider, transport


async def test_values_go_to_the_subclass_and_the_time_limits_are_set_after_each_read() -> None:
    provider, transport = accepted()
    deliver(provider, p_data(item(1, 3, b"ab"), item(3, 2, b"cd")) + p_data(item(1, 2, b"ef"))[:14])
    assert provider.values == [(1, 3, b"ab"), (3, 2, b"cd"), (1, 2, b"ef")]
    assert provider.calls == ["read"]
    assert transport.taken() == b""


async def test_a_release_is_answered_and_nothing_is_read_after_the_end() -> None:
    provider, transport = accepted()
    deliver(provider, RELEASE_RQ)
    assert transport.taken() == RELEASE_RP
    assert provider.is_over
    assert not provider.is_established
    assert provider.calls[:2] == ["discard: released", "ended: released"]
    provider.abort()  # over once is over
    assert [call for call in provider.calls if call.startswith("ended")] == ["ended: released"]


async def test_a_release_of_ours_ends_with_its_answer() -> None:
    provider, transport = accepted()
    provider._request_release()
    assert transport.taken() == RELEASE_RQ
    assert not provider.is_over
    deliver(provider, RELEASE_RP)
    assert provider.calls[:2] == ["discard: released", "ended: released"]
    assert transport.is_closing()


@pytest.mark.parametrize(
    ("pdu", "detail"),
    [(encode_abort(0, 0), ABORTED_BY_USER), (encode_abort(2, 2), "aborted by the service provider: unexpected pdu")],
)
async def test_an_abort_of_the_peer_is_described(pdu: bytes, detail: str) -> None:
    provider, transport = accepted()
    deliver(provider, pdu)
    assert f"ended: {detail}" in provider.calls
    assert transport.is_closing()


@pytest.mark.parametrize(
    ("abort", "words"),
    [(Abort(2, 3), "aborted by the service provider: reserved"), (Abort(1, 0), "not specified")],
)
def test_an_abort_in_words(abort: Abort, words: str) -> None:
    assert describe_abort(abort).endswith(words)


async def test_unreadable_bytes_abort_as_the_provider() -> None:
    provider, transport = accepted()
    deliver(provider, b"\x55\0\0\0\0\0")
    assert transport.taken() == encode_abort(2, 1)
    assert provider.state is UpperLayerState.AWAITING_CLOSE
    assert any(call.startswith("ended: PDU type 0x55") for call in provider.calls)
    deliver(provider, p_data(item(1, 3, b"ab")))
    assert provider.values == []


async def test_a_peer_that_goes_on_sending_after_the_end_is_cut_off() -> None:
    provider, transport = accepted()
    provider.abort()
    for _ in range(LEFTOVER_BYTES // 2**17):
        deliver(provider, bytes(2**17))
    assert not transport.is_aborted
    deliver(provider, b"\0")
    assert transport.is_aborted


@pytest.mark.parametrize(
    ("timer", "reason", "is_cut"),
    [
        (AssociationTimer.RECEIVING, "the peer stopped in the middle of a message", False),
        (AssociationTimer.IDLE, "idle for too long", False),
        (AssociationTimer.RELEASE, "no A-RELEASE response in time", True),
    ],
)
async def test_a_time_limit_that_is_over_aborts(timer: AssociationTimer, reason: str, is_cut: bool) -> None:
    provider, transport = accepted()
    provider.expire(timer)
    assert transport.taken() == encode_abort(0, 0)
    assert f"ended: {reason}" in provider.calls
    assert transport.is_aborted is is_cut


async def test_a_peer_that_reads_on_slowly_is_given_another_time_limit() -> None:
    provider, _ = accepted()
    provider._outflow.mark()
    provider._write(bytes(1024**2))  # and the transport has nothing left of it
    over = []
    for _ in range(2):
        provider.expire(AssociationTimer.RESPONSE)
        over.append((provider.is_over, provider._deadlines.is_running(AssociationTimer.RESPONSE)))
    assert over == [(False, True), (True, False)]


async def test_the_end_of_the_connection_is_the_end_of_the_association() -> None:
    provider, _ = accepted()
    provider.connection_lost(None)
    assert "ended: the peer closed the connection" in provider.calls
    assert provider.is_closed
    await asyncio.wait_for(provider.wait_closed(), 60)
