"""Membership of an address in addresses and networks. Pure."""

from __future__ import annotations

import functools
import ipaddress


def is_within(host: str, hosts: tuple[str, ...]) -> bool:
    """True when the numeric address `host` is one of `hosts`, or in one of its networks (CIDR). An IPv4 address that is
    written as IPv6 is the same address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in _networks(hosts))


@functools.lru_cache(maxsize=1024)
def _networks(hosts: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(_plain(host), strict=False) for host in hosts)


def _plain(host: str) -> str:
    """The address without a zone; an IPv4 address mapped into IPv6 as IPv4."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return str(getattr(address, "ipv4_mapped", None) or address)
