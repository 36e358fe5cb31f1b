"""New connections of listeners get their transports: TCP, then TLS where the listener has it."""

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
from gateway.model.listener import Listener
from gateway.ports.meter import Meter

log = structlog.get_logger()


class ConnectionSetup:
    """Sets up connections in tasks of their own: a client that is silent or slow delays no other.

    Args:
        handshake_s: time limit of a TLS handshake.
        meter: where failed handshakes are counted.
        closed: called for an association whose connection is gone before it had its transport.
    """

    def __init__(self, handshake_s: float, meter: Meter, closed: Callable[[AcceptorAssociation], None]) -> None:
        self._handshake_s = handshake_s
        self._meter = meter
        self._closed = closed
        self._tasks: dict[AcceptorAssociation, asyncio.Task[None]] = {}

    def start(
        self,
        association: AcceptorAssociation,
        connection: socket.socket,
        listener: Listener,
        context: ssl.SSLContext | None,
    ) -> None:
        """Begin to set up `connection` for `association`, with TLS where there is a `context`."""
        work = self._set_up(association, connection, listener, context)
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
    ) -> None:
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

    async def _shake_hands(
        self,
        transport: asyncio.Transport,
        association: AcceptorAssociation,
        listener: Listener,
        context: ssl.SSLContext,
    ) -> None:
        address = transport.get_extra_info("peername")
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                transport,
                association.protocol,
                context,
                server_side=True,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=self._handshake_s,
            )
        except (OSError, asyncio.CancelledError) as error:
            if isinstance(error, OSError):
                host = address[0] if address else ""
                reason = our_certificate_refused(error, listener.tls) or handshake_failure(error)
                log.warning("tls_handshake_failed", listener=listener.name, remote_host=host, reason=reason)
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
