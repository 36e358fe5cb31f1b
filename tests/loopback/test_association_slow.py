"""Peers that send or read too slowly, and those that go on when everything is over."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from gateway.dimse.protocol.flow import LEFTOVER_BYTES, PROGRESS_BYTES
from gateway.dimse.protocol.message import encode
from gateway.dimse.protocol.pdata import LAST
from gateway.dimse.protocol.upper_layer import encode_abort
from gateway.model.listener import Timers
from gateway.ports.errors import DestinationDown
from tests.support.dimse.acceptor_rig import accept, acceptor, open_to, store
from tests.support.dimse.rig import CT_ID, Peer, item, message, p_data, serving, store_command
from tests.support.processes import GUARD_S, until

USER = encode_abort(0, 0)
PATIENT = Timers(association_s=120.0, dimse_s=120.0, idle_s=120.0, progress_s=120.0)


def patient(**more: float) -> Timers:
    """Only what is named here may expire in a test."""
    return Timers(**{**dict.fromkeys(("association_s", "dimse_s", "idle_s", "progress_s"), 120.0), **more})


async def trickle(peer: Peer) -> None:
    """A data set, one byte after the other."""
    peer.send(p_data(item(CT_ID, 3, encode(store_command()))))
    peer.send(p_data(item(CT_ID, 0, bytes(100_000)))[:12])
    with contextlib.suppress(OSError):
        while True:
            peer.send(b"\0")
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "timers", [patient(progress_s=0.5), patient(message_s=0.5)], ids=["too slow", "too long in all"]
)
async def test_a_trickle_inside_a_pdu_is_aborted(timers: Timers) -> None:
    async with serving(timers=timers) as running, await Peer.associated(running.port) as peer:
        sending = asyncio.create_task(trickle(peer))
        assert await peer.pdu(GUARD_S) == USER
        sending.cancel()
        assert not running.server.associations


@pytest.mark.campaign
async def test_a_slow_line_is_not_aborted_while_it_moves() -> None:
    """In all it takes several times `progress`."""
    async with serving(timers=patient(progress_s=2.0)) as running, await Peer.associated(running.port) as peer:
        peer.send(p_data(item(CT_ID, 3, encode(store_command()))))
        for index in range(8):
            peer.send(p_data(item(CT_ID, LAST if index == 7 else 0, bytes(PROGRESS_BYTES))))
            await asyncio.sleep(0.4)
        assert (await peer.response())["Status"] == 0


@pytest.mark.campaign
async def test_the_limit_of_one_message_is_not_that_of_many() -> None:
    """Each read ends in the middle of a message, and none takes long."""
    whole = message(CT_ID, store_command(), b"data" * 10)
    async with serving(timers=patient(message_s=2.0)) as running, await Peer.associated(running.port) as peer:
        peer.send(whole[:100])
        for _ in range(8):
            await asyncio.sleep(0.4)
            peer.send(whole[100:] + whole[:100])
            assert (await peer.response())["Status"] == 0


async def test_bytes_without_end_after_an_abort_are_not_read() -> None:
    async with serving(timers=PATIENT) as running, await Peer.associated(running.port) as peer:
        (association,) = running.server.associations
        peer.send(b"\xff\0\xff\xff\xff\xff")
        assert (await peer.pdu())[:1] == b"\7"
        sent = 0
        with contextlib.suppress(OSError):
            async with asyncio.timeout(GUARD_S):
                while sent < 100 * LEFTOVER_BYTES:
                    peer.send(bytes(1 << 20))
                    sent += 1 << 20
                    await peer.writer.drain()
        await until(lambda: not running.server.has_connections)
        assert association._inflow.received_bytes <= LEFTOVER_BYTES + 1024


async def test_what_was_under_way_before_an_abort_is_taken_so_that_the_abort_is_read() -> None:
    async with serving(timers=PATIENT) as running, await Peer.associated(running.port) as peer:
        peer.send(b"\xff\0\xff\xff\xff\xff" + bytes(4 << 20))
        assert await peer.pdu() == encode_abort(2, 1)
        assert running.server.has_connections


# --- peers that we send to ----------------------------------------------------------------------------------------


def small_buffers(peer: Peer) -> None:
    connection = peer.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)


@pytest.mark.campaign
async def test_a_peer_that_reads_slowly_is_waited_for() -> None:
    """Long after the last write the response cannot have come: what was written is still under way."""

    async def script(peer: Peer) -> None:
        small_buffers(peer)
        await accept(peer)
        control = 1
        while control != LAST:  # each PDU has one fragment
            control = (await peer.pdu(GUARD_S))[11]
            await asyncio.sleep(0.1)
        peer.send(message(CT_ID, {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": 0}))
        with contextlib.suppress(OSError):
            await peer.pdu(GUARD_S)

    async with acceptor(script, timers=patient(dimse_s=1.5, progress_s=2.0)) as peer:
        association = await open_to(peer)
        assert (await store(association, bytes(600_000))).status == 0
        association.close_now()


@pytest.mark.campaign
async def test_a_peer_that_reads_a_byte_now_and_then_is_let_go() -> None:
    is_over = asyncio.Event()

    async def script(peer: Peer) -> None:
        small_buffers(peer)
        await accept(peer)
        while not is_over.is_set():
            await peer.reader.read(1)
            await asyncio.sleep(0.05)

    async with acceptor(script, timers=patient(dimse_s=1.0, progress_s=1.0)) as peer:
        with pytest.raises(DestinationDown, match="reads too slowly"):
            await store(await open_to(peer), bytes(32 * 1024**2))
        is_over.set()
