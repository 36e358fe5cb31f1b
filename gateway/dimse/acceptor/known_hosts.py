"""Hosts that known peers call from: by `hosts`, by `address`, or because an association of theirs was accepted."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable

from gateway.common.ip_network import IPNetwork
from gateway.model.peer import Peer

MOST_REMEMBERED = 4096

HostAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class HostsOfPeers:
    """The hosts that the configuration names, for peers that may call us. Names that need a resolver are left out."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._addresses: set[HostAddress] = set()
        self._networks: set[IPNetwork] = set()
        for peer in peers:
            if peer.may:
                for text in (*peer.hosts, peer.host):
                    self._add(text)

    def _add(self, text: str) -> None:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            return
        if network.num_addresses == 1:
            self._addresses.add(network.network_address)
        else:
            self._networks.add(network)

    def __contains__(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address in self._addresses or any(address in network for network in self._networks)


class KnownHosts:
    """The configuration's hosts, as they stand, and those from which known peers associated lately.

    Args:
        configured: asked for hosts that no known peer associated from yet.
    """

    def __init__(self, configured: Callable[[str], bool]) -> None:
        self._configured = configured
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, host: str) -> bool:
        return host in self._seen or self._configured(host)

    def add(self, host: str) -> None:
        """An association of a known peer was accepted from there."""
        self._seen[host] = None
        self._seen.move_to_end(host)
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
