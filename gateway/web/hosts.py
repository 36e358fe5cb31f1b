"""The Host headers that the HTTP listener answers. A page of another site must not read it by a name of its own that
resolves to this machine (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

MISDIRECTED = 421
"""Misdirected Request (RFC 9110 §15.5.20)."""


def name_of(host: str) -> str:
    """The name in a Host header, lower case, without port, brackets and the dot at its end."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[").lower()
    return host.partition(":")[0].rstrip(".").lower()


def is_numeric(name: str) -> bool:
    """True for an IP address: only this machine's own configuration can make that mean this machine."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def allowed_hosts(named: Iterable[str]) -> frozenset[str]:
    """`named` (from `gateway.http.hosts`), and the names that always mean this machine."""
    return frozenset({"localhost", name_of(socket.gethostname()), *(name_of(name) for name in named)})


def only_for(named: Iterable[str]) -> Middleware:
    """Middleware: 421 for a Host that is neither an IP address, nor this machine's name, nor in `named`. A request
    without Host comes from no browser and is answered."""
    allowed = allowed_hosts(named)

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = name_of(request.headers.get("Host", ""))
        if name and name not in allowed and not is_numeric(name):
            text = "this name is not served here; add it to `gateway.http.hosts`, or call by IP address\n"
            return web.Response(status=MISDIRECTED, text=text)
        return await handler(request)

    return check_host
