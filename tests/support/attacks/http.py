"""Attacks on the HTTP listener."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.support.attacks.line import Target


async def slow_http(target: Target) -> None:
    """5 000 clients that send a request header, or a body, a byte a second; who is let go comes back once."""
    header = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
    body = b"POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"

    async def one(number: int) -> None:
        for _ in range(2):
            with suppress(OSError):
                line = await target.connect(f"127.0.3.{number % 100 + 1}", http=True)
                line.is_listening = False
                target.lines.add(line)
                await line.send(body if number % 4 == 0 else header)
                while True:
                    await asyncio.sleep(1.0)
                    await line.send(b"a")
            target.counts["let go"] += 1
            await asyncio.sleep(1.0)

    await asyncio.gather(*(one(number) for number in range(target.many(5000))))


async def reload_loops(target: Target) -> None:
    """8 loops that reload the rules again and again."""
    request = f"POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1:{target.http_port}\r\nContent-Length: 0\r\n\r\n".encode()

    async def one() -> None:
        while True:
            with suppress(OSError):
                async with await target.connect("127.0.0.1", http=True) as line:
                    await line.send(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    await line.closed()
                    target.counts["reloads"] += 1
            await asyncio.sleep(0.01)

    await asyncio.gather(*(one() for _ in range(target.many(8))))
