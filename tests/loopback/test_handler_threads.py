"""Plain handlers of C-STORE and C-ECHO run in threads: one that blocks keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pynetdicom import evt

from gateway.dimse.acceptor.handler_thread import on_event_loop
from tests.support.dimse import query_rig
from tests.support.dimse.rig import CT_ID, ECHO_ID, Peer, echo_command, message, serving, store_command

GUARD_S = 60.0


class Blocking:
    """A plain handler that waits until `go_on` is set, for the instance 1.2.3 alone."""

    def __init__(self) -> None:
        self.is_waiting = threading.Event()
        self.go_on = threading.Event()
        self.threads: list[str] = []

    def __call__(self, event: Any) -> int:
        self.threads.append(threading.current_thread().name)
        if event.request.AffectedSOPInstanceUID == "1.2.3":
            self.is_waiting.set()
            assert self.go_on.wait(GUARD_S)
        return 0xB000


def store(message_id: int, uid: str) -> bytes:
    return message(CT_ID, store_command(message_id, AffectedSOPInstanceUID=uid), b"data")


async def test_a_blocking_handler_stalls_its_own_association_alone() -> None:
    handler = Blocking()
    async with (
        serving(handler) as running,
        await Peer.associated(running.port) as one,
        await Peer.associated(running.port) as two,
    ):
        one.send(store(1, "1.2.3") + store(2, "1.2.4"))
        await asyncio.to_thread(handler.is_waiting.wait, GUARD_S)
        for number in range(3):
            two.send(store(number, "1.2.5"))
            assert (await two.response())["Status"] == 0xB000
        two.send(message(ECHO_ID, echo_command(9)))
        assert (await two.response())["MessageIDBeingRespondedTo"] == 9
        assert len(handler.threads) == 4  # the second request of the first association waits for the first
        handler.go_on.set()
        assert [(await one.response())["MessageIDBeingRespondedTo"] for _ in range(2)] == [1, 2]
    assert threading.main_thread().name not in handler.threads


async def test_a_blocking_echo_handler_too() -> None:
    is_waiting, go_on = threading.Event(), threading.Event()

    def echo(event: Any) -> int:
        is_waiting.set()
        assert go_on.wait(GUARD_S)
        return 0x0000

    async with (
        serving(echo=echo) as running,
        await Peer.associated(running.port) as one,
        await Peer.associated(running.port) as two,
    ):
        one.send(message(ECHO_ID, echo_command(1)))
        await asyncio.to_thread(is_waiting.wait, GUARD_S)
        two.send(store(2, "1.2.5"))
        assert (await two.response())["Status"] == 0x0000
        go_on.set()
        assert (await one.response())["Status"] == 0x0000


async def test_the_association_ends_while_its_handler_blocks() -> None:
    """No response is waited for any more; the data set is there until the handler returns."""
    is_waiting, go_on, sizes = threading.Event(), threading.Event(), []
    is_over = threading.Event()

    def handler(event: Any) -> int:
        is_waiting.set()
        assert go_on.wait(GUARD_S)
        sizes.append(len(event.encoded_dataset(include_meta=False)))
        is_over.set()
        return 0x0000

    async with serving(handler) as running:
        async with await Peer.associated(running.port) as peer:
            peer.send(store(1, "1.2.3"))
            await asyncio.to_thread(is_waiting.wait, GUARD_S)
        async with await Peer.associated(running.port) as other:
            other.send(message(ECHO_ID, echo_command(1)))
            await other.response()
        go_on.set()
        await asyncio.to_thread(is_over.wait, GUARD_S)
    assert sizes == [4]


async def test_where_handlers_run() -> None:
    """Asynchronous and marked ones run on the event loop, one association's plain ones in one thread."""
    threads: dict[str, list[str]] = {"async": [], "marked": [], "plain": []}

    async def asynchronous(event: Any) -> int:
        threads["async"].append(threading.current_thread().name)
        return 0

    @on_event_loop
    def marked(event: Any) -> int:
        threads["marked"].append(threading.current_thread().name)
        return 0

    def plain(event: Any) -> int:
        threads["plain"].append(threading.current_thread().name)
        return 0

    for handler in (asynchronous, marked, plain):
        async with (
            serving(handlers=[(evt.EVT_C_STORE, handler, None)]) as running,
            await Peer.associated(running.port) as peer,
        ):
            for number in range(3):
                peer.send(store(number, "1.2.3"))
                assert (await peer.response())["Status"] == 0
    here = threading.current_thread().name
    assert threads["async"] == threads["marked"] == [here] * 3
    assert set(threads["plain"]) == {"dimse-handler"}


async def test_a_plain_function_that_returns_a_coroutine() -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 0xB007

    async with serving(lambda event: later()) as running, await Peer.associated(running.port) as peer:
        peer.send(store(1, "1.2.3"))
        assert (await peer.response())["Status"] == 0xB007


class Ending(BaseException):
    """What is no Exception."""


ENDING = (SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), Ending())


@pytest.mark.parametrize("raised", ENDING, ids=lambda raised: type(raised).__name__)
@pytest.mark.parametrize("kind", ["thread", "event loop", "coroutine"])
async def test_what_would_end_the_process_ends_the_request_alone(kind: str, raised: BaseException) -> None:
    def plain(event: Any) -> int:
        raise raised

    async def coroutine(event: Any) -> int:
        await asyncio.sleep(0)
        raise raised

    if kind == "coroutine" and isinstance(raised, GeneratorExit):
        pytest.skip("a coroutine that ends with it is one that is being closed")
    handlers = {"thread": plain, "event loop": on_event_loop(lambda event: plain(event)), "coroutine": coroutine}
    async with serving(handlers[kind]) as running, await Peer.associated(running.port) as peer:
        for number in (1, 2):
            peer.send(store(number, "1.2.5"))
            assert (await peer.response())["Status"] == 0xC211


@pytest.mark.parametrize("raised", ENDING, ids=lambda raised: type(raised).__name__)
async def test_so_it_is_with_generators_on_the_event_loop(raised: BaseException) -> None:
    async def find(event: Any) -> Any:
        yield 0xFF00, query_rig.match(1)
        await asyncio.sleep(0)
        raise raised

    if isinstance(raised, GeneratorExit):
        pytest.skip("an asynchronous generator that ends with it is one that is being closed")
    async with query_rig.serving(find=find) as port, await query_rig.Requestor.open(port) as requestor:
        for number in (1, 2):
            requestor.ask("find", number)
            assert [answer.status for answer in await requestor.answers()] == [0xFF00, 0xC311]
