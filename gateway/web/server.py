"""The HTTP listener: health, metrics, status and reload. It answers to IP addresses and known names only (`hosts`).

| call | answer |
|---|---|
| `GET /livez` | 200 while the process serves |
| `GET /readyz` | 200 when objects are taken; 503 with the reasons, one a line |
| `GET /metrics` | Prometheus text format |
| `GET /status` | JSON for `gateway status` |
| `POST /-/reload` | JSON; 200: in force, 422: refused. From this machine only, never from a web page |
| `/-/queue/…`, `/-/operations…` | operators' verbs (`gateway.web.operators`), from this machine too |
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.model.settings import HTTP
from gateway.network.accepting import SocketAcceptor, SocketAddress, bind
from gateway.ports.errors import ConfigurationError
from gateway.ports.meter import Meter, NoMeter
from gateway.web.connections import MOST_BODY_BYTES, PATIENCE, BoundedConnection, ConnectionLimits, Connections
from gateway.web.hosts import name_of, only_for
from gateway.web.joined import Joined, TooManyWaiting
from gateway.web.operators import OperatorPages, OperatorSurface

log = structlog.get_logger()

SHUTDOWN_S = 2.0
METRICS_ELSEWHERE = "each worker has metrics of its own: worker N at this port plus N\n"
MOST_WAITING = 32
"""Clients that wait for one page, or for a reload."""
NO_METER = NoMeter()


class Surface(Protocol):
    """The information that the gateway shows over HTTP."""

    def not_ready(self) -> Sequence[str]:
        """The reasons why no objects should be sent now; empty when they may."""
        ...

    async def metrics_page(self) -> tuple[bytes, str]:
        """The metrics page and its content type."""
        ...

    async def status(self) -> Mapping[str, object]: ...

    async def reload(self) -> Mapping[str, object]:
        """Load the rules again; `result` is "applied" or "refused"."""
        ...


def is_loopback(address: str) -> bool:
    """True for 127.0.0.0/8 and ::1, also when written as an IPv4-mapped IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def host_is_local(host: str) -> bool:
    """True when a Host header names this machine by a loopback address or as `localhost`.

    Any other name may be an attacker's that resolves to 127.0.0.1 (DNS rebinding).
    """
    name = name_of(host)
    return name == "localhost" or is_loopback(name)


def change_objection(remote: str, headers: Mapping[str, str]) -> str:
    """The reason why a reload or a verb from there is refused; empty when it is not."""
    if not is_loopback(remote):
        return "changes are taken from this machine only"
    if not host_is_local(headers.get("Host", "")):
        return "call it as 127.0.0.1, [::1] or localhost"
    if "Origin" in headers or "Referer" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
        return "changes are not taken from a web page"
    return ""


def application(
    surface: Surface, hosts: Iterable[str] = (), middlewares: Sequence[Middleware] = (), *, is_shared: bool = False
) -> web.Application:
    """The routes of the table above; `hosts` are further names in Host headers that are answered.

    Where other processes answer too (`is_shared`), there is no page of metrics: it would be another process's each
    time. Work that takes time is done once for all who wait for it.
    """
    metrics_page = Joined(surface.metrics_page, MOST_WAITING)
    status_of = Joined(surface.status, MOST_WAITING)
    reloaded = Joined(surface.reload, MOST_WAITING)

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        reasons = surface.not_ready()
        return web.Response(status=503 if reasons else 200, text="".join(f"{line}\n" for line in reasons or ["ok"]))

    async def metrics(request: web.Request) -> web.Response:
        if is_shared:
            return web.Response(status=404, text=METRICS_ELSEWHERE)
        body, content_type = await metrics_page()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def status(request: web.Request) -> web.Response:
        return web.json_response(await status_of())

    async def reload(request: web.Request) -> web.Response:
        objection = change_objection(request.remote or "", request.headers)
        if objection:
            return web.json_response({"result": "forbidden", "message": objection}, status=403)
        answer = await reloaded()
        return web.json_response(answer, status=200 if answer["result"] == "applied" else 422)

    routes = web.Application(middlewares=[*middlewares, only_for(hosts), not_too_many], client_max_size=MOST_BODY_BYTES)
    routes.router.add_get("/livez", livez)
    routes.router.add_get("/readyz", readyz)
    routes.router.add_get("/metrics", metrics)
    routes.router.add_get("/status", status)
    routes.router.add_post("/-/reload", reload)
    return routes


@web.middleware
async def not_too_many(request: web.Request, handler: Handler) -> web.StreamResponse:
    """503 where too many wait for the same."""
    try:
        return await handler(request)
    except TooManyWaiting as error:
        return web.Response(status=503, text=f"{error}; try again later\n", headers={"Retry-After": "5"})


class WebServer:
    """The HTTP listener, an asynchronous context manager.

    Args:
        surface: what is shown.
        http: the address, and limits.
        meter: where connections are counted.
        patience: of connections.
        is_shared: other processes of this user listen there too.
        operators: carries out the verbs of those who have a token; None where there are none.
    """

    def __init__(
        self,
        surface: Surface,
        http: HTTP,
        meter: Meter = NO_METER,
        patience: ConnectionLimits = PATIENCE,
        *,
        is_shared: bool = False,
        operators: OperatorSurface | None = None,
    ) -> None:
        self._surface = surface
        self._operators = operators
        self._http = http
        self._meter = meter
        self._patience = patience
        self._is_shared = is_shared
        self._opening: set[asyncio.Task[object]] = set()
        self.port = http.port
        """The bound port; another than asked for when that was 0."""

    async def __aenter__(self) -> Self:
        self._connections = Connections(self._http, self._meter, is_loopback, self._patience)
        pages = application(
            self._surface,
            self._http.hosts,
            [self._connections.served()],
            is_shared=self._is_shared,
        )
        if self._operators is not None:
            OperatorPages(self._operators, self._http.operators, change_objection).add_to(pages.router)
        self._runner = web.AppRunner(pages, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            sockets = await bind(self._http.address, self._http.port, is_shared=self._is_shared)
        except OSError as error:
            await self._runner.cleanup()
            place = f"{self._http.address}:{self._http.port}"
            reason = error.strerror or error
            raise ConfigurationError(f"gateway.http: cannot listen on {place}: {reason}; choose another") from error
        self._acceptor = SocketAcceptor(sockets, self._take, on_shortage=self._short)
        self.port = self._acceptor.port
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._acceptor.close()
        self._connections.close()
        await self._runner.cleanup()

    def _take(self, connection: socket.socket, address: SocketAddress) -> bool:
        assert self._runner.server is not None
        loop = asyncio.get_running_loop()
        protocol = BoundedConnection(self._runner.server, self._connections, loop)
        if not self._connections.take(protocol, address):
            connection.close()
            return False
        task = loop.create_task(self._set_up(protocol, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    async def _set_up(self, protocol: BoundedConnection, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, connection)
        except OSError:
            self._connections.gone(protocol)

    def _short(self, error: OSError) -> None:
        log.error(
            "connections_not_accepted",
            listener="http",
            reason=error.strerror or str(error),
            advice="nothing is accepted for a moment; raise the limit of open files",
        )
        self._meter.count("gateway_accept_failures_total", listener="http")
