"""A configured peer that does nothing wrong, and what it feels."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from tests.support.attacks.line import ECHO_ID, EXPLICIT_ID, FIND_ID, STUDY_FIND, VERIFICATION, Line, Target
from tests.support.attacks.messages import (
    C_FIND_RQ,
    element,
    facts,
    new_uid,
    query_command,
    send_object,
    status_of,
)
from tests.support.load.wire import C_ECHO_RQ, COMMAND, LAST, NO_DATA_SET, RELEASE_RQ_PDU, command_set, p_data

HOST, TITLE = "127.0.0.10", "CT1"
PAUSE_S = 0.1
LIMIT_S = 60.0
"""After that a request counts as failed."""

_ECHO = p_data(
    ECHO_ID,
    COMMAND | LAST,
    command_set(
        [
            (0x0002, VERIFICATION.encode() + b"\0"),
            (0x0100, struct.pack("<H", C_ECHO_RQ)),
            (0x0110, struct.pack("<H", 1)),
            (0x0800, struct.pack("<H", NO_DATA_SET)),
        ]
    ),
)
_IDENTIFIER = (
    struct.pack("<HHI", 0x0008, 0x0052, 6)
    + b"STUDY "
    + struct.pack("<HHI", 0x0010, 0x0020, 6)
    + b"GOOD-1"
    + struct.pack("<HHI", 0x0020, 0x000D, 0)
)


class Failed(Exception):
    """An honest request was refused, or not answered."""


@dataclass(slots=True)
class Honest:
    """Sends C-ECHO and C-STORE (and C-FIND, when asked to) by turns until it is cancelled.

    Times are seconds from the TCP connection, or from the request on an association that is kept, to the response.
    """

    target: Target
    echoes_s: list[float] = field(default_factory=list)
    stores_s: list[float] = field(default_factory=list)
    finds_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)

    async def run(self, *, with_find: bool = False) -> None:
        """Until it is cancelled."""
        loops = [
            self._again("echo", self.echo, self.echoes_s),
            self._again("store", self.store, self.stores_s),
            self._keep(),
        ]
        if with_find:
            loops.append(self._again("find", self.find, self.finds_s))
        await asyncio.gather(*loops)

    async def _again(self, what: str, once: Callable[[], Awaitable[None]], times_s: list[float]) -> None:
        while True:
            await self._timed(what, once, times_s)
            await asyncio.sleep(PAUSE_S)

    async def _timed(self, what: str, once: Callable[[], Awaitable[None]], times_s: list[float]) -> bool:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_S):
                await once()
        except (OSError, Failed, TimeoutError) as error:
            self.failures.append(f"{what}: {type(error).__name__} {error} after {time.monotonic() - began_s:.2f} s")
            return False
        times_s.append(time.monotonic() - began_s)
        return True

    async def _keep(self) -> None:
        """Echoes on an association that stays open, as a modality's does; a new one when it is lost."""
        while True:
            try:
                async with asyncio.timeout(LIMIT_S):
                    line = await self._associated()
                async with line:
                    while await self._timed("echo on a kept association", partial(_echo, line), self.echoes_s):
                        await asyncio.sleep(PAUSE_S)
            except (OSError, TimeoutError) as error:
                self.failures.append(f"association: {type(error).__name__} {error}")
            await asyncio.sleep(PAUSE_S)

    async def _associated(self) -> Line:
        return await self.target.associate(TITLE, HOST)

    async def echo(self) -> None:
        """A C-ECHO on an association of its own."""
        async with await self._associated() as line:
            await _echo(line)
            await _release(line)

    async def store(self) -> None:
        """A C-STORE of 8 KB on an association of its own."""
        uid = new_uid()
        data = facts(uid).replace(b"EVIL-1", b"GOOD-1") + element(0x7FE0, 0x0010, b"OB", bytes(8192))
        async with await self._associated() as line:
            status = await send_object(line, EXPLICIT_ID, uid, iter([data]))
            if status != 0:
                raise Failed(f"status {status:04X}")
            self.stored.append(uid)
            await _release(line)

    async def find(self) -> None:
        """A C-FIND at the study level."""
        request = p_data(FIND_ID, COMMAND | LAST, query_command(C_FIND_RQ, STUDY_FIND))
        async with await self._associated() as line:
            await line.send(request + p_data(FIND_ID, LAST, _IDENTIFIER))
            status = 0xFF00
            while status in (0xFF00, -1):
                answer = await line.pdu()
                if answer[:1] != b"\4":
                    raise Failed("aborted" if answer else "closed")
                status = status_of(answer)
            if status != 0:
                raise Failed(f"status {status:04X}")
            await _release(line)


async def _echo(line: Line) -> None:
    await line.send(_ECHO)
    status = status_of(await line.pdu())
    if status != 0:
        raise Failed("no answer" if status < 0 else f"status {status:04X}")


async def _release(line: Line) -> None:
    await line.send(RELEASE_RQ_PDU)
    await line.pdu()
