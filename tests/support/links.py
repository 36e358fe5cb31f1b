"""TCP links between programs of a test that can be cut: a process that passes bytes on, and does what it is told.

A control port takes a line `NAME STATE` and answers one when it is so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from tests.support.processes import Daemon, free_port, is_listening

LinkState = Literal["whole", "frozen", "refused", "reset"]
"""whole: bytes pass. frozen: none does, in either direction, and no connection ends. refused: all connections end, and
none is taken. reset: all end, with what was not passed on, and new ones pass."""
STATES: tuple[str, ...] = get_args(LinkState)
CHUNK_BYTES = 1 << 18
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: the connection ends with a reset."""


class Link:
    """One of them."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=512)

    async def change(self, state: str) -> None:
        """Returns when it is so."""
        if state == "frozen":
            self._is_whole.clear()
            return
        if state in ("refused", "reset"):
            self._end_all()
        if state == "refused":
            assert self._server is not None
            self._server.close()
            self._server = None
            return
        self._is_whole.set()
        if self._server is None:
            await self.listen()

    def _end_all(self) -> None:
        for writer in self._writers:
            end = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = {writer}
        self._writers.add(writer)
        try:
            await self._is_whole.wait()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(there_writer)
            self._writers.add(there_writer)
            for each in ends:
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, there_writer))
                both.create_task(self._pass(there_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers -= ends
            for each in ends:
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._is_whole.wait()
            writer.write(data)
            await writer.drain()
        await self._is_whole.wait()
        with contextlib.suppress(OSError):
            writer.write_eof()


async def serve(control_port: int, links: Mapping[str, Link]) -> None:
    """For ever."""

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name, state = (await reader.readline()).decode().split()
        await links[name].change(state)
        writer.write(b"done\n")
        await writer.drain()
        writer.close()

    for link in links.values():
        await link.listen()
    async with await asyncio.start_server(control, "127.0.0.1", control_port) as server:
        await server.serve_forever()


class Links(Daemon):
    """Links in a process of their own, from a free port each to the port that `targets` names."""

    name = "links"

    def __init__(self, log_path: Path, targets: Mapping[str, int]) -> None:
        super().__init__(log_path)
        self._control_port = free_port()
        self._targets = dict(targets)
        self.ports = {name: free_port() for name in targets}

    def command(self) -> list[str]:
        links = [f"{name}={self.ports[name]}:{target}" for name, target in self._targets.items()]
        return [sys.executable, "-m", "tests.support.links", f"--control-port={self._control_port}", *links]

    async def is_ready(self) -> bool:
        return is_listening(self._control_port)

    async def change(self, name: str, state: LinkState) -> None:
        """Returns when it is so."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._control_port)
        writer.write(f"{name} {state}\n".encode())
        assert await reader.readline() == b"done\n", self.log[-2000:]
        writer.close()
        await writer.wait_closed()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("links", nargs="+", help="NAME=PORT:TARGET")
    arguments = parser.parse_args()
    links: dict[str, Link] = {}
    for text in arguments.links:
        name, _, ports = text.partition("=")
        port, _, target = ports.partition(":")
        links[name] = Link(int(port), int(target))
    asyncio.run(serve(arguments.control_port, links))


if __name__ == "__main__":
    main()
