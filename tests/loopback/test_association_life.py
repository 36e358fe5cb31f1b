"""How accepted associations end: release, abort, timers, limits, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from typing import Any

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation

from gateway.dimse.acceptor.admission import Admitted, Rejected
from gateway.dimse.protocol.message import encode
from gateway.dimse.protocol.pdata import LAST
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.model.associate import AssociateKeywords, ProposedContext, Role
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Timers
from gateway.network.offences import BURST
from tests.support.dimse.rig import (
    CT,
    CT_ID,
    ECHO_ID,
    IMPLICIT,
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
from tests.support.fakes.meter import MemoryMeter
from tests.support.processes import GUARD_S

USER = encode_abort(0, 0)


# --- release, abort, timers ---------------------------------------------------------------------------------------


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
        await asyncio.wait_for(ended.wait(), GUARD_S)


SLOW = Timers(association_s=120.0, dimse_s=120.0, idle_s=120.0)


async def test_artim_closes_a_silent_connection() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, association_s=0.2)) as running,
        await Peer.connect(running.port) as peer,
    ):
        peer.send(associate_rq()[:50])
        assert await peer.is_closed()


async def test_artim_closes_what_the_peer_leaves_open_after_release() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, association_s=1.0)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP
        assert await peer.is_closed()


async def test_an_idle_association_is_aborted() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, idle_s=1.0)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(ECHO_ID, echo_command()))
        await peer.response()
        assert await peer.pdu() == USER


@pytest.mark.campaign
async def test_a_long_handler_is_not_idle() -> None:
    async def store(event: Any) -> int:
        await asyncio.sleep(2.5)
        return 0

    async with (
        serving(store, timers=dataclasses.replace(SLOW, idle_s=1.0, dimse_s=1.0)) as running,
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


@pytest.mark.campaign
async def test_a_message_may_take_longer_than_its_limits_while_it_moves() -> None:
    async with (
        serving(timers=dataclasses.replace(SLOW, dimse_s=2.0, idle_s=2.0)) as running,
        await Peer.associated(running.port) as peer,
    ):
        peer.send(message(CT_ID, store_command())[:0] + p_data(item(CT_ID, 3, encode(store_command()))))
        for index in range(6):
            await asyncio.sleep(0.5)
            peer.send(p_data(item(CT_ID, LAST if index == 5 else 0, b"data")))
        assert (await peer.response())["Status"] == 0


@pytest.mark.campaign
async def test_a_peer_that_stops_reading_is_let_go() -> None:
    """It goes on sending requests and never reads an answer."""
    async with (
        serving(timers=dataclasses.replace(SLOW, dimse_s=0.3, association_s=5.0)) as running,
        await Peer.associated(running.port) as peer,
    ):
        (association,) = running.server.associations
        assert association._transport is not None
        for transport, buffer in (  # of the answers alone: what the system would take lasts for long
            (peer.writer.transport, socket.SO_RCVBUF),
            (association._transport, socket.SO_SNDBUF),
        ):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 65536)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        requests = message(ECHO_ID, echo_command()) * 2000
        with contextlib.suppress(OSError):
            async with asyncio.timeout(GUARD_S):
                while running.server.associations:
                    peer.send(requests)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await peer.writer.drain()
        async with asyncio.timeout(GUARD_S):  # the connection ends a moment before the association does
            while running.server.associations:
                await asyncio.sleep(0.01)


async def test_silent_connections_make_room_for_new_ones() -> None:
    """From the same host, with every place taken by connections that say nothing."""
    limits = Limits(unassociated=8, unassociated_per_host=4)
    meter = MemoryMeter()
    async with serving(limits=limits, timers=SLOW, meter=meter) as running, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(await Peer.connect(running.port)) for _ in range(20)]
        assert await silent[0].is_closed()
        async with await Peer.associated(running.port) as honest:
            honest.send(message(ECHO_ID, echo_command()))
            assert (await honest.response())["Status"] == 0
        assert meter.total("gateway_connections_displaced_total") >= 16


async def test_a_host_that_is_rejected_again_and_again_is_closed_at_once_for_a_while() -> None:
    def admission(facts: AssociationFacts) -> Admitted:
        if facts.calling_ae_title == "NOBODY":
            raise Rejected(1, 1, 3, "who?")
        return Admitted(None)

    meter = MemoryMeter()
    async with serving(admission=admission, timers=SLOW, meter=meter) as running:
        async with await Peer.associated(running.port) as honest:
            answers = []
            while b"" not in answers:  # a machine that is busy gives the host time to be forgiven
                async with await Peer.connect(running.port) as peer:
                    peer.send(associate_rq(calling="NOBODY"))
                    answers.append((await peer.pdu())[:1])
            assert set(answers) == {b"\3", b""}
            assert len(answers) > BURST
            honest.send(message(ECHO_ID, echo_command()))
            assert (await honest.response())["Status"] == 0
        assert meter.total("gateway_connections_refused_total") > 0


async def test_associations_that_are_over_are_not_kept_for_ever() -> None:
    """Rejected requestors that never close do not keep others out."""
    limits = Limits(associations_per_peer=1, unassociated=8, unassociated_per_host=4)
    async with serving(limits=limits, timers=SLOW) as running, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(await Peer.associated(running.port))
        for _ in range(20):
            rejected = await stack.enter_async_context(await Peer.connect(running.port))
            rejected.send(associate_rq())
            assert (await rejected.pdu())[0] == 3
        await stack.enter_async_context(await Peer.associated(running.port, calling="OTHER"))
        assert len(running.server.associations) == 2


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
        peer.send(associate_rq(contexts=contexts, associate=AssociateKeywords(roles=roles, async_operations=(4, 4))))
        accept = await peer.pdu()
        assert (
            b"\x54\0" + (len(CT) + 4).to_bytes(2, "big") + len(CT).to_bytes(2, "big") + CT.encode() + b"\1\0" in accept
        )
        assert b"\x53\0\0\4\0\4\0\1" in accept


async def test_stock_pynetdicom_is_granted_a_window() -> None:
    def ask(port: int) -> tuple[tuple[int, int], list[int]]:
        item = AsynchronousOperationsWindowNegotiation()
        item.maximum_number_operations_invoked, item.maximum_number_operations_performed = 20, 5
        entity = AE("TESTER")
        entity.add_requested_context(VERIFICATION)
        assoc = entity.associate("127.0.0.1", port, ae_title="GATEWAY", ext_neg=[item])
        statuses = [assoc.send_c_echo().Status for _ in range(2)]
        assoc.release()
        return assoc.acceptor.asynchronous_operations, statuses

    async with serving() as running:
        assert await asyncio.to_thread(ask, running.port) == ((8, 1), [0, 0])


async def test_a_peer_has_as_many_requests_as_it_was_granted() -> None:
    gate = asyncio.Event()

    async def store(event: Any) -> int:
        await gate.wait()
        return 0xA700 if event.message_id % 2 else 0

    window = AssociateKeywords(async_operations=(0, 0))
    async with serving(store) as running, await Peer.associated(running.port, associate=window) as peer:
        for message_id in range(1, 9):
            peer.send(message(CT_ID, store_command(message_id), b"data"))
        peer.send(message(ECHO_ID, echo_command(9)))  # what comes behind them is read as well
        gate.set()
        answers = [await peer.response() for _ in range(9)]
    assert [answer["MessageIDBeingRespondedTo"] for answer in answers] == list(range(1, 10))
    assert [answer["Status"] for answer in answers] == [0xA700, 0] * 4 + [0]
