"""C-FIND, C-MOVE and C-GET as an SCU: our server, stock pynetdicom, and peers that break the rules."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from gateway.dimse.protocol.identifiers import encode_data_set
from gateway.dimse.protocol.message import Command
from gateway.dimse.protocol.upper_layer import RELEASE_RP, encode_abort
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.incoming_stores import IncomingStore
from gateway.dimse.requestor.query_contexts import as_store_scp, query_contexts
from gateway.dimse.requestor.requestor_association import RequestorAssociation, associate
from gateway.dimse.requestor.response import Response
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses, NotAllowed
from tests.support.caller import EXPLICIT, MR, data_set
from tests.support.dimse.acceptor_rig import accept, acceptor, read_message
from tests.support.dimse.one_at_a_time import OneAtATime
from tests.support.dimse.query_rig import (
    EVERYTHING,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    encoded,
    failed_list,
    image,
    match,
    serving,
    storing,
    uid,
)
from tests.support.dimse.rig import TIMERS, message
from tests.support.dimse.rig import Peer as Bytes
from tests.support.processes import GUARD_S, free_port

MODELS = (STUDY_FIND, STUDY_MOVE, STUDY_GET)


def key() -> Dataset:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "STUDY"
    wanted.StudyInstanceUID = "1.2"
    return wanted


async def open_to(peer: Peer) -> RequestorAssociation:
    peer = as_store_scp(peer, [MR])
    contexts = (*query_contexts(peer, MODELS), ProposedContext(MR, (EXPLICIT,)))
    return await associate(peer, own_ae_title="GATEWAY", contexts=contexts)


def peer_at(port: int, **more: Any) -> Peer:
    return Peer("pacs", "PACS", "127.0.0.1", port, timers=more.pop("timers", TIMERS), **more)


# --- good peers ------------------------------------------------------------------------------------------------------


async def test_find() -> None:
    def find(event: Any) -> Iterator[Any]:
        assert event.identifier == key()
        assert event.request.Priority == 1
        for number in range(500):
            yield 0xFF00, match(number)

    async with serving(find=find) as port:
        association = await open_to(peer_at(port))
        for given in (key(), encode_data_set(key(), association.identifier_syntax(STUDY_FIND))):
            async with association.c_find(given, sop_class_uid=STUDY_FIND, priority=1) as responses:
                found = [response async for response in responses]
            assert [response.status for response in found] == [0xFF00] * 500 + [0]
            assert found[7].dataset == match(7)
            assert found[7].identifier == encode_data_set(match(7), EXPLICIT)
            assert not association.is_busy
        await association.release()


@pytest.mark.campaign
async def test_a_slow_reader_holds_the_peer_up() -> None:
    sent = 0

    async def find(event: Any) -> AsyncIterator[Any]:
        nonlocal sent
        large = match(1)
        large.add_new(0x00091010, "UN", bytes(60_000))
        while sent < 2000:
            sent += 1
            yield 0xFF00, large

    async with serving(find=find) as port:
        association = await open_to(peer_at(port))
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            await anext(responses)
            before, same = -1, 0
            while same < 5:
                await asyncio.sleep(0.02)
                same = same + 1 if sent == before else 0
                before = sent
            assert sent < 1000
            assert len([response async for response in responses]) == 2000
        await association.release()


async def test_move_and_its_counters() -> None:
    async with storing(lambda event: 0xA700 if event.sop_instance_uid == uid(1) else 0) as there:

        def move(event: Any) -> Iterator[Any]:
            assert event.move_destination == "SOMEWHERE"
            yield "127.0.0.1", there
            yield 3
            for number in range(3):
                yield 0xFF00, image(number)

        async with serving(move=move) as port:
            association = await open_to(peer_at(port))
            async with association.c_move(key(), sop_class_uid=STUDY_MOVE, destination="SOMEWHERE") as responses:
                found = [response async for response in responses]
            assert [_counters(response) for response in found] == [
                (0xFF00, 2, 1, 0, 0),
                (0xFF00, 1, 1, 1, 0),
                (0xFF00, 0, 2, 1, 0),
                (0xB000, None, 2, 1, 0),
            ]
            assert found[-1].failed_sop_instance_uids == (uid(1),)
            await association.release()


def _counters(response: Response) -> tuple[Any, ...]:
    return response.status, response.remaining, response.completed, response.failed, response.warning


async def test_get() -> None:
    stored: list[tuple[str, str, bytes]] = []

    async def on_store(incoming: IncomingStore) -> int:
        await asyncio.sleep(0)
        stored.append((incoming.sop_instance_uid, incoming.transfer_syntax_uid, bytes(incoming.body.view())))
        if len(stored) == 2:
            raise NotAllowed("not this one")
        return 0xB000 if len(stored) == 3 else 0

    def get(event: Any) -> Iterator[Any]:
        yield 4
        for number in range(4):
            yield 0xFF00, encoded(number)

    async with serving(get=get) as port:
        association = await open_to(peer_at(port))
        async with association.c_get(key(), sop_class_uid=STUDY_GET, on_store=on_store) as responses:
            final = await responses.final()
        assert _counters(final) == (0xB000, None, 2, 1, 1)
        assert final.failed_sop_instance_uids == (uid(1),)
        assert stored == [(uid(number), EXPLICIT, data_set(uid(number))) for number in range(4)]
        await association.release()


async def test_cancel() -> None:
    async def find(event: Any) -> AsyncIterator[Any]:
        yield 0xFF00, match(1)
        await event.until_cancelled()
        yield 0xFE00, None

    async with serving(find=find) as port:
        association = await open_to(peer_at(port))
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            assert (await anext(responses)).is_pending
            responses.cancel()
            responses.cancel()
            assert (await responses.final()).status == 0xFE00
        assert association.is_open
        await association.release()


async def test_leaving_early_cancels_and_keeps_the_association() -> None:
    async def find(event: Any) -> AsyncIterator[Any]:
        number = 0
        while not event.is_cancelled:
            number += 1
            yield 0xFF00, match(number)
        yield 0xFE00, None

    async with serving(find=find) as port:
        association = await open_to(peer_at(port))
        for _ in range(3):
            async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
                async for _response in responses:
                    break
            assert association.is_open
            assert not association.is_busy
        await association.release()


async def test_a_task_that_is_cancelled_cancels_the_operation() -> None:
    is_asked = asyncio.Event()

    async def find(event: Any) -> AsyncIterator[Any]:
        is_asked.set()
        await event.until_cancelled()
        yield 0xFE00, None

    async with serving(find=find) as port:
        association = await open_to(peer_at(port))

        async def ask() -> None:
            async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
                await responses.final()

        task = asyncio.create_task(ask())
        await is_asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert association.is_open
        await association.release()


async def test_one_request_at_a_time() -> None:
    async with serving(find=lambda event: None) as port:
        association = await open_to(peer_at(port))
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            with pytest.raises(RuntimeError, match="one request"):
                await association.c_find(key(), sop_class_uid=STUDY_FIND).__aenter__()
            await responses.final()
        with pytest.raises(RuntimeError, match="taken already"):
            await responses.final()


async def test_what_was_not_accepted() -> None:
    async with serving(peer=Peer("tester", accept_sop_classes=(STUDY_FIND,), may=EVERYTHING)) as port:
        association = await open_to(peer_at(port))
        with pytest.raises(DestinationRefuses, match="no context for"):
            association.c_move(key(), sop_class_uid=STUDY_MOVE, destination="X")
        with pytest.raises(DestinationRefuses, match="not for C-MOVE"):
            association.c_move(key(), sop_class_uid=STUDY_FIND, destination="X")
        await association.release()


async def test_stock_pynetdicom_answers() -> None:
    """Find, move and get against pynetdicom's own server."""
    stored: list[str] = []

    def store(event: Any) -> int:
        stored.append(event.sop_instance_uid)
        return 0

    async with storing(store) as there:

        def move(event: Any) -> Iterator[Any]:
            yield "127.0.0.1", there, {"contexts": [build_context(MR, EXPLICIT)]}
            yield 2
            yield 0xFF00, image(1)
            yield 0xFF00, image(2)

        def get(event: Any) -> Iterator[Any]:
            yield 2
            yield 0xFF00, image(3)
            yield 0xFF00, image(4)

        def find(event: Any) -> Iterator[Any]:
            yield 0xFF00, match(1)
            yield 0xFF01, match(2)

        ae = AE("PACS")
        for model in MODELS:
            ae.add_supported_context(model)
        ae.add_supported_context(MR, scu_role=True, scp_role=True)
        port = free_port()
        handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_MOVE, move), (evt.EVT_C_GET, get)]
        server: Any = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        try:
            association = await open_to(peer_at(port))
            async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
                assert [response.status async for response in responses] == [0xFF00, 0xFF01, 0]
            async with association.c_move(key(), sop_class_uid=STUDY_MOVE, destination="X") as responses:
                final = await responses.final()
            assert (final.status, final.completed) == (0, 2)
            got: list[str] = []

            async def on_store(incoming: IncomingStore) -> int:
                got.append(incoming.sop_instance_uid)
                return 0

            async with association.c_get(key(), sop_class_uid=STUDY_GET, on_store=on_store) as responses:
                final = await responses.final()
            assert (final.status, final.completed) == (0, 2)
            assert got == [uid(3), uid(4)]
            await association.release()
        finally:
            await asyncio.to_thread(server.shutdown)
    assert stored == [uid(1), uid(2)]


