"""Attacks by connections and association requests alone: sitting there, and asking for too much."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

from tests.support.attacks.line import CALLED, CT, IMPLICIT, VERIFICATION, Line, Target
from tests.support.load.wire import ASSOCIATE_RQ, Context, associate_rq

PAUSE_S = 0.05
"""Between two tries of one attacker."""


async def _sit(target: Target, line: Line) -> None:
    line.is_listening = False
    target.lines.add(line)
    await line.closed()
    target.lines.discard(line)


async def _come_back(target: Target, *, host: str, http: bool = False) -> None:
    while True:
        with suppress(OSError):
            await _sit(target, await target.connect(host, http=http))
            target.counts["closed by the gateway"] += 1
        await asyncio.sleep(PAUSE_S)


async def idle_sockets(target: Target) -> None:
    """1 300 connections of one host that say nothing; each that is closed is opened anew."""
    await asyncio.gather(*(_come_back(target, host="127.0.0.66") for _ in range(target.many(1300))))


async def descriptors_dicom(target: Target) -> None:
    """1 040 connections of many hosts to the DICOM listener: more than the process may have descriptors."""
    await asyncio.gather(
        *(_come_back(target, host=f"127.0.1.{number % 250 + 1}") for number in range(target.many(1040)))
    )


async def descriptors_http(target: Target) -> None:
    """1 040 connections to the HTTP listener."""
    await asyncio.gather(
        *(_come_back(target, host=f"127.0.1.{number % 250 + 1}", http=True) for number in range(target.many(1040)))
    )


async def _stranger(target: Target, title: str, host: str) -> None:
    request = associate_rq(CALLED, title, [Context(1, VERIFICATION, (IMPLICIT,)), Context(3, CT, (IMPLICIT,))])
    while True:
        with suppress(OSError):
            await _sit(target, await target.associate(title, host, request=request))
            target.counts["closed by the gateway"] += 1
        await asyncio.sleep(PAUSE_S)


async def strangers(target: Target) -> None:
    """512 associations of one host under 512 titles, kept open and idle; each that is rejected tries again."""
    await asyncio.gather(*(_stranger(target, f"STRANGER{number}", "127.0.0.66") for number in range(target.many(512))))


async def strangers_from_many_hosts(target: Target) -> None:
    """The same from 200 hosts."""
    await asyncio.gather(
        *(_stranger(target, f"STRANGER{number}", f"127.0.1.{number % 200 + 1}") for number in range(target.many(512)))
    )


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def role_items_request(number: int, called: str = "NOBODY") -> bytes:
    """An A-ASSOCIATE-RQ of 64 KiB with 5 950 role selection sub-items (PS3.7 §D.3.3.4)."""
    roles = b"".join(
        _item(0x54, struct.pack(">H", 3) + f"{index // 100 % 10}{index // 10 % 10}{index % 10}".encode() + b"\1\1")
        for index in range(5949)
    )
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3") + roles
    body = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), f"ROLE{number}".ljust(16).encode())
    body += _item(0x10, b"1.2.840.10008.3.1.1.1")
    body += _item(0x20, bytes([1, 0, 0, 0]) + _item(0x30, VERIFICATION.encode()) + _item(0x40, IMPLICIT.encode()))
    body += struct.pack(">BxH", 0x50, len(user)) + user
    return struct.pack(">BxI", ASSOCIATE_RQ, len(body)) + body


async def role_items(target: Target) -> None:
    """Such requests to an unknown title, one after the other, 130 kB a second in pieces of 1 460 bytes."""

    loop = asyncio.get_running_loop()

    async def one(number: int) -> None:
        request = role_items_request(number)
        while True:
            with suppress(OSError):
                async with await target.connect() as line:
                    began_s = loop.time()
                    for start in range(0, len(request), 1460):
                        await line.send(request[start : start + 1460])
                        await asyncio.sleep(max(0.0, began_s + start / 130_000 - loop.time()))
                    target.counts["requests"] += 1
                    await line.pdu()

    await asyncio.gather(*(one(number) for number in range(target.many(1))))


def wide_request(number: int, syntaxes: int = 540) -> bytes:
    """An A-ASSOCIATE-RQ of 1 MiB; no two of them propose the same contexts."""
    texts = [f"1.2.{number}.{syntax:04d}" for syntax in range(syntaxes)]
    contexts = [Context(index * 2 + 1, CT if index else VERIFICATION, (IMPLICIT, *texts)) for index in range(128)]
    return associate_rq(CALLED, f"WIDE{number % 1000}", contexts)


async def different_contexts(target: Target) -> None:
    """560 requests of 1 MiB with different contexts; each is given up as soon as it is answered."""
    for number in range(target.many(560)):
        with suppress(OSError):
            (await target.associate(request=wide_request(10_000_000 + number), host="127.0.0.66")).close()
        target.counts["requests"] += 1
