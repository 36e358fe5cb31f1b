"""The open connections of a server, and the room for them: without an association the oldest makes way, and a host that
is displaced or rejected again and again is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import structlog

from gateway.dimse.acceptor.acceptor_association import AcceptorAssociation
from gateway.dimse.acceptor.known_hosts import KnownHosts
from gateway.dimse.acceptor.slots import Associations, Slots
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits
from gateway.network.offences import Offences
from gateway.ports.meter import Meter

log = structlog.get_logger()


class ConnectionTable:
    """Every open connection with the host that it came from.

    Args:
        limits: of connections and associations.
        is_known_host: whether known peers call from a host; their connections have room of their own.
        meter: where displaced and refused connections are counted.
    """

    def __init__(self, limits: Limits, is_known_host: Callable[[str], bool], meter: Meter) -> None:
        self._meter = meter
        self._hosts: dict[AcceptorAssociation, str] = {}
        self._slots: Slots[AcceptorAssociation] = Slots(limits)
        self._known_hosts = KnownHosts(is_known_host)
        self._offences = Offences()
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[AcceptorAssociation]:
        return iter(list(self._hosts))

    @property
    def associations(self) -> Associations:
        """The number of associations, and their limits."""
        return self._slots.associations

    def takes(self, host: str) -> bool:
        """True when a new connection of `host` is to be set up; a refusal is logged and counted."""
        if self._offences.is_admitted(host, is_known=host in self._known_hosts):
            return True
        log.warning(
            "connection_refused",
            remote_host=host,
            reason="connections of this host were displaced or rejected many times in the last seconds",
        )
        self._meter.count("gateway_connections_refused_total")
        return False

    def add(self, association: AcceptorAssociation, host: str, *, is_proxy: bool = False) -> AcceptorAssociation | None:
        """A new connection, without an association; the one that is displaced by it, if any, which is to be closed.

        `is_proxy`: `host` is a balancer, which has the room of hosts that known peers call from until it has named the
        caller.
        """
        self._hosts[association] = host
        return self._enter(association, host, is_known=is_proxy)

    def named(self, association: AcceptorAssociation, host: str) -> AcceptorAssociation | None:
        """The balancer named `host` as the caller of its connection, which counts as that host's from now on; the one
        that is displaced by it, if any, which is to be closed."""
        self._slots.leave(association)
        return self.add(association, host)

    def joined(self, association: AcceptorAssociation) -> None:
        """The connection has an association now."""
        facts = association.facts
        self._slots.leave(association)
        self._slots.associations.joined(facts)
        if facts.peer:
            self._known_hosts.add(facts.remote_host)

    def known_as(self, before: AssociationFacts, after: AssociationFacts) -> None:
        """The requestor of an association is another peer now."""
        self._slots.associations.left(before)
        self._slots.associations.joined(after)

    def left(self, association: AcceptorAssociation) -> AcceptorAssociation | None:
        """The association is over; the connection that is displaced by its own, if any, which is to be closed."""
        self._slots.associations.left(association.facts)
        host = self._hosts.get(association)
        if host is None or association.is_closed:
            return None
        return self._enter(association, host, is_over=True)

    def rejected(self, association: AcceptorAssociation) -> None:
        """The association was rejected: an offence, but of a host of known peers, which may be over its own limits."""
        host = self._hosts.get(association)
        if host is not None and host not in self._known_hosts:
            self._offences.add(host)

    def remove(self, association: AcceptorAssociation) -> None:
        """The connection is gone."""
        self._slots.leave(association)
        self._hosts.pop(association, None)
        if not self._hosts and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def until_empty(self) -> None:
        """Return when no connection is open."""
        if self._hosts:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied

    def _enter(
        self, association: AcceptorAssociation, host: str, *, is_known: bool = False, is_over: bool = False
    ) -> AcceptorAssociation | None:
        is_known = is_known or host in self._known_hosts
        displaced = self._slots.enter(association, host, is_known=is_known, is_over=is_over)
        if displaced is None:
            return None
        host_of_displaced = self._hosts.get(displaced, "")
        log.warning(
            "connection_displaced",
            remote_host=host_of_displaced,
            reason="it had no association, and a newer connection needed its place (limits.unassociated)",
        )
        self._meter.count("gateway_connections_displaced_total")
        self._offences.add(host_of_displaced)
        return displaced
