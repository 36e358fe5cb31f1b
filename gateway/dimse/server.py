"""Listeners and the associations they accept."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import structlog

from gateway.dimse.acceptor import AcceptedAssociation, Handlers
from gateway.dimse.admission import (
    LOCAL_LIMIT_EXCEEDED,
    PROVIDER_PRESENTATION,
    TEMPORARY_CONGESTION,
    TRANSIENT,
    Admitted,
    Rejected,
)
from gateway.dimse.memory import MemoryReceiver
from gateway.dimse.negotiation import Policy
from gateway.dimse.pool import AssociationPool
from gateway.dimse.services import OPERATIONS
from gateway.dimse.tls import server_context
from gateway.model import AssociationFacts, Limits, Listener, Peer, Timers
from gateway.ports import ConfigurationError, DataSetReceiver, Meter, NoMeter

log = structlog.get_logger()

BACKLOG = 512
DEFAULT_TIMERS, DEFAULT_LIMITS, NO_METER = Timers(), Limits(), NoMeter()
STRANGERS_MAY = frozenset({"echo", "store"})
ANSWERED_BY_STATUS = frozenset({"find", "get", "move"})
"""A known peer that may not use these gets its contexts and is told 0x0124, which says more than a rejected context."""

KEEP_ALIVE_S = 10.0


class Server:
    """Accepts associations on any number of listeners; all on one event loop.

    Args:
        handlers: ``(event, handler[, [arguments]])`` as pynetdicom's `evt_handlers`; plain functions or coroutines.
        admission: decides over every association; raises Rejected.
        receiver: called once per data set that is received; it may raise a GatewayError to refuse it.
        ae_title: our AE title.
        timers, limits: of accepted associations.
        meter: where associations and stores are counted.
        pool: lends associations for C-MOVE sub-operations, and is closed when the server has drained; made when None.
        keep_alive_s: a C-GET or C-MOVE that takes longer than this between two responses sends a Pending one.
    """

    def __init__(
        self,
        *,
        handlers: Sequence[tuple[Any, ...]],
        admission: Callable[[AssociationFacts], Admitted],
        receiver: Callable[[], DataSetReceiver] = MemoryReceiver,
        ae_title: str,
        timers: Timers = DEFAULT_TIMERS,
        limits: Limits = DEFAULT_LIMITS,
        meter: Meter = NO_METER,
        pool: AssociationPool | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self.handlers: Handlers = {event: (handler, tuple(*rest)) for event, handler, *rest in handlers}
        self.receiver = receiver
        self.ae_title = ae_title
        self.timers = timers
        self.limits = limits
        self.meter = meter
        self.pool = pool if pool is not None else AssociationPool(ae_title, meter)
        self.keep_alive_s = keep_alive_s
        self._admission = admission
        self._listeners: dict[str, tuple[Listener, asyncio.Server]] = {}
        self._connections: set[AcceptedAssociation] = set()
        self._joined: set[AcceptedAssociation] = set()
        self._per_peer: Counter[tuple[str, str]] = Counter()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._emptied: asyncio.Future[None] | None = None
        operations = {operation.event: operation.service for operation in OPERATIONS.values()}
        unserved = [event.name for event in self.handlers if event not in operations]
        if unserved:
            raise ValueError(f"no operation serves {', '.join(unserved)}")
        self._services = frozenset(operations[event] for event in self.handlers)

    # --- listeners -------------------------------------------------------------------------------------------------

    @property
    def listeners(self) -> Mapping[str, Listener]:
        """Open listeners by name."""
        return MappingProxyType({name: listener for name, (listener, _) in self._listeners.items()})

    @property
    def associations(self) -> Collection[AcceptedAssociation]:
        """Accepted associations that were neither released nor aborted."""
        return frozenset(self._joined)

    @property
    def has_connections(self) -> bool:
        """True while any connection is open, associated or not."""
        return bool(self._connections)

    async def listen(self, listener: Listener) -> int:
        """Open a listener; the bound port (of interest for port 0).

        Raises:
            ConfigurationError: the name is taken, the address cannot be bound, or TLS files are bad.
        """
        if listener.name in self._listeners:
            raise ConfigurationError(f"listener {listener.name!r} is open already")
        context = server_context(listener.tls) if listener.tls is not None else None
        factory = functools.partial(self._connect, listener.name, context)
        try:
            server = await asyncio.get_running_loop().create_server(
                factory, listener.address or None, listener.port, backlog=BACKLOG
            )
        except OSError as error:
            text = f"listener {listener.name!r} cannot bind {listener.address}:{listener.port}: {error}"
            raise ConfigurationError(text) from error
        self._listeners[listener.name] = (listener, server)
        port = int(server.sockets[0].getsockname()[1])
        log.info("listener_opened", listener=listener.name, address=listener.address, port=port)
        return port

    async def close(self, name: str) -> None:
        """Stop the listener `name`; its associations go on. Raises KeyError."""
        _, server = self._listeners.pop(name)
        server.close()  # wait_closed() would wait for the associations, from Python 3.12.1 on
        log.info("listener_closed", listener=name)

    def _connect(self, listener: str, context: ssl.SSLContext | None) -> asyncio.BaseProtocol:
        if len(self._connections) >= 2 * self.limits.associations + 64:
            log.warning("connection_refused", listener=listener, connections=len(self._connections))
            return _Refusal()
        association = AcceptedAssociation(self, listener, self.limits.max_pdu_bytes)
        self._connections.add(association)
        return association if context is None else _Handshake(self, association, context)

    def start_handshake(
        self, transport: asyncio.Transport, association: AcceptedAssociation, context: ssl.SSLContext
    ) -> None:
        """Off the accept path: a silent or slow client keeps nobody waiting."""
        task = asyncio.get_running_loop().create_task(self._shake_hands(transport, association, context))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(
        self, transport: asyncio.Transport, association: AcceptedAssociation, context: ssl.SSLContext
    ) -> None:
        address = transport.get_extra_info("peername")
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                transport,
                association,
                context,
                server_side=True,
                ssl_handshake_timeout=self.timers.tls_handshake_s,
                ssl_shutdown_timeout=self.timers.tls_handshake_s,
            )
        except (OSError, asyncio.CancelledError) as error:
            log.warning("tls_handshake_failed", remote_host=address[0] if address else "", reason=str(error))
            transport.abort()
            self.closed(association)
            return
        if encrypted is None or association.is_closed:
            self.closed(association)
            return
        association.attach(encrypted)

    # --- for associations ------------------------------------------------------------------------------------------

    def admit(self, facts: AssociationFacts) -> Admitted:
        """Admission, then limits. Raises Rejected."""
        if self._is_draining:
            raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, "the gateway is stopping")
        admitted = self._admission(facts)
        if len(self._joined) >= self.limits.associations:
            text = f"{self.limits.associations} associations are open"
            raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, LOCAL_LIMIT_EXCEEDED, text)
        if self._per_peer[facts.remote_host, facts.calling_ae_title] >= self.limits.associations_per_peer:
            text = f"{self.limits.associations_per_peer} associations of this peer are open"
            raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, LOCAL_LIMIT_EXCEEDED, text)
        return admitted

    def policy(self, peer: Peer | None) -> Policy:
        """What `peer` may negotiate."""
        if peer is None:
            return Policy(self._services & STRANGERS_MAY)
        return Policy(
            services=self._services & (peer.may | ANSWERED_BY_STATUS),
            sop_classes=peer.accept_sop_classes,
            transfer_syntaxes=peer.accept_transfer_syntaxes,
            may_invoke_storage="get" in self._services & peer.may,
        )

    def joined(self, association: AcceptedAssociation) -> None:
        """An association is accepted."""
        facts = association.facts
        self._joined.add(association)
        self._per_peer[facts.remote_host, facts.calling_ae_title] += 1
        label = facts.peer or "(stranger)"
        self.meter.count("gateway_associations_total", direction="in", peer=label, result="accepted")
        self.meter.count("gateway_associations_open", 1, direction="in", peer=label)

    def left(self, association: AcceptedAssociation) -> None:
        """An accepted association ended."""
        facts = association.facts
        self._joined.discard(association)
        key = (facts.remote_host, facts.calling_ae_title)
        self._per_peer[key] -= 1
        if not self._per_peer[key]:
            del self._per_peer[key]
        self.meter.count("gateway_associations_open", -1, direction="in", peer=facts.peer or "(stranger)")

    def closed(self, association: AcceptedAssociation) -> None:
        """A connection is gone."""
        self._connections.discard(association)
        if not self._connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    # --- stopping --------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> bool:
        """Stop listening, let requests in work end, release; what is left after `seconds` is aborted.

        Returns:
            True when every association ended in time.
        """
        self._is_draining = True
        for name in list(self._listeners):
            await self.close(name)
        for association in list(self._connections):
            association.drain()
        try:
            if self._connections:
                self._emptied = asyncio.get_running_loop().create_future()
                async with asyncio.timeout(seconds):
                    await self._emptied
        except TimeoutError:
            self.abort_all()
            return False
        finally:
            await self.pool.close()
        return True

    def abort_all(self) -> None:
        """Abort every association and close its connection."""
        for task in list(self._handshakes):
            task.cancel()
        for association in list(self._connections):
            association.close_now()


class _Refusal(asyncio.Protocol):
    """Too many connections: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Handshake(asyncio.Protocol):
    """A connection whose first bytes belong to TLS."""

    def __init__(self, server: Server, association: AcceptedAssociation, context: ssl.SSLContext) -> None:
        self._server = server
        self._association = association
        self._context = context

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._server.start_handshake(transport, self._association, self._context)
