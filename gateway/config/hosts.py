"""Addresses and networks that are written as a list of hosts."""

from __future__ import annotations

import ipaddress

from gateway.config.compile_context import Context
from gateway.config.tree import Place, substituted


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