# --- bad peers -------------------------------------------------------------------------------------------------------


def answer(command: Command, status: int | None = 0xFF00, identifier: bytes | None = None, **more: Any) -> bytes:
    elements: Command = {
        "CommandField": command["CommandField"] | 0x8000,
        "MessageIDBeingRespondedTo": command["MessageID"],
        "CommandDataSetType": 0x0101 if identifier is None else 1,
        **({} if status is None else {"Status": status}),
        **more,
    }
    return message(1, elements, identifier)


MATCH = encode_data_set(match(1), EXPLICIT)
FAULTS = {
    "wrong message ID": (lambda command: answer(command, MessageIDBeingRespondedTo=9), "no request of ours"),
    "wrong kind": (lambda command: answer(command, CommandField=0x8021), "another kind"),
    "no status": (lambda command: answer(command, None), "without Status"),
    "closed": (lambda command: b"", "closed the connection"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_response_that_cannot_be_ours(name: str) -> None:
    make: Any
    make, reason = FAULTS[name]

    async def script(peer: Bytes) -> None:
        await accept(peer, services=frozenset({"find"}))
        command, _, _ = await read_message(peer)
        peer.send(answer(command, 0xFF00, MATCH))
        peer.send(make(command))
        if name != "closed":
            await peer.pdu()

    async with acceptor(script) as there:
        association = await open_to(there)
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            assert (await anext(responses)).identifier == MATCH
            with pytest.raises(DestinationDown, match=reason):
                await responses.final()
        assert not association.is_open
        association.close_now()
        await association.wait_closed()


ABORTED = "aborted by the peer's service user"
ABORTS = {
    "at once": (False, 0, f"{ABORTED} at the C-FIND; is our AE title registered there, and may it ask"),
    "after a match": (True, 0, f"{ABORTED}$"),
    "by the provider": (False, 2, "aborted by the service provider: unrecognized pdu$"),
}


@pytest.mark.parametrize(("has_match", "source", "reason"), ABORTS.values(), ids=ABORTS)
async def test_an_abort_in_place_of_a_response(has_match: bool, source: int, reason: str) -> None:
    """Orthanc does so with AE titles that it does not know."""

    async def script(peer: Bytes) -> None:
        await accept(peer, services=frozenset({"find"}))
        command, _, _ = await read_message(peer)
        peer.send((answer(command, 0xFF00, MATCH) if has_match else b"") + encode_abort(source, 1 if source else 0))

    async with acceptor(script) as there:
        association = await open_to(there)
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            with pytest.raises(DestinationDown, match=reason):
                await responses.final()
        association.close_now()
        await association.wait_closed()


async def test_matches_without_identifier_are_counted_and_a_second_final_response_is_passed_over() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer, services=frozenset({"find"}))
        for _ in range(2):
            command, _, _ = await read_message(peer)
            peer.send(answer(command, 0xFF00))
            peer.send(answer(command, 0xFF00, b""))
            peer.send(answer(command, 0xFF00, MATCH))
            peer.send(answer(command, 0xB001))
            peer.send(answer(command, 0x0000))  # as stock pynetdicom does
        assert (await peer.pdu())[0] == 5
        peer.send(RELEASE_RP)

    async with acceptor(script) as there:
        association = await open_to(there)
        for _ in range(2):
            async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
                assert [response.status async for response in responses] == [0xFF00, 0xB001]
                assert responses.matches_lost == 2
        await association.release()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        pytest.param({"response_s": 0.1}, "did not answer in 0.1 s", id="a response"),
        pytest.param({"limit_s": 0.1}, "did not come to an end in 0.1 s", id="the whole"),
    ],
)
async def test_time_limits(limits: Any, reason: str) -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer, services=frozenset({"find"}))
        command, _, _ = await read_message(peer)
        peer.send(answer(command, 0xFF00, MATCH))
        await peer.pdu()

    async with acceptor(script) as there:
        association = await open_to(there)
        with pytest.raises(DestinationDown, match=reason):
            async with association.c_find(key(), sop_class_uid=STUDY_FIND, **limits) as responses:
                await responses.final()
        assert not association.is_open
        association.close_now()
        await association.wait_closed()


