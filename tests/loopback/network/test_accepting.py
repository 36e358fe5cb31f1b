"""Accepting with sockets that the system refuses connections for."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from gateway.network.accepting import MOST_A_TURN, SocketAcceptor, bind, host_of
from tests.support.processes import GUARD_S


class Starved(socket.socket):
    """A listening socket whose next `failures` accepts fail as if there were no descriptors."""

    failures = 0
    asked = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def into(queue: asyncio.Queue[socket.socket]) -> Callable[[socket.socket, Any], bool]:
    def take(one: socket.socket, address: Any) -> bool:
        queue.put_nowait(one)
        return True

    return take


def closing(one: socket.socket, address: Any) -> bool:
    one.close()
    return False


def starved(failures: int) -> Starved:
    one = Starved(socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    one.bind(("127.0.0.1", 0))
    one.listen(512)
    one.failures = failures
    return one


async def test_every_connection_is_given_on() -> None:
    taken: asyncio.Queue[socket.socket] = asyncio.Queue()
    acceptor = SocketAcceptor(await bind("127.0.0.1", 0), into(taken), on_shortage=lambda error: None)
    opened = [await asyncio.open_connection("127.0.0.1", acceptor.port) for _ in range(2 * MOST_A_TURN + 1)]
    async with asyncio.timeout(GUARD_S):
        connections = [await taken.get() for _ in opened]
    acceptor.close()
    for _, writer in opened:
        writer.close()
    for one in connections:
        assert one.getblocking() is False
        one.close()


async def test_after_a_shortage_nothing_is_tried_until_the_pause_is_over() -> None:
    listening = starved(failures=3)
    taken: asyncio.Queue[socket.socket] = asyncio.Queue()
    told: list[int | None] = []
    acceptor = SocketAcceptor(
        [listening],
        into(taken),
        on_shortage=lambda error: told.append(error.errno),
        pause_s=0.01,
    )
    _, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
    async with asyncio.timeout(GUARD_S):
        connection = await taken.get()
    assert told == [errno.EMFILE] * 3  # told once for each pause, not once for each attempt of a spinning loop
    assert listening.asked <= 3 + 2  # three refusals, the connection, and a look for the next one
    acceptor.close()
    connection.close()
    writer.close()


async def test_those_that_are_closed_at_once_keep_nobody_waiting() -> None:
    """They do not count against what is set up in a turn."""
    turns: list[int] = []
    (listening,) = await bind("127.0.0.1", 0)
    opened = []
    for _ in range(101):  # the last one may still be on its way
        one = socket.create_connection(("127.0.0.1", listening.getsockname()[1]))
        opened.append(one)

    def take(one: socket.socket, address: Any) -> bool:
        turns.append(len(turns))
        one.close()
        return False

    acceptor = SocketAcceptor([listening], take, on_shortage=lambda error: None)
    acceptor._accept(listening)
    assert len(turns) in (100, 101)
    acceptor.close()
    for one in opened:
        one.close()


async def test_a_pause_ends_with_the_acceptor() -> None:
    listening = starved(failures=1)
    told = asyncio.Event()
    acceptor = SocketAcceptor([listening], closing, on_shortage=lambda error: told.set())
    _, writer = await asyncio.open_connection("127.0.0.1", acceptor.port)
    async with asyncio.timeout(GUARD_S):
        await told.wait()
    acceptor.close()
    assert listening.fileno() == -1
    writer.close()


async def test_a_port_that_is_taken_leaves_nothing_open() -> None:
    (first,) = await bind("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await bind("127.0.0.1", first.getsockname()[1])
    first.close()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("10.0.0.1", 104), "10.0.0.1"),
        (("::ffff:10.0.0.1", 104, 0, 0), "10.0.0.1"),
        (("::1", 1, 0, 0), "::1"),
        ((), ""),
    ],
)
def test_hosts(address: tuple[Any, ...], host: str) -> None:
    assert host_of(address) == host
