"""Ports of our listeners and of HTTP: ours to listen on, and free, unless the gateway of these rules has them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

from gateway.dimse.protocol.tls import server_context
from gateway.doctor.catalogue import Area
from gateway.doctor.finding import DoctorFinding, found
from gateway.model.listener import Listener
from gateway.model.settings import HTTP
from gateway.ports.errors import ConfigurationError

FAILURES = {
    errno.EADDRINUSE: "port-taken",
    errno.EACCES: "port-not-permitted",
    errno.EPERM: "port-not-permitted",
    errno.EADDRNOTAVAIL: "address-not-ours",
}


def listener(one: Listener, open_ports: frozenset[tuple[str, int]]) -> Iterator[DoctorFinding]:
    """`open_ports`: address and port of each listener of the gateway of these rules that runs."""
    subject = f"{one.name} ({one.address}:{one.port})"
    if one.tls is not None:
        try:
            server_context(one.tls)
        except ConfigurationError as error:
            yield found("tls-unusable", subject, str(error), area="listener")
    yield from _port("listener", subject, one.address, one.port, is_open=(one.address, one.port) in open_ports)


def http(place: HTTP, *, is_open: bool) -> Iterator[DoctorFinding]:
    """`is_open`: the gateway of these rules answers there."""
    yield from _port("http", f"{place.address}:{place.port}", place.address, place.port, is_open=is_open)


def _port(area: Area, subject: str, address: str, port: int, *, is_open: bool) -> Iterator[DoctorFinding]:
    if is_open:
        yield found("port-open", subject, "the gateway of these rules listens there", area=area)
        return
    try:
        places = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in places:
            _try_to_bind(family, kind, protocol, place)
    except OSError as error:
        code = FAILURES.get(error.errno or 0, "port-not-usable")
        yield found(
            code, subject, os.strerror(error.errno) if error.errno and error.errno > 0 else str(error), area=area
        )
        return
    yield found("port-free", subject, "nobody listens there, and this user may", area=area)


def _try_to_bind(family: int, kind: int, protocol: int, place: tuple[object, ...]) -> None:
    """Bind as the gateway does, without listening: no client can connect, and a process that wants to listen there now
    still can."""
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(place)
