"""A TCP proxy on 127.0.0.1 that gives trouble: what peers on bad networks do."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Literal, Self

from tests.support.processes import free_port

Trouble = Literal["none", "refused", "black hole", "slow", "killed", "stalled"]
CHUNK_BYTES = 4096


class Proxy:
    """Passes connections on to `target`.

    Args:
        trouble: refused: nobody listens. black hole: connections are taken, nothing is answered. slow: pauses of
            `pause_s` before each piece. killed, stalled: after `after_bytes` of answers all connections end and no
            further one is taken, or nothing moves any more.
    """

    def __init__(self, target: int, trouble: Trouble = "none", *, after_bytes: int = 0, pause_s: float = 0.02) -> None:
        self.port = free_port()
        self._target = target
        self._trouble = trouble
        self._after_bytes = after_bytes
        self._pause_s = pause_s
        self._passed_bytes = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.struck = asyncio.Event()
        """The trouble has begun."""

    async def __aenter__(self) -> Self:
        if self._trouble != "refused":
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._trouble == "black hole":
                self.struck.set()
                await asyncio.Event().wait()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, there_writer, is_answer=False))
                    both.create_task(self._pass(there_reader, writer, is_answer=True))
            finally:
                there_writer.close()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._trouble == "slow":
                self.struck.set()
                await asyncio.sleep(self._pause_s)
            if is_answer:
                self._passed_bytes += len(data)
                await self._strike()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _strike(self) -> None:
        if self._trouble not in ("killed", "stalled") or self._passed_bytes < self._after_bytes:
            return
        self.struck.set()
        if self._trouble == "killed":
            self._end()
        await asyncio.Event().wait()