@pytest.mark.campaign
async def test_a_peer_that_never_ends_is_aborted() -> None:
    """It goes on after C-CANCEL too."""
    is_over = asyncio.Event()

    async def script(peer: Bytes) -> None:
        await accept(peer, services=frozenset({"find"}))
        command, _, _ = await read_message(peer)
        try:
            while not is_over.is_set():
                peer.send(answer(command, 0xFF00, MATCH) * 50)
                await peer.writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass

    async with acceptor(script) as there:
        association = await open_to(there)
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            taken = 0
            async for _ in responses:
                taken += 1
                if taken == 200:
                    break
        assert not association.is_open
        is_over.set()
        association.close_now()
        await association.wait_closed()


async def test_an_identifier_that_is_too_large_is_no_match() -> None:
    large = match(1)
    large.add_new(0x00091010, "UN", bytes(5_000_000))

    def find(event: Any) -> Iterator[Any]:
        yield 0xFF00, large
        yield 0xFF00, match(2)

    async with serving(find=find) as port:
        association = await open_to(peer_at(port))
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            found = [response async for response in responses]
        assert [response.identifier for response in found] == [encode_data_set(match(2), EXPLICIT), b""]
        await association.release()


async def test_requests_that_nobody_expects_are_refused() -> None:
    answered: list[Command] = []

    async def script(peer: Bytes) -> None:
        await accept(peer, services=frozenset({"find", "store"}))
        command, _, _ = await read_message(peer)
        store = {"AffectedSOPClassUID": MR, "CommandField": 1, "MessageID": 5, "CommandDataSetType": 1}
        peer.send(message(1, store, b"data"))
        answered.append((await read_message(peer))[0])
        peer.send(answer(command, 0x0000))
        await peer.pdu()
        peer.send(RELEASE_RP)

    async with acceptor(script) as there:
        association = await open_to(there)
        async with association.c_find(key(), sop_class_uid=STUDY_FIND) as responses:
            assert (await responses.final()).status == 0
        await association.release()
    assert answered[0]["Status"] == 0x0211


