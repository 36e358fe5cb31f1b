"""HTTP connections in bounds: how many there are, how long each may take, and which one makes room for a new one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from gateway.model.settings import HTTP
from gateway.network.accepting import host_of
from gateway.network.offences import Offences
from gateway.ports.meter import Meter

log = structlog.get_logger()

MOST_BODY_BYTES = 64 * 1024
MOST_LINE_BYTES = 4096
MOST_HEADERS = 64


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Time limits for clients, in seconds."""

    request_s: float = 10.0
    """Time from the connection, or from the last response, to the end of a request's headers; and time for its body."""
    response_s: float = 30.0
    """Time to read a response."""
    look_s: float = 1.0
    """Interval between two checks of these limits."""


PATIENCE = ConnectionLimits()


class BoundedConnection(web.RequestHandler):
    """A connection of aiohttp's that its owner keeps in bounds."""

    __slots__ = ("_stream", "host", "is_answering", "owner", "since_s")

    def __init__(self, manager: web.Server, owner: Connections, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented: no access log
            keepalive_timeout=owner.patience.request_s,
            lingering_time=2.0,
            max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_LINE_BYTES,
            max_headers=MOST_HEADERS,
            read_bufsize=MOST_BODY_BYTES,
        )
        self._stream: asyncio.Transport | None = None  # aiohttp lets go of its own before everything is written
        self.owner = owner
        self.host = ""
        self.is_answering = False
        """True while a request is being served: the client waits for us."""
        self.since_s = loop.time()
        """The loop's time when it was opened, or when the last request was served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._stream = transport
        super().connection_made(transport)
        if self not in self.owner:
            self.abort()  # it made room before it was there

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stream = None
        super().connection_lost(exc)
        self.owner.gone(self)

    def abort(self) -> None:
        """Close it, whatever is still to be written."""
        if self._stream is not None:
            self._stream.abort()

    @property
    def is_writing(self) -> bool:
        """True while the client has not read everything."""
        return self._stream is not None and self._stream.get_write_buffer_size() > 0

    def log_exception(self, *arguments: Any, **more: Any) -> None:
        """A mistake of a client is logged as one line of ours, without a stack."""
        error = more.get("exc_info")
        if not isinstance(error, HttpProcessingError | ConnectionError | web.RequestPayloadError):
            super().log_exception(*arguments, **more)
            return
        log.warning("http_request_rejected", remote_host=self.host, error=type(error).__name__)


class Connections:
    """The open connections of one listener.

    Args:
        http: how many there may be, in all and of one host; this machine's own may take all.
        meter: where they are counted.
        is_loopback: True for this machine's own addresses.
        patience: how long clients may take.
    """

    def __init__(
        self, http: HTTP, meter: Meter, is_loopback: Callable[[str], bool], patience: ConnectionLimits = PATIENCE
    ) -> None:
        self.patience = patience
        self._http = http
        self._meter = meter
        self._is_loopback = is_loopback
        self._loop = asyncio.get_running_loop()
        self._open: dict[BoundedConnection, None] = {}
        self._of_host: Counter[str] = Counter()
        self._look: asyncio.TimerHandle | None = None
        self._offences = Offences()

    def __contains__(self, connection: object) -> bool:
        return connection in self._open

    def __len__(self) -> int:
        return len(self._open)

    def take(self, connection: BoundedConnection, address: tuple[Any, ...]) -> bool:
        """True when there is room for one more; the one that has waited longest is closed for it if need be.

        A host whose connections were closed many times lately is not heard for a while, this machine's own too.
        """
        host = host_of(address)
        if not self._offences.is_admitted(host, is_known=False):
            self._count_and_log(
                host, "refused", "connections of this host were displaced or too slow many times lately"
            )
            return False
        if self._of_host[host] >= self._http.connections_per_host and not self._is_loopback(host):
            room = self._displace(host)
        else:
            room = len(self._open) < self._http.connections or self._displace("")
        if not room:
            self._count_and_log(host, "refused", "all connections are being answered")
            return False
        connection.host = host
        self._open[connection] = None
        self._of_host[host] += 1
        self._meter.count("gateway_http_connections_total", result="accepted")
        if self._look is None:
            self._look = self._loop.call_later(self.patience.look_s, self._check)
        return True

    def gone(self, connection: BoundedConnection) -> None:
        """Forget a connection that is closed."""
        if connection not in self._open:
            return
        del self._open[connection]
        self._of_host[connection.host] -= 1
        if not self._of_host[connection.host]:
            del self._of_host[connection.host]

    def close(self) -> None:
        """End the checks."""
        if self._look is not None:
            self._look.cancel()

    def served(self) -> Middleware:
        """Middleware around every request: bounds its body, and knows that the client waits for us."""

        @web.middleware
        async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.protocol
            if request.can_read_body:
                try:
                    async with asyncio.timeout(self.patience.request_s):
                        await request.read()
                except TimeoutError:
                    return web.Response(status=408, text="the body did not come in time\n")
            if not isinstance(connection, BoundedConnection):
                return await handler(request)
            connection.is_answering = True
            try:
                return await handler(request)
            finally:
                connection.is_answering = False
                connection.since_s = self._loop.time()

        return serve

    def _displace(self, host: str) -> bool:
        """Close the connection (of `host`, where it is given) that has waited longest for its client; False: none."""
        waiting = [one for one in self._open if not one.is_answering and (not host or one.host == host)]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: one.since_s)
        self._end(oldest, "displaced", "a newer connection needed its place (http.connections)")
        return True

    def _check(self) -> None:
        self._look = None
        now_s, patience = self._loop.time(), self.patience
        idle_s = patience.request_s + 2 * patience.look_s  # aiohttp itself closes them after `request_s`
        for connection in list(self._open):
            waited_s = now_s - connection.since_s
            limit_s = patience.response_s if connection.is_writing else idle_s
            if not connection.is_answering and waited_s > limit_s:
                self._end(connection, "timed_out", "the client is too slow")
        if self._open:
            self._look = self._loop.call_later(self.patience.look_s, self._check)

    def _end(self, connection: BoundedConnection, result: str, reason: str) -> None:
        self.gone(connection)
        connection.abort()
        self._offences.add(connection.host)
        self._count_and_log(connection.host, result, reason)

    def _count_and_log(self, host: str, result: str, reason: str) -> None:
        log.warning("http_connection_closed", remote_host=host, reason=reason)
        self._meter.count("gateway_http_connections_total", result=result)
