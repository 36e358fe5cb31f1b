"""A worker as its supervisor has it: a process that was started with this one's command line, and the link to it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.common.daemon_thread import started
from gateway.common.early_signals import OURS
from gateway.lifecycle.supervisor_link import LONGEST_LINE_BYTES, VARIABLE, WorkerPlace, line_of


def own_command() -> list[str]:
    """The command line of this process, with the interpreter that runs it."""
    return [sys.executable, *sys.orig_argv[1:]]


class SupervisedProcess:
    """A running worker; see `start`. Its orders never wait for it."""

    def __init__(
        self,
        number: int,
        process: subprocess.Popen[bytes],
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        on_event: Callable[[SupervisedProcess, str], None],
    ) -> None:
        self.number = number
        self.pid = process.pid
        self.is_serving = False
        self._process = process
        self._reader, self._writer = link
        self._on_event = on_event
        self._orders = itertools.count(1)
        self._results: dict[int, asyncio.Future[Mapping[str, object] | None]] = {}
        self._exit, _ = started(process.wait, f"worker {number}")
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, command: Sequence[str], number: int, on_event: Callable[[SupervisedProcess, str], None]
    ) -> SupervisedProcess:
        """Start it.

        Args:
            command: of a gateway; own_command() but for tests.
            number: from 1 on.
            on_event: called with the worker and "serving" or "reload_wanted".

        Raises OSError.
        """
        ours, its = socket.socketpair()
        try:
            with its:
                place = WorkerPlace(number, its.fileno())
                process = _started(command, {VARIABLE: place.as_text()}, its.fileno())
            link = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE_BYTES)
        except BaseException:
            ours.close()
            raise
        return cls(number, process, link, on_event)

    def drain(self) -> None:
        """Have it finish what is in flight, and end."""
        self._send({"order": "drain"})

    def force(self) -> None:
        """Have it end now."""
        self._send({"order": "force"})

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def send_result(self, result: Mapping[str, object]) -> None:
        """Tell the result of the reload of all that it wanted."""
        self._send({"reloaded": result})

    async def reload(self) -> Mapping[str, object] | None:
        """Have it load the rules again; the result, None when it ended meanwhile."""
        number = next(self._orders)
        if self._listening.done():
            return None
        result: asyncio.Future[Mapping[str, object] | None] = asyncio.get_running_loop().create_future()
        self._results[number] = result
        self._send({"order": "reload", "number": number})
        try:
            return await result
        finally:
            self._results.pop(number, None)

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative: the signal that killed it."""
        code = await self._exit
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._writer.close()
        return code

    def _send(self, message: Mapping[str, object]) -> None:
        if not self._writer.is_closing():
            self._writer.write(line_of(message))

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (ValueError, OSError):
            pass  # it ended in the middle of a line
        finally:
            for result in self._results.values():
                if not result.done():
                    result.set_result(None)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"event": "reloaded", "number": number, "result": result}:
                waiting = self._results.get(number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(result)
            case {"event": event}:
                self.is_serving = self.is_serving or event == "serving"
                self._on_event(self, event)


def _started(command: Sequence[str], variables: Mapping[str, str], descriptor: int) -> subprocess.Popen[bytes]:
    """Signals that come before it can act on them wait: it inherits the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    try:
        return subprocess.Popen(  # noqa: S603 - our own command line
            command, stdin=subprocess.DEVNULL, env={**os.environ, **variables}, pass_fds=(descriptor,)
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
