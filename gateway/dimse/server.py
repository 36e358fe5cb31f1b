"""Listeners and the associations they accept."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import structlog
from pynetdicom.ae import ApplicationEntity

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.acceptor.admission import (
    LOCAL_LIMIT_EXCEEDED,
    PROVIDER_PRESENTATION,
    TEMPORARY_CONGESTION,
    TRANSIENT,
    Admitted,
    Rejected,
)
from gateway.dimse.acceptor.connection_setup import ConnectionSetup
from gateway.dimse.acceptor.connection_table import ConnectionTable
from gateway.dimse.acceptor.handler_failures import HandlerFailures
from gateway.dimse.acceptor.handler_thread import Handlers
from gateway.dimse.acceptor.hosts import is_within
from gateway.dimse.acceptor.identity_check import VerifyIdentity, nothing_verifies
from gateway.dimse.acceptor.negotiation import Policy
from gateway.dimse.acceptor.operations import NotifiesHandlers
from gateway.dimse.acceptor.peer_policy import check_readmitted, policy_of
from gateway.dimse.protocol.memory import MemoryReceiver
from gateway.dimse.protocol.tls import server_context
from gateway.dimse.protocol.tls_contexts import ReloadedContext
from gateway.dimse.pynetdicom_contract import bindings, notifications
from gateway.dimse.pynetdicom_contract.notified import Notified
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.services.operation_table import OPERATIONS
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Listener, Timers
from gateway.model.peer import Peer
from gateway.network.accepting import SocketAcceptor, SocketAddress, bind, host_of
from gateway.ports.encoded_data_set import DataSetReceiver
from gateway.ports.errors import ConfigurationError
from gateway.ports.meter import Meter, NoMeter, peer_label

log = structlog.get_logger()

DEFAULT_TIMERS, DEFAULT_LIMITS, NO_METER = Timers(), Limits(), NoMeter()
KEEP_ALIVE_S = 10.0


class Server:
    """Accepts associations on any number of listeners; all on one event loop.

    Args:
        handlers: ``(event, handler[, [arguments]])`` as pynetdicom's `evt_handlers` (`docs/handlers.md`). Plain
            functions are called in threads, asynchronous ones on the event loop. An intervention event without a
            handler is answered as pynetdicom documents it; a notification event is raised where handlers are bound.
        admission: decides over every association; raises Rejected.
        receiver: called once per data set that is received; it may raise a GatewayError to refuse it.
        ae_title: our AE title.
        timers, limits: of accepted associations.
        meter: where associations and stores are counted.
        pool: lends associations for C-MOVE sub-operations. None: one is made, and closed when the server has drained.
        keep_alive_s: a C-GET or C-MOVE that takes longer than this between two responses sends a Pending one.
        is_known_host: whether known peers call from a host; their connections have room of their own.
        verify_identity: verifies a user identity that a listener or a peer demands; without it all are refused.
        ended: called for each accepted association that ended, after its last response.
        shares_ports: other processes of this user may listen on the same ports, and take a part of the associations.
        table: the rules in force; each request has those that were when it had arrived, as `event.association.table`.
    """

    operations = OPERATIONS

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
        is_known_host: Callable[[str], bool] = lambda host: False,
        verify_identity: VerifyIdentity = nothing_verifies,
        table: Callable[[], Any] = lambda: None,
        ended: Callable[[AssociationFacts], object] = lambda facts: None,
        shares_ports: bool = False,
    ) -> None:
        answering, self.notifications = bindings.read_bindings(handlers)
        self.notified: Callable[[AcceptorAssociation, tuple[Any, ...]], NotifiesHandlers] = Notified
        self.handlers: Handlers = {**bindings.UNBOUND, **answering}
        self.receiver = receiver
        self.ae_title = ae_title
        self.timers = timers
        self.limits = limits
        self.meter = meter
        self.pool = pool if pool is not None else AssociationPool(ae_title, meter)
        self._closes_pool = pool is None
        self.keep_alive_s = keep_alive_s
        self.verify_identity = verify_identity
        self.table = table
        self._admission, self._ended, self._shares_ports = admission, ended, shares_ports
        self.handler_failures = HandlerFailures(meter)
        self._listeners: dict[str, tuple[Listener, SocketAcceptor]] = {}
        self._contexts: dict[str, ReloadedContext] = {}
        """Listener → its TLS context; listeners without TLS are left out."""
        self._connections = ConnectionTable(limits, is_known_host, meter)
        self._setup = ConnectionSetup(timers, meter, self.closed, self._named)
        self._joined: set[AcceptorAssociation] = set()
        self._is_draining = False

    @functools.cached_property
    def ae(self) -> ApplicationEntity:
        """The AE for handlers that open associations of their own; it accepts none."""
        ae = ApplicationEntity(self.ae_title)
        ae.acse_timeout, ae.dimse_timeout = self.timers.association_s, self.timers.dimse_s
        ae.connection_timeout, ae.network_timeout = self.timers.connect_s, self.timers.idle_s
        return ae

    # --- handlers --------------------------------------------------------------------------------------------------

    def bind(self, event: Any, handler: Callable[..., Any], args: Sequence[Any] | None = None) -> None:
        """Have `handler` take `event` from now on, also on associations that there are. On the event loop.

        Raises:
            ValueError, TypeError: see `gateway.dimse.pynetdicom_contract.bindings.bound`.
        """
        for holder in self._holders(event):
            bindings.bind(holder, event, handler, args)

    def unbind(self, event: Any, handler: Callable[..., Any]) -> None:
        """Have `handler` take `event` no more, if it does now."""
        for holder in self._holders(event):
            bindings.unbind(holder, event, handler)

    def _holders(self, event: Any) -> list[Server | AcceptorAssociation]:
        """The holders of the handlers of `event`: the server, and open associations from their next request on; for a
        notification event also connections without an association."""
        return [self, *(self._connections if bindings.is_notification(event) else self._joined)]

    def get_handlers(self, event: Any) -> Any:
        """Handler and arguments of `event`; of a notification event a list of them. Raises KeyError for one that is not
        raised."""
        if bindings.is_notification(event):
            return notifications.of_event(self.notifications, event)
        return self.handlers[event].documented

    def get_events(self) -> list[Any]:
        """Intervention events, and the notification events that handlers are bound to, by name."""
        found = {*self.handlers, *(one.event for one in self.notifications)}
        return sorted(found, key=lambda event: str(event.name))

    # --- listeners -------------------------------------------------------------------------------------------------

    @property
    def listeners(self) -> Mapping[str, Listener]:
        """Open listeners by name."""
        return MappingProxyType({name: listener for name, (listener, _) in self._listeners.items()})

    @property
    def tls_contexts(self) -> Mapping[str, ReloadedContext]:
        """The TLS contexts of open listeners, by name."""
        return MappingProxyType(self._contexts)

    @property
    def associations(self) -> Collection[AcceptorAssociation]:
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
        context = ReloadedContext(listener.tls, server_context) if listener.tls is not None else None
        try:
            sockets = await bind(listener.address, listener.port, is_shared=self._shares_ports)
        except OSError as error:
            text = f"listener {listener.name!r} cannot bind {listener.address}:{listener.port}: {error}"
            raise ConfigurationError(text) from error
        take = functools.partial(self._take, listener)
        acceptor = SocketAcceptor(sockets, take, on_shortage=functools.partial(self._short, listener.name))
        self._listeners[listener.name] = (listener, acceptor)
        if context is not None:
            self._contexts[listener.name] = context
        log.info("listener_opened", listener=listener.name, address=listener.address, port=acceptor.port)
        return acceptor.port

    async def close(self, name: str) -> None:
        """Stop the listener `name`; its associations go on. Raises KeyError."""
        _, acceptor = self._listeners.pop(name)
        self._contexts.pop(name, None)
        acceptor.close()
        log.info("listener_closed", listener=name)

    # --- connections -----------------------------------------------------------------------------------------------

    def _take(self, listener: Listener, connection: socket.socket, address: SocketAddress) -> bool:
        """A new connection; the oldest without an association makes room for it where there is none."""
        host = host_of(address)
        is_proxy = bool(listener.proxies) and is_within(host, listener.proxies)
        if not is_proxy and not self._connections.takes(host):
            connection.close()
            return False
        context = self._contexts[listener.name].current if listener.tls is not None else None
        association = AcceptorAssociation(self, listener.name, self.limits.max_pdu_bytes, listener.user_identity)
        self._close(self._connections.add(association, host, is_proxy=is_proxy))
        self.meter.count("gateway_connections_total", listener=listener.name)
        self._setup.start(association, connection, listener, context, host if is_proxy else "")
        return True

    def _named(self, association: AcceptorAssociation, host: str) -> bool:
        """A balancer named `host` as the caller of its connection; False when nothing of that host is taken now."""
        if not self._connections.takes(host):
            return False
        self._close(self._connections.named(association, host))
        return True

    def _close(self, association: AcceptorAssociation | None) -> None:
        """Close the connection in whatever state it is; nothing for None."""
        if association is not None:
            self._setup.cancel(association)
            association.close_now()

    def _short(self, listener: str, error: OSError) -> None:
        log.error(
            "connections_not_accepted",
            listener=listener,
            reason=error.strerror or str(error),
            advice="nothing is accepted for a moment; raise the limit of open files, or lower `limits`",
        )
        self.meter.count("gateway_accept_failures_total", listener=listener)

    # --- for associations ------------------------------------------------------------------------------------------

    def admit(self, facts: AssociationFacts) -> Admitted:
        """Admission, then limits. Raises Rejected."""
        if self._is_draining:
            raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, "the gateway is stopping")
        admitted = self._admission(facts)
        objection = self._connections.associations.objection(facts, is_stranger=admitted.peer is None)
        if objection:
            raise Rejected(TRANSIENT, PROVIDER_PRESENTATION, LOCAL_LIMIT_EXCEEDED, objection)
        return admitted

    def readmit(self, association: AcceptorAssociation) -> Admitted:
        """The requestor of an open association, by the rules in force; what was negotiated stays.

        Raises:
            Rejected: admission rejects it, demands a user identity that was not verified, or gives it no longer what
                it has presentation contexts for.
        """
        admitted = self._admission(association.facts)
        check_readmitted(association, admitted)
        return admitted

    def rules_changed(self) -> None:
        """`table` gives other rules now: requestors that they do not admit are aborted, each after its request in
        work."""
        for association in list(self._joined):
            association.rules_changed()

    def policy(self, peer: Peer | None, *, is_strict: bool = False) -> Policy:
        """The services and syntaxes that `peer` may negotiate; `is_strict`: by the letter of the standard."""
        return policy_of(peer, is_strict=is_strict)

    def rejected(self, association: AcceptorAssociation) -> None:
        """An association was rejected; a host of known peers may have limits of its own in its way."""
        if not self._is_draining:
            self._connections.rejected(association)

    def joined(self, association: AcceptorAssociation) -> None:
        """An association is accepted."""
        self._joined.add(association)
        self._connections.joined(association)
        label = peer_label(association.facts)
        self.meter.count("gateway_associations_total", direction="in", peer=label, result="accepted")
        self.meter.count("gateway_associations_open", 1, direction="in", peer=label)

    def known_as(self, before: AssociationFacts, after: AssociationFacts) -> None:
        """The requestor of an open association is another peer by the rules in force."""
        self._connections.known_as(before, after)
        for facts, number in ((before, -1), (after, 1)):
            self.meter.count("gateway_associations_open", number, direction="in", peer=peer_label(facts))

    def left(self, association: AcceptorAssociation) -> None:
        """An accepted association ended."""
        facts = association.facts
        self._joined.discard(association)
        self._close(self._connections.left(association))
        self.meter.count("gateway_associations_open", -1, direction="in", peer=peer_label(facts))
        self._ended(facts)

    def closed(self, association: AcceptorAssociation) -> None:
        """A connection is gone."""
        self._connections.remove(association)

    # --- stopping --------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> bool:
        """Stop listening, let requests in work end, release; what is left after `seconds` is aborted.

        Returns:
            True when every association ended in time.
        """
        self._is_draining = True
        for name in list(self._listeners):
            await self.close(name)
        for association in self._connections:
            self._setup.cancel(association)
            association.drain()
        try:
            if self._connections:
                async with asyncio.timeout(seconds):
                    await self._connections.until_empty()
        except TimeoutError:
            self.abort_all()
            return False
        finally:
            if self._closes_pool:
                await self.pool.close()
        return True

    def abort_all(self) -> None:
        """Abort every association and close its connection."""
        for association in self._connections:
            self._close(association)
