"""New connections of listeners get their transports: TCP, then the header of a balancer where it sends one, then TLS
where the listener has it."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable

import structlog

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.protocol.tls import handshake_failure
from gateway.dimse.protocol.tls_failures import our_certificate_refused
from gateway.model.listener import Listener, Timers
from gateway.network.proxy_header import MalformedProxyHeader, read_caller
from gateway.ports.meter import Meter

log = structlog.get_logger()


class ConnectionSetup:
    """Sets up connections in tasks of their own: a client that is silent or slow delays no other.

    Args:
        timers: time limits; a header has as long as what comes behind it, the TLS handshake or the A-ASSOCIATE-RQ.
        meter: where failed handshakes and headers are counted.
        closed: called for an association whose connection is gone before it had its transport.
        named: called with the host that a header names; False when nothing of that host is taken now.
    """

    def __init__(
        self,
        timers: Timers,
        meter: Meter,
        closed: Callable[[AcceptorAssociation], None],
        named: Callable[[AcceptorAssociation, str], bool],
    ) -> None:
        self._timers = timers
        self._meter = meter
        self._closed = closed
        self._named = named
        self._tasks: dict[AcceptorAssociation, asyncio.Task[None]] = {}

    def start(
        self,
        association: AcceptorAssociation,
        connection: socket.socket,
        listener: Listener,
        context: ssl.SSLContext | None,
        proxy_host: str = "",
    ) -> None:
        """Begin to set up `connection` for `association`, with TLS where there is a `context`.

        `proxy_host`: the address of the balancer whose header comes first; empty where none does.
        """
        work = self._set_up(association, connection, listener, context, proxy_host)
        task = self._tasks[association] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(functools.partial(self._is_set_up, association, connection))

    def cancel(self, association: AcceptorAssociation) -> None:
        """Give up the set-up of `association`; nothing happens when it is done."""
        task = self._tasks.get(association)
        if task is not None:
            task.cancel()

    async def _set_up(
        self,
        association: AcceptorAssociation,
        connection: socket.socket,
        listener: Listener,
        context: ssl.SSLContext | None,
        proxy_host: str,
    ) -> None:
        if proxy_host and not await self._is_announced(association, connection, listener, proxy_host):
            connection.close()
            self._closed(association)
            return
        protocol = association.protocol if context is None else _BeforeTLS()
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, connection)
            if context is not None:
                await self._shake_hands(transport, association, listener, context)
        except (OSError, asyncio.CancelledError):  # asyncio has closed the connection
            self._closed(association)

    def _is_set_up(self, association: AcceptorAssociation, connection: socket.socket, task: asyncio.Task[None]) -> None:
        del self._tasks[association]
        if task.cancelled():  # before it began: the connection is still ours
            connection.close()
            self._closed(association)

    async def _is_announced(
        self, association: AcceptorAssociation, connection: socket.socket, listener: Listener, proxy_host: str
    ) -> bool:
        """Read the header; True when the connection goes on, by whomever it is.

        A balancer that looks whether the port is open sends nothing and closes: that is no failure.
        """
        limit_s = self._timers.association_s if listener.tls is None else self._timers.tls_handshake_s
        receive = functools.partial(asyncio.get_running_loop().sock_recv, connection)
        try:
            async with asyncio.timeout(limit_s):
                caller = await read_caller(receive)
        except (EOFError, asyncio.CancelledError):
            return False
        except (OSError, MalformedProxyHeader) as error:  # asyncio's time limit is an OSError too
            reason = f"no whole header came within {limit_s:g} s" if isinstance(error, TimeoutError) else str(error)
            log.warning("proxy_header_rejected", listener=listener.name, remote_host=proxy_host, reason=reason)
            self._meter.count("gateway_proxy_headers_rejected_total", listener=listener.name)
            return False
        if caller is None:
            return True
        association.came_through(proxy_host, caller)
        return self._named(association, caller.host)

    async def _shake_hands(
        self,
        transport: asyncio.Transport,
        association: AcceptorAssociation,
        listener: Listener,
        context: ssl.SSLContext,
    ) -> None:
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                transport,
                association.protocol,
                context,
                server_side=True,
                ssl_handshake_timeout=self._timers.tls_handshake_s,
                ssl_shutdown_timeout=self._timers.tls_handshake_s,
            )
        except (OSError, asyncio.CancelledError) as error:
            if isinstance(error, OSError):
                hosts = association.remote_hosts(transport)
                reason = our_certificate_refused(error, listener.tls) or handshake_failure(error)
                log.warning("tls_handshake_failed", listener=listener.name, **hosts, reason=reason)
                self._meter.count("gateway_tls_handshakes_failed_total")
            transport.abort()
            self._closed(association)
            return
        if encrypted is None or association.is_closed:
            self._closed(association)
            return
        association.attach(encrypted)


class _BeforeTLS(asyncio.Protocol):
    """A connection whose first bytes belong to TLS."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
