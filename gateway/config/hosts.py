"""Addresses and networks that are written as a list of hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from gateway.config.compile_context import Context
from gateway.config.tree import Place, substituted
from gateway.model.listener import Listener
from gateway.model.peer import Peer


def compile_hosts(hosts: tuple[str, ...], place: Place, context: Context) -> tuple[str, ...]:
    """Numeric addresses and networks; what is neither is reported and left out."""
    networks: list[str] = []
    for index, text in enumerate(hosts):
        at = place.at(index)
        try:
            networks.append(str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text)))
        except ValueError:
            context.error(
                at, "bad-host", f"{at.shown} is neither an address nor a network such as `10.1.0.0/16`{_near(text, at)}"
            )
    return tuple(networks)


def _near(text: str, place: Place) -> str:
    if "/" not in text or substituted(place.node):
        return ""
    try:
        return f" (did you mean `{ipaddress.ip_network(text, strict=False)}`?)"
    except ValueError:
        return ""


def warn_of_balancers(peers: Iterable[tuple[Peer, Place]], listeners: Collection[Listener], context: Context) -> None:
    """A balancer among the `hosts` of a peer: its callers come from addresses of their own."""
    for peer, place in peers:
        names = peer.requires.listeners
        usable = [one for one in listeners if not names or one.name in names]
        for index, host in enumerate(peer.hosts):
            if usable and all(_holds(one.proxies, host) for one in usable):
                message = (
                    f"`{host}` is a balancer (`proxy_protocol`) at every listener that `{peer.name}` may use; only "
                    "callers that it cannot name have its address: write those of the callers"
                )
                context.findings.warning(place.at("hosts", index).mark, "host-of-balancer", message)


def _holds(networks: tuple[str, ...], host: str) -> bool:
    """True when every address of `host` is in one of `networks`."""
    inner = ipaddress.ip_network(host)
    return any(
        inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one version
        for outer in map(ipaddress.ip_network, networks)
    )
