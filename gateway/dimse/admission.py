"""Who may associate with us: a pure decision over names and addresses."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.model import AssociationFacts, Peer, Settings

PERMANENT, TRANSIENT = 1, 2
SERVICE_USER, PROVIDER_ACSE, PROVIDER_PRESENTATION = 1, 2, 3
NO_REASON, APPLICATION_CONTEXT_NOT_SUPPORTED, CALLING_NOT_RECOGNIZED, CALLED_NOT_RECOGNIZED = 1, 2, 3, 7
TEMPORARY_CONGESTION, LOCAL_LIMIT_EXCEEDED = 1, 2


class Rejected(Exception):
    """An association that is rejected, with result, source and reason of PS3.8 §9.3.4; the text is for our log."""

    def __init__(self, result: int, source: int, reason: int, diagnostic: str) -> None:
        super().__init__(diagnostic)
        self.result = result
        self.source = source
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Admitted:
    """The association may be made."""

    peer: Peer | None
    """None for a stranger."""
    table: Any = None
    """Pinned to the association, as `event.assoc.table`."""


def admit(facts: AssociationFacts, settings: Settings, peers: Mapping[str, Peer], table: Any) -> Admitted:
    """Find the peer that calls.

    A calling AE title that peers name with `hosts` is theirs alone: from elsewhere it is rejected, also under
    `admit: any`. Peers without `may` are destinations only; whoever uses their title is a stranger.

    Raises:
        Rejected: called or calling AE title not recognized.
    """
    called = settings.called_ae_titles
    if facts.called_ae_title != settings.ae_title and facts.called_ae_title not in called and "*" not in called:
        raise Rejected(
            PERMANENT, SERVICE_USER, CALLED_NOT_RECOGNIZED, f"called AE title {facts.called_ae_title!r} is not ours"
        )
    named = [peer for peer in peers.values() if peer.may and peer.ae_title == facts.calling_ae_title]
    for peer in named:
        if not peer.hosts or _is_within(facts.remote_host, peer.hosts):
            return Admitted(peer, table)
    if settings.admit == "any" and not named and facts.calling_ae_title:
        return Admitted(None, table)
    where = f"not from {facts.remote_host}" if named else "no peer with `may` has it"
    raise Rejected(
        PERMANENT, SERVICE_USER, CALLING_NOT_RECOGNIZED, f"calling AE title {facts.calling_ae_title!r}: {where}"
    )


def _is_within(host: str, hosts: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in _networks(hosts))


@functools.lru_cache(maxsize=1024)
def _networks(hosts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(host, strict=False) for host in hosts)
