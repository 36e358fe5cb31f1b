"""The header of the PROXY protocol, versions 1 and 2, by which a balancer names the caller of a connection.

A header is read in steps of no more bytes than it surely has still, so that nothing behind it is taken from the socket.
Sections cited are those of the protocol's specification, "The PROXY protocol, versions 1 & 2" (HAProxy Technologies).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

LINE_START = b"PROXY "
LINE_END = b"\r\n"
SHORTEST_BYTES = 15
"""``PROXY UNKNOWN`` and its line end (§2.1); every header of version 2 is longer."""
LONGEST_LINE_BYTES = 107
"""With the line end (§2.1)."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES = 16
"""Signature, version and command, family and protocol, length (§2.2)."""
MOST_FOLLOWING_BYTES = 4096
"""The most bytes of addresses and type-length-values that we take; the length field would allow 65535."""
LOCAL, PROXY = 0, 1
LAST_FAMILY, LAST_PROTOCOL = 3, 2
TCP_OVER_IPV4, TCP_OVER_IPV6 = 0x11, 0x21
ADDRESS_BYTES = {TCP_OVER_IPV4: 4, TCP_OVER_IPV6: 16}
"""Family and protocol → the length of one address. For all others a header keeps the connection's own address."""

_PORT = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) %s %s\r\n" % (_PORT, _PORT))
_UNKNOWN = re.compile(rb"PROXY UNKNOWN( .*)?\r\n", re.DOTALL)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class MalformedProxyHeader(ValueError):
    """Bytes that begin no header, or one that breaks the specification; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The source of a connection, as a header names it."""

    host: str
    """Numeric; an IPv4 address in IPv6 form as IPv4."""
    port: int


async def read_caller(receive: Callable[[int], Awaitable[bytes]]) -> Caller | None:
    """Read a header; the caller, or None when the connection's own address holds.

    Args:
        receive: gives up to so many bytes of the connection, at least one; none when it ended.

    Raises:
        EOFError: the connection ended before its first byte.
        MalformedProxyHeader: something else came, or a header that is cut off.
    """
    header = b""
    while lacking := lacking_bytes(header):
        try:
            piece = await receive(lacking)
        except ConnectionError:  # it was reset
            piece = b""
        if not piece and not header:
            raise EOFError
        if not piece:
            raise MalformedProxyHeader(f"the connection ended after {len(header)} bytes of a header")
        header += piece
    return caller_of(header)


def lacking_bytes(header: bytes) -> int:
    """The number of bytes that a header which begins so still has at least; 0 when it is whole.

    Raises MalformedProxyHeader as soon as no header can begin so.
    """
    if LINE_START.startswith(header[: len(LINE_START)]):
        return _lacking_of_line(header)
    if SIGNATURE.startswith(header[: len(SIGNATURE)]):
        return _lacking_of_binary(header)
    raise MalformedProxyHeader("the first bytes are no PROXY header")


def caller_of(header: bytes) -> Caller | None:
    """The caller that a whole header names; None when the connection's own address holds: the balancer's own
    connection (LOCAL), or one of another kind than TCP over IPv4 or IPv6 (UNKNOWN, UNSPEC and others).

    Raises MalformedProxyHeader.
    """
    return _caller_of_line(header) if header.startswith(LINE_START) else _caller_of_binary(header)


def _lacking_of_line(header: bytes) -> int:
    end = header.find(LINE_END)
    if end >= 0 and end + len(LINE_END) == len(header) >= SHORTEST_BYTES:
        return 0
    lacking = max(SHORTEST_BYTES - len(header), 1 if header.endswith(b"\r") else 2)
    if end >= 0 or len(header) + lacking > LONGEST_LINE_BYTES:
        raise MalformedProxyHeader(f"no line of {SHORTEST_BYTES} to {LONGEST_LINE_BYTES} bytes with CR LF")
    return lacking


def _lacking_of_binary(header: bytes) -> int:
    if len(header) < FIXED_BYTES:
        return FIXED_BYTES - len(header)
    version, command = divmod(header[12], 16)
    if version != 2 or command not in (LOCAL, PROXY):
        raise MalformedProxyHeader(f"version {version} with command {command} is not of this protocol")
    family, protocol = divmod(header[13], 16)
    if command == PROXY and (family > LAST_FAMILY or protocol > LAST_PROTOCOL):
        raise MalformedProxyHeader(f"address family {family} with transport protocol {protocol} is not specified")
    following = int.from_bytes(header[14:16], "big")
    if following > MOST_FOLLOWING_BYTES:
        raise MalformedProxyHeader(f"{following} bytes follow, more than {MOST_FOLLOWING_BYTES}")
    if command == PROXY and following < _both_ends_bytes(header[13]):
        raise MalformedProxyHeader(f"{following} bytes follow, too few for its addresses")
    return FIXED_BYTES + following - len(header)


def _both_ends_bytes(family_and_protocol: int) -> int:
    """Two addresses and two ports; 0 where we read none."""
    size = ADDRESS_BYTES.get(family_and_protocol)
    return 0 if size is None else 2 * size + 4


def _caller_of_line(line: bytes) -> Caller | None:
    if _UNKNOWN.fullmatch(line):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise MalformedProxyHeader("the line is neither TCP4, TCP6 nor UNKNOWN with addresses and ports")
    family, *both, port, own_port = match.groups()
    read = ipaddress.IPv4Address if family == b"4" else ipaddress.IPv6Address
    try:
        source, _ = (read(address.decode("ascii")) for address in both)
    except ValueError as error:
        raise MalformedProxyHeader(f"the line has an address that is not of TCP{family.decode()}") from error
    if max(int(port), int(own_port)) > 65535:
        raise MalformedProxyHeader("the line has a port above 65535")
    return Caller(_plain(source), int(port))


def _caller_of_binary(header: bytes) -> Caller | None:
    size = ADDRESS_BYTES.get(header[13])
    if header[12] % 16 == LOCAL or size is None:
        return None
    ends = header[FIXED_BYTES:]
    port = int.from_bytes(ends[2 * size : 2 * size + 2], "big")
    return Caller(_plain(ipaddress.ip_address(ends[:size])), port)


def _plain(address: IPAddress) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
