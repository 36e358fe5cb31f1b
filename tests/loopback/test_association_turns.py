"""One sender must not stop the others: what an association works through in one step of the event loop is bounded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.common.turns import MESSAGE_WORK, TURN_WORK
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.pdata import MOST_EMPTY
from tests.support.dimse.rig import (
    CT_ID,
    ECHO_ID,
    Peer,
    echo_command,
    item,
    message,
    p_data,
    serving,
    store_command,
)


class Steps:
    """How often something happened in each step of the event loop; `looks` is called once a step."""

    def __init__(self) -> None:
        self.number = 0
        self.looks: Callable[[], object] = int
        self.handle: asyncio.Handle | None = None
        self.counts: Counter[int] = Counter()

    def count(self) -> None:
        self.counts[self.number] += 1

    @property
    def most(self) -> int:
        return max(self.counts.values(), default=0)


@contextmanager
def steps() -> Iterator[Steps]:
    found = Steps()
    loop = asyncio.get_running_loop()

    def step() -> None:
        found.number += 1
        found.looks()
        found.handle = loop.call_soon(step)

    step()
    try:
        yield found
    finally:
        assert found.handle is not None
        found.handle.cancel()


async def test_pipelined_requests_give_way() -> None:
    with steps() as served:

        def echo(event: Any) -> int:
            served.count()
            return 0x0000

        async with serving(echo=echo) as running, await Peer.associated(running.port) as peer:
            peer.send(b"".join(message(ECHO_ID, echo_command(number)) for number in range(1, 1001)))
            for number in range(1, 1001):
                assert (await peer.response())["MessageIDBeingRespondedTo"] == number
    assert served.counts.total() == 1000
    assert served.most <= TURN_WORK // MESSAGE_WORK + 1


@pytest.mark.parametrize("value", [b"x", b"xx"], ids=["one byte", "two bytes"])
async def test_tiny_fragments_give_way(value: bytes) -> None:
    count = 20_000
    with steps() as written:

        class Counting(MemoryReceiver):
            def write(self, fragment: memoryview) -> None:
                written.count()
                super().write(fragment)

        async with serving(receiver=Counting) as running, await Peer.associated(running.port) as peer:
            peer.send(message(CT_ID, store_command()))
            peer.send(p_data(item(CT_ID, 0, value)) * count + p_data(item(CT_ID, 2, value)))
            assert (await peer.response())["Status"] == 0x0000
    assert written.counts.total() == count + 1
    assert written.most <= TURN_WORK


async def test_whoever_asks_little_is_served_between() -> None:
    order: list[str] = []

    def echo(event: Any) -> int:
        order.append(event.assoc.requestor.ae_title)
        return 0x0000

    async with (
        serving(echo=echo) as running,
        await Peer.associated(running.port, calling="GREEDY") as greedy,
        await Peer.associated(running.port, calling="MODEST") as modest,
    ):
        greedy.send(b"".join(message(ECHO_ID, echo_command(number)) for number in range(1, 2001)))
        await greedy.response()
        modest.send(message(ECHO_ID, echo_command()))
        await modest.response()
        for _ in range(1999):
            await greedy.response()
    assert order.index("MODEST") < len(order) - 1, "everything of the greedy one came first"
    assert order.count("GREEDY") == 2000


async def test_nothing_is_read_while_something_waits_for_its_turn() -> None:
    waiting = 0
    async with serving() as running, await Peer.associated(running.port) as peer:
        (association,) = running.server.associations
        transport = association._transport
        assert transport is not None

        def look() -> None:
            nonlocal waiting
            if association._reader.has_more:
                waiting += 1
                assert not transport.is_reading()

        with steps() as each:
            each.looks = look
            peer.send(b"".join(message(ECHO_ID, echo_command(number)) for number in range(1, 501)))
            for _ in range(500):
                await peer.response()
        assert transport.is_reading()
    assert waiting


async def test_requests_behind_a_slow_one_give_way_too() -> None:
    with steps() as served:
        gate = asyncio.Event()

        async def store(event: Any) -> int:
            await gate.wait()
            return 0x0000

        def echo(event: Any) -> int:
            served.count()
            return 0x0000

        async with serving(store, echo=echo) as running, await Peer.associated(running.port) as peer:
            peer.send(message(CT_ID, store_command(), b"data"))
            peer.send(b"".join(message(ECHO_ID, echo_command(number)) for number in range(2, 1002)))
            (association,) = running.server.associations
            while not association._queue:
                await asyncio.sleep(0)
            gate.set()
            for _ in range(1001):
                await peer.response()
    assert served.counts.total() == 1000
    assert served.most <= 2 * TURN_WORK // MESSAGE_WORK


@pytest.mark.parametrize("kind", [0, 1], ids=["data set", "command set"])
async def test_endless_values_without_data_end_the_association(kind: int) -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        if kind == 0:
            peer.send(message(CT_ID, store_command()))
        peer.send(p_data(item(CT_ID, kind, b"")) * (MOST_EMPTY + 1))
        assert (await peer.pdu())[:10] == bytes.fromhex("0700 00000004 0000 02 06")


async def test_some_values_without_data_pass() -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        empty = p_data(item(CT_ID, 0, b"")) * MOST_EMPTY
        peer.send(message(CT_ID, store_command()) + empty)
        peer.send(p_data(item(CT_ID, 0, b"data")) + empty + p_data(item(CT_ID, 2, b"data")))
        assert (await peer.response())["Status"] == 0x0000
