"""A worker's link to its supervisor: lines of JSON over a socket that both have from the worker's start on.

```text
to the worker       {"order": "drain"}, {"order": "force"}, {"order": "reload", "number": N}, {"reloaded": RESULT}
to the supervisor   {"event": "serving"}, {"event": "reload_wanted"},
                    {"event": "reloaded", "number": N, "result": RESULT}
```

A worker drains when the link ends, thus with its supervisor, however that ends. The orders are no signals: a service
manager sends SIGTERM to all processes of a service at once, and a second SIGTERM would abort what is in flight.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from gateway.lifecycle.reload import ReloadReport
from gateway.lifecycle.signals import Stop

VARIABLE = "GATEWAY_WORKER"
"""The environment variable by which a process knows that it is a worker."""
LONGEST_LINE_BYTES = 16 * 1024**2
SUPERVISOR_GONE: Mapping[str, object] = {
    "result": "refused",
    "version": "",
    "problems": ["the supervisor of the workers has ended"],
}


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """The place of a worker among those of its supervisor."""

    number: int
    """From 1 on."""
    descriptor: int
    """The descriptor of its end of the link."""

    def as_text(self) -> str:
        return f"{self.number}:{self.descriptor}"


def taken_from(environ: MutableMapping[str, str]) -> WorkerPlace | None:
    """The place of this process; None when it is no worker. Taken out: processes that it starts are no workers."""
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    number, _, descriptor = text.partition(":")
    os.set_inheritable(int(descriptor), False)
    return WorkerPlace(int(number), int(descriptor))


def line_of(message: Mapping[str, object]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode() + b"\n"


class SupervisorLink:
    """The worker's end. An asynchronous context manager.

    Args:
        descriptor: of its end of the socket; closed with the link.
        stop: the end of the worker.
    """

    def __init__(self, descriptor: int, stop: Stop) -> None:
        self._descriptor = descriptor
        self._stop = stop
        self._ordered: asyncio.Queue[int] = asyncio.Queue()
        self._waiting: deque[asyncio.Future[Mapping[str, object]]] = deque()
        self._has_ended = False

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            sock=socket.socket(fileno=self._descriptor), limit=LONGEST_LINE_BYTES
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._writer.close()

    async def serve_reloads(self, reload: Callable[[], Awaitable[ReloadReport]]) -> None:
        """Say that this worker serves, and do one reload for each order, also for those of before; until cancelled."""
        self._send({"event": "serving"})
        while True:
            number = await self._ordered.get()
            report = await reload()
            self._send({"event": "reloaded", "number": number, "result": report.as_json()})

    async def reload_all(self) -> Mapping[str, object]:
        """Have the supervisor reload all workers; the result of all."""
        if self._has_ended:
            return SUPERVISOR_GONE
        answer: asyncio.Future[Mapping[str, object]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._send({"event": "reload_wanted"})
        return await answer

    def _send(self, message: Mapping[str, object]) -> None:
        if not self._has_ended:
            self._writer.write(line_of(message))

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (ValueError, OSError):
            pass  # the supervisor is gone in the middle of a line
        self._has_ended = True
        self._stop.drain("end of the supervisor")
        while self._waiting:
            self._answer(SUPERVISOR_GONE)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"order": "drain"}:
                self._stop.drain("supervisor")
            case {"order": "force"}:
                self._stop.force("supervisor")
            case {"order": "reload", "number": number}:
                self._ordered.put_nowait(number)
            case {"reloaded": result} if self._waiting:
                self._answer(result)

    def _answer(self, result: Mapping[str, object]) -> None:
        answer = self._waiting.popleft()
        if not answer.done():  # a client that does not wait any more has cancelled it
            answer.set_result(result)
