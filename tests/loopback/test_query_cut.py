"""C-MOVE and C-GET cut short: C-CANCEL, A-RELEASE, A-ABORT at exact moments: counters, lists, nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from gateway.dimse.protocol import cancellation
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance, MoveDestinations
from tests.support.caller import EXPLICIT, MR
from tests.support.dimse.acceptor_rig import read_message
from tests.support.dimse.query_rig import (
    Answer,
    Requestor,
    cancel,
    counters,
    encoded,
    image,
    request,
    serving,
    storing,
    uid,
)
from tests.support.processes import GUARD_S

NUMBER = 10
SERVICES = ["move", "get"]


class Retrieve:
    """A handler of a given manner that announces `NUMBER` instances; knows that it was closed."""

    def __init__(self, service: str, destination: Any = ("127.0.0.1", 104)) -> None:
        self.head = (destination,) if service == "move" else ()
        self.is_closed = threading.Event()
        self.bodies: list[Any] = []

    def looking(self, event: Any) -> Iterator[Any]:
        """As pynetdicom documents it."""
        try:
            yield from (*self.head, NUMBER)
            for number in range(NUMBER):
                if event.is_cancelled:
                    yield 0xFE00, None
                    return
                yield 0xFF00, image(number)
        finally:
            self.is_closed.set()

    async def careless(self, event: Any) -> AsyncIterator[Any]:
        """Never looks."""
        try:
            for item in (*self.head, NUMBER):
                yield item
            for number in range(NUMBER):
                yield 0xFF00, self.instance(number)
        finally:
            self.is_closed.set()

    async def waiting(self, event: Any) -> AsyncIterator[Any]:
        """Waits for something else after the second instance."""
        try:
            for item in (*self.head, NUMBER):
                yield item
            for number in range(2):
                yield 0xFF00, self.instance(number)
            await asyncio.Event().wait()
        finally:
            self.is_closed.set()

    def instance(self, number: int) -> EncodedInstance:
        body = Body(encoded(number).body)
        self.bodies.append(body)
        return EncodedInstance(MR, uid(number), EXPLICIT, body)


class Body:
    """Knows that it was closed."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.is_closed = False

    @property
    def length_bytes(self) -> int:
        return int(self._body.length_bytes)

    def view(self) -> memoryview:
        assert not self.is_closed
        view: memoryview = self._body.view()
        return view

    def chunks(self, size_bytes: int) -> Iterator[memoryview]:
        assert not self.is_closed
        yield from self._body.chunks(size_bytes)

    def close(self) -> None:
        self.is_closed = True


class Destination:
    """Holds back its answer to instance `hold`, until `go_on` is set."""

    def __init__(self, hold: int) -> None:
        self.hold = hold
        self.go_on = asyncio.Event()
        self.is_holding = asyncio.Event()
        self.answered = asyncio.Event()
        """Set when an answer is about to leave."""

    async def __call__(self, event: Any) -> int:
        if event.sop_instance_uid == uid(self.hold):
            self.is_holding.set()
            await self.go_on.wait()
        self.answered.set()
        return 0


MANNERS = ["looking", "careless", "waiting"]


async def fifty(once: Callable[[], Awaitable[None]]) -> None:
    for _ in range(5):
        await asyncio.gather(*(once() for _ in range(10)))


async def until(event: threading.Event, seconds: float = GUARD_S) -> None:
    assert await asyncio.to_thread(event.wait, seconds)


