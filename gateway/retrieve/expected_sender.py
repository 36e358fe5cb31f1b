"""The permitted senders of instances of a C-MOVE to ourselves: the source of the C-MOVE, from its own hosts."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from gateway.dimse.acceptor.hosts import is_within
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.peer import Peer


@dataclass(frozen=True, slots=True)
class ExpectedSender:
    """The peer that was asked."""

    peer: str
    """The name of the peer. An association is admitted as a peer's when it shows what the peer must show, as its
    certificate."""
    hosts: tuple[str, ...]
    """Addresses and networks that it may send from."""

    def refusal(self, peer: str, remote_host: str) -> str:
        """The reason why an instance is not taken from an association of `peer` that came from `remote_host`; empty
        when it is.
        """
        if peer != self.peer:
            return f"it does not come over an association of {self.peer}"
        if not is_within(remote_host, self.hosts):
            return f"{remote_host} is neither the address at which {self.peer} was asked nor one of its `hosts`"
        return ""


async def sender_of(peer: Peer, association: RequestorAssociation) -> ExpectedSender:
    """The peer that is asked over `association`: every address of its name, and its `hosts`."""
    found = [association.remote_address] if association.remote_address else []
    try:
        loop = asyncio.get_running_loop()
        found += [str(place[4][0]) for place in await loop.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)]
    except OSError:
        pass  # it was resolved a moment ago; that address counts
    return ExpectedSender(peer.name, (*dict.fromkeys(found), *peer.hosts))
