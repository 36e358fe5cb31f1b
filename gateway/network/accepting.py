"""Taking connections from listening sockets: a few a turn of the loop, and none for a while when the system has none.

asyncio's own servers take up to a whole backlog in one turn, and report a lack of descriptors once for each attempt.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

BACKLOG = 512
MOST_A_TURN = 16
"""Connections that are set up in one turn for one socket, so that others are read in between."""
MOST_CLOSED_A_TURN = 128
"""Connections that are closed at once: what attackers leave in the queue keeps others waiting."""
PAUSE_S = 0.5
"""Pause of accepting after the system refused to give a connection (no descriptors, no memory)."""

SocketAddress = tuple[Any, ...]


async def bind(address: str, port: int, *, is_shared: bool = False) -> list[socket.socket]:
    """Listening sockets, one for each address that a name stands for; an empty address is all of them.

    Args:
        address, port: where.
        is_shared: other processes of this user may listen there too, and the kernel spreads connections over them.

    Raises OSError.
    """
    infos = await asyncio.get_running_loop().getaddrinfo(
        address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    opened: list[socket.socket] = []
    try:
        for family, kind, protocol, _, place in dict.fromkeys(infos):
            opened.append(one := socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind(place)
            one.listen(BACKLOG)
    except BaseException:
        close_all(opened)
        raise
    return opened


def close_all(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def host_of(address: SocketAddress) -> str:
    """The numeric host of a peer's address; an IPv4 address in IPv6 form as IPv4."""
    return str(address[0]).removeprefix("::ffff:") if address else ""


class SocketAcceptor:
    """Gives every connection of its sockets to `take`, not blocking; on one event loop.

    Args:
        sockets: listening and not blocking; closed with the acceptor.
        take: gets the connection, which is its to close, and the peer's address; False when it closed it at once.
        on_shortage: told when the system gave no connection; nothing is taken for `pause_s` then.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        take: Callable[[socket.socket, SocketAddress], bool],
        *,
        on_shortage: Callable[[OSError], None],
        pause_s: float = PAUSE_S,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._take = take
        self._on_shortage = on_shortage
        self._pause_s = pause_s
        self._sockets = tuple(sockets)
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        for one in self._sockets:
            self._resume(one)

    @property
    def port(self) -> int:
        """The port of the first socket."""
        return int(self._sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take nothing more; what was taken goes on."""
        for handle in self._paused.values():
            handle.cancel()
        for one in self._sockets:
            self._loop.remove_reader(one)
            one.close()

    def _resume(self, listening: socket.socket) -> None:
        self._paused.pop(listening, None)
        self._loop.add_reader(listening, self._accept, listening)

    def _pause(self, listening: socket.socket) -> None:
        self._loop.remove_reader(listening)
        self._paused[listening] = self._loop.call_later(self._pause_s, self._resume, listening)

    def _accept(self, listening: socket.socket) -> None:
        taken = 0
        for _ in range(MOST_CLOSED_A_TURN):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # the socket stays readable: without a pause the loop would do nothing else
                self._pause(listening)
                self._on_shortage(error)
                return
            connection.setblocking(False)
            taken += self._take(connection, address)
            if taken >= MOST_A_TURN:
                return