# --- C-CANCEL --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("service", SERVICES)
async def test_early_cancel_50_of_50(service: str, manner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The C-CANCEL is in the same write as the request: nothing is sent."""
    if manner == "looking":  # its thread gives the number of instances in time, however busy the machine is
        monkeypatch.setattr(cancellation, "CANCEL_GRACE_S", GUARD_S)

    async def once() -> None:
        retrieve = Retrieve(service)
        handlers: Any = {service: getattr(retrieve, manner)}
        async with serving(**handlers) as port, await Requestor.open(port) as peer:
            peer.send(request(service, 9) + cancel(service, 9))
            answer = await peer.answer()
            assert answer.elements == {"Status": 0xFE00, **counters(0, 0, 0, remaining=NUMBER)}
            assert not answer.identifier
            await until(retrieve.is_closed)
            assert all(body.is_closed for body in retrieve.bodies)

    await fifty(once)


@pytest.mark.campaign
@pytest.mark.parametrize("manner", MANNERS)
async def test_move_cancelled_between_instances_50_of_50(manner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The destination has answered the second instance when the C-CANCEL is seen."""
    if manner != "waiting":
        monkeypatch.setattr(cancellation, "CANCEL_GRACE_S", GUARD_S)

    async def once() -> None:
        destination = Destination(hold=1)
        async with storing(destination) as there:
            retrieve = Retrieve("move", ("127.0.0.1", there))
            async with serving(move=getattr(retrieve, manner)) as port, await Requestor.open(port) as peer:
                peer.ask("move", 9)
                assert (await peer.answer()).elements == {"Status": 0xFF00, **counters(1, 0, 0, remaining=NUMBER - 1)}
                await destination.is_holding.wait()
                peer.cancel("move", 9)
                destination.go_on.set()
                answers = await peer.answers()
                _check_cut(answers, sent=2)
                await until(retrieve.is_closed)

    await fifty(once)


@pytest.mark.parametrize("is_encoded", [True, False], ids=["bytes", "data set"])
async def test_what_one_of_two_destinations_has_counts_when_the_other_is_cut_off(is_encoded: bool) -> None:
    """The first has confirmed, the second never answers."""
    fast, slow = Destination(hold=99), Destination(hold=0)
    async with storing(fast) as one, storing(slow) as two:

        def move(event: Any) -> Iterator[Any]:
            yield [("127.0.0.1", one, {"ae_title": "ONE"}), ("127.0.0.1", two, {"ae_title": "TWO"})]
            yield NUMBER
            yield 0xFF00, encoded(0) if is_encoded else image(0)

        async with serving(move=move) as port, await Requestor.open(port) as peer:
            peer.ask("move", 9)
            await slow.is_holding.wait()
            await fast.answered.wait()
            peer.cancel("move", 9)
            (final,) = await peer.answers()
            assert final.elements == {"Status": 0xFE00, **counters(1, 1, 0, remaining=2 * NUMBER - 2)}
            assert final.failed_uids == [uid(0)]
            slow.go_on.set()


def _check_cut(answers: list[Answer], sent: int) -> None:
    """The C-CANCEL may be seen before or after the answer to the last sub-operation; one more may have been begun."""
    final = answers[-1]
    assert final.status == 0xFE00
    completed = final.elements["NumberOfCompletedSuboperations"]
    assert sent <= completed <= sent + 1
    assert final.elements == {"Status": 0xFE00, **counters(completed, 0, 0, remaining=NUMBER - completed)}
    assert not final.identifier


@pytest.mark.campaign
@pytest.mark.parametrize("manner", MANNERS)
async def test_move_cancelled_while_a_destination_is_silent_50_of_50(manner: str) -> None:
    """The outcome of the instance that is on its way is not known: it has failed, and is listed."""

    async def once() -> None:
        destination = Destination(hold=1)
        async with storing(destination) as there:
            retrieve = Retrieve("move", ("127.0.0.1", there))
            async with serving(move=getattr(retrieve, manner)) as port, await Requestor.open(port) as peer:
                peer.ask("move", 9)
                assert (await peer.answer()).status == 0xFF00
                await destination.is_holding.wait()
                peer.cancel("move", 9)
                final = await peer.final()
                assert final.elements == {"Status": 0xFE00, **counters(1, 1, 0, remaining=NUMBER - 2)}
                assert final.failed_uids == [uid(1)]
                await until(retrieve.is_closed)
                assert all(body.is_closed for body in retrieve.bodies)
                destination.go_on.set()

    await fifty(once)


@pytest.mark.campaign
@pytest.mark.parametrize("is_answered", [True, False], ids=["answered", "silent"])
@pytest.mark.parametrize("manner", MANNERS)
async def test_get_cancelled_in_a_sub_operation_50_of_50(
    manner: str, is_answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_answered and manner != "waiting":  # the answer comes in time, however busy the machine is
        monkeypatch.setattr(cancellation, "CANCEL_GRACE_S", GUARD_S)
    grace_s, side_by_side = cancellation.CANCEL_GRACE_S, asyncio.Barrier(10)

    async def once() -> None:
        monkeypatch.setattr(cancellation, "CANCEL_GRACE_S", grace_s)
        retrieve = Retrieve("get")
        async with serving(get=getattr(retrieve, manner)) as port, await Requestor.open(port) as peer:
            peer.ask("get", 9)
            command, _, _ = await read_message(peer)
            peer.accept_store(command)
            assert (await peer.answer()).elements == {"Status": 0xFF00, **counters(1, 0, 0, remaining=NUMBER - 1)}
            command, _, _ = await read_message(peer)
            assert command["AffectedSOPInstanceUID"] == uid(1)
            peer.cancel("get", 9)
            if is_answered:
                peer.accept_store(command)
            final = await peer.answer()
            done = (2, 0) if is_answered else (1, 1)
            assert final.elements == {"Status": 0xFE00, **counters(*done, 0, remaining=NUMBER - 2)}
            assert final.failed_uids == ([] if is_answered else [uid(1)])
            await until(retrieve.is_closed)
            if not is_answered:
                peer.accept_store(command)  # late: nobody minds
            await side_by_side.wait()
            monkeypatch.setattr(cancellation, "CANCEL_GRACE_S", GUARD_S)  # for the number of instances of the next one
            peer.send(request("get", 10) + cancel("get", 10))
            assert (await peer.answer()).elements == {"Status": 0xFE00, **counters(0, 0, 0, remaining=NUMBER)}

    await fifty(once)


async def test_cancel_of_many_in_work() -> None:
    destination = Destination(hold=0)
    async with storing(destination) as there:
        retrieve = Retrieve("move", MoveDestinations([("127.0.0.1", there)], associations=3))
        async with serving(move=retrieve.careless) as port, await Requestor.open(port) as peer:
            peer.ask("move")
            while (answer := await peer.answer()).elements["NumberOfRemainingSuboperations"] > 1:
                assert answer.status == 0xFF00
            peer.cancel("move")  # all but the first are done, and that one is held
            final = await peer.final()
            assert final.elements == {"Status": 0xFE00, **counters(NUMBER - 1, 1, 0, remaining=0)}
            assert final.failed_uids == [uid(0)]
            assert all(body.is_closed for body in retrieve.bodies)
            destination.go_on.set()


# --- A-RELEASE, A-ABORT, a lost connection ---------------------------------------------------------------------------


async def _to_the_middle(service: str, peer: Requestor, destination: Destination) -> None:
    """One sub-operation is done, the next one has no answer."""
    peer.ask(service, 9)
    if service == "get":
        command, _, _ = await read_message(peer)
        peer.accept_store(command)
    assert (await peer.answer()).status == 0xFF00
    if service == "get":
        await read_message(peer)
    else:
        await destination.is_holding.wait()


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("service", SERVICES)
async def test_release_in_the_middle(service: str, manner: str) -> None:
    destination = Destination(hold=1)
    async with storing(destination) as there:
        retrieve = Retrieve(service, ("127.0.0.1", there))
        handlers: Any = {service: getattr(retrieve, manner)}
        async with serving(**handlers) as port, await Requestor.open(port) as peer:
            await _to_the_middle(service, peer, destination)
            async with asyncio.timeout(GUARD_S):
                peer.send(RELEASE_RQ)
                assert await peer.pdu() == RELEASE_RP
            await until(retrieve.is_closed)
            assert all(body.is_closed for body in retrieve.bodies)
        destination.go_on.set()


@pytest.mark.parametrize("how", ["abort", "closed"])
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("service", SERVICES)
async def test_abort_in_the_middle(service: str, manner: str, how: str) -> None:
    destination = Destination(hold=1)
    async with storing(destination) as there:
        retrieve = Retrieve(service, ("127.0.0.1", there))
        handlers: Any = {service: getattr(retrieve, manner)}
        async with serving(**handlers) as port:
            async with await Requestor.open(port) as peer:
                await _to_the_middle(service, peer, destination)
                if how == "abort":
                    peer.send(encode_abort(0, 0))
            await until(retrieve.is_closed)
            async with asyncio.timeout(GUARD_S):
                while not all(body.is_closed for body in retrieve.bodies):
                    await asyncio.sleep(0)
        destination.go_on.set()


@pytest.mark.parametrize("service", SERVICES)
async def test_release_before_the_operation_begins(service: str) -> None:
    """In one write with the request, behind another one."""
    retrieve = Retrieve(service)
    handlers: Any = {service: retrieve.careless}
    async with serving(**handlers) as port, await Requestor.open(port) as peer:
        peer.send(request(service, 9) + RELEASE_RQ)
        async with asyncio.timeout(GUARD_S):
            assert await peer.pdu() == RELEASE_RP


async def test_release_while_a_large_instance_is_being_sent() -> None:
    """What was begun is sent to its end, then the release is answered."""

    async def get(event: Any) -> AsyncIterator[Any]:
        yield 2
        yield 0xFF00, encoded(1, 4_000_000)
        yield 0xFF00, encoded(2)

    async with serving(get=get) as port, await Requestor.open(port) as peer:
        peer.ask("get")
        received = [await peer.pdu()]
        peer.send(RELEASE_RQ)
        while (pdu := await peer.pdu())[0] == 4:
            received.append(pdu)
        assert pdu == RELEASE_RP
        assert sum(map(len, received)) > 4_000_000
        assert received[-1][11] & 2  # the last fragment


async def test_no_task_and_no_thread_is_left() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    for manner in MANNERS:
        destination = Destination(hold=1)
        async with storing(destination) as there:
            retrieve = Retrieve("move", ("127.0.0.1", there))
            async with serving(move=getattr(retrieve, manner)) as port, await Requestor.open(port) as peer:
                await _to_the_middle("move", peer, destination)
                peer.cancel("move", 9)
                assert (await peer.final()).status == 0xFE00
            destination.go_on.set()
    async with asyncio.timeout(GUARD_S):
        while _handler_threads(before):
            await asyncio.sleep(0.01)
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)


def _handler_threads(before: set[int | None]) -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.ident not in before and thread.name == "dimse-handler"
    ]
