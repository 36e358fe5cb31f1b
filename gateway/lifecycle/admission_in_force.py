"""Admission of requestors by the rules in force: their peers, the hosts they call from, their user identities."""

from __future__ import annotations

from collections.abc import Callable

from gateway.dimse.acceptor.admission import Admitted, admit
from gateway.dimse.acceptor.known_hosts import HostsOfPeers
from gateway.identity.values import OfferedIdentity, VerifiedIdentity
from gateway.identity.verifier import Verifier
from gateway.lifecycle.reload import TableInForce
from gateway.model.association import AssociationFacts
from gateway.model.security import IdentityCheck
from gateway.ports.meter import Meter
from gateway.routing.table import RoutingTable


class AdmissionInForce:
    """Answers the server's questions about requestors by the table in force.

    Args:
        live: the table in force.
        meter: where verified and refused identities are counted.
    """

    def __init__(self, live: TableInForce, meter: Meter) -> None:
        self._live = live
        self._verifier = Verifier(meter)
        self._hosts = (live.current, HostsOfPeers(live.current.peers.values()))

    def admit(self, facts: AssociationFacts) -> Admitted:
        """The peer that a requestor is. Raises Rejected."""
        table = self._live.current
        return admit(facts, table.settings, table.peers, reserved=table.reserved_ae_titles)

    def is_known_host(self, host: str) -> bool:
        """True when a peer of the table calls from `host`."""
        table = self._live.current
        if self._hosts[0] is not table:
            self._hosts = (table, HostsOfPeers(table.peers.values()))
        return host in self._hosts[1]

    async def verify_identity(self, check: IdentityCheck, offered: OfferedIdentity) -> VerifiedIdentity:
        """Verify a user identity by the methods of the table. Raises NotVerified."""
        return await self._verifier.verify(self._live.current.identity_methods, check, offered)

    def prepare(self, table: RoutingTable) -> Callable[[], None]:
        """Read the hosts of `table`; the call that puts them in force cannot fail."""
        hosts = HostsOfPeers(table.peers.values())

        def put_in_force() -> None:
            self._hosts = (table, hosts)

        return put_in_force