def test_a_failed_list_in_any_form() -> None:
    many = [f"1.2.826.0.1.3680043.8.498.1{number:036d}" for number in range(2000)]
    for uids in ([], ["1.2"], ["1.2", "1.3"], many):
        response = Response(0xB000, failed_list(uids), EXPLICIT, {})
        assert response.failed_sop_instance_uids == tuple(uids)
    assert Response(0xB000, b"\x08", EXPLICIT, {}).failed_sop_instance_uids == ()


# --- kept associations -----------------------------------------------------------------------------------------------


async def test_the_pool() -> None:
    async with serving(find=lambda event: None) as port:
        pool = AssociationPool("GATEWAY")
        peer, contexts = peer_at(port), query_contexts(peer_at(port), [STUDY_FIND])
        first = await pool.acquire(peer, contexts)
        second = await pool.acquire(peer, contexts)
        assert first is not second
        pool.release(first)
        assert await pool.acquire(peer, contexts) is first
        more = [*contexts, ProposedContext(STUDY_MOVE, (EXPLICIT,))]
        pool.release(first)
        third = await pool.acquire(peer, more)
        assert third is not first
        pool.release(third)
        assert await pool.acquire(peer, contexts) is third  # it covers the smaller need
        busy = second.c_find(key(), sop_class_uid=STUDY_FIND)
        await busy.__aenter__()
        pool.release(second)
        assert not second.is_open
        pool.release(third)
        await pool.close()
        assert not first.is_open
        assert not third.is_open


async def test_the_pool_releases_what_nobody_needs() -> None:
    async with serving(find=lambda event: None) as port:
        pool = AssociationPool("GATEWAY", idle_s=0.01)
        association = await pool.acquire(peer_at(port), query_contexts(peer_at(port), [STUDY_FIND]))
        pool.release(association)
        async with asyncio.timeout(GUARD_S):
            await association.wait_closed()
        await pool.close()


async def test_who_waits_is_given_what_comes_back() -> None:
    """A peer that serves one association at a time would let them wait until the kept one is too old."""
    async with serving(find=lambda event: None) as port:
        opening = OneAtATime()
        pool = AssociationPool("GATEWAY", associate=opening)
        peer, contexts = peer_at(port), query_contexts(peer_at(port), [STUDY_FIND])
        first = await pool.acquire(peer, contexts)
        waiting = [asyncio.create_task(pool.acquire(peer, contexts)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        pool.release(first)
        assert await waiting[1] is first
        assert not waiting[2].done()
        pool.release(first)
        assert await waiting[2] is first
        assert opening.opened == 1
        pool.release(first)
        await pool.close()


@pytest.mark.parametrize("is_rejecting", [True, False], ids=["turned away", "let wait"])
async def test_idle_associations_make_room_for_others_to_the_same_peer(*, is_rejecting: bool) -> None:
    """Asked for in another way, they cannot be the same ones."""
    async with serving(find=lambda event: None) as port:
        opening = OneAtATime(is_rejecting=is_rejecting)
        pool = AssociationPool("GATEWAY", associate=opening)
        peer, contexts = peer_at(port), query_contexts(peer_at(port), [STUDY_FIND])
        first = await pool.acquire(peer, contexts)
        pool.release(first)
        async with asyncio.timeout(GUARD_S):
            second = await pool.acquire(dataclasses.replace(peer, calling_ae_title="OTHER"), contexts)
        assert not first.is_open
        pool.release(second)
        await pool.close()
