"""Headers of the PROXY protocol: who they name, which are malformed, and that nothing behind one is read."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.network.proxy_header import Caller, MalformedProxyHeader, lacking_bytes, read_caller
from tests.support.proxy_protocol import SIGNATURE, binary, line, local

NEXT = bytes.fromhex("01 00 00 00 00 CD") + bytes(205)
"""The first bytes of an A-ASSOCIATE-RQ."""
TLV = bytes.fromhex("04 0005") + bytes(5)  # PP2_TYPE_NOOP
CRC32C = bytes.fromhex("03 0004 FFFFFFFF")
SSL = bytes.fromhex("20 0005 01 00000000")


class Connection:
    """Gives what was sent, and counts what was taken.

    Args:
        sent: all bytes, then the end.
        most: the most bytes that arrive at a time.
    """

    def __init__(self, sent: bytes, most: int = 65536, end: Exception | None = None) -> None:
        self.left = sent
        self._most = most
        self._end = end
        self.most_asked = 0
        self.calls = 0

    async def __call__(self, asked: int) -> bytes:
        self.calls += 1
        self.most_asked = max(self.most_asked, asked)
        if not self.left and self._end is not None:
            raise self._end
        size = min(asked, self._most)
        piece, self.left = self.left[:size], self.left[size:]
        return piece

    def read(self) -> Caller | None:
        """Without an event loop: nothing waits here."""
        try:
            read_caller(self).send(None)
        except StopIteration as done:
            caller: Caller | None = done.value
            return caller
        raise AssertionError("it waits")


def with_kind(kind: int, size: int) -> bytes:
    return SIGNATURE + bytes([0x21, kind]) + size.to_bytes(2, "big") + bytes(size)


GOOD: dict[str, tuple[bytes, Caller | None]] = {
    "1: TCP4": (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Caller("192.168.0.1", 56324)),
    "1: TCP4, the longest": (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        Caller("255.255.255.255", 65535),
    ),
    "1: TCP4, the shortest": (b"PROXY TCP4 1.1.1.1 2.2.2.2 0 0\r\n", Caller("1.1.1.1", 0)),
    "1: TCP6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 104\r\n", Caller("2001:db8::7", 40000)),
    "1: TCP6, capital letters": (b"PROXY TCP6 2001:DB8::A ::1 1 1\r\n", Caller("2001:db8::a", 1)),
    "1: TCP6, the longest": (
        b"PROXY TCP6 " + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + b" 65535 65535\r\n",
        Caller("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
    ),
    "1: TCP6, an IPv4 address in it": (b"PROXY TCP6 ::ffff:10.1.2.3 ::1 7 104\r\n", Caller("10.1.2.3", 7)),
    "1: UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "1: UNKNOWN with addresses": (b"PROXY UNKNOWN ::1 ::1 7 104\r\n", None),
    "1: UNKNOWN with anything": (b"PROXY UNKNOWN \xff\n \r\0 TCP4 1.1.1.1\r\n", None),
    "1: UNKNOWN, the longest": (
        b"PROXY UNKNOWN " + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2) + b" 65535 65535\r\n",
        None,
    ),
    "2: TCP over IPv4": (
        SIGNATURE + bytes.fromhex("21 11 000C C0A80001 C0A8000B DC04 01BB"),
        Caller("192.168.0.1", 56324),
    ),
    "2: TCP over IPv6": (binary("2001:db8::7", port=7), Caller("2001:db8::7", 7)),
    "2: TCP over IPv6, an IPv4 address in it": (binary("::ffff:10.1.2.3"), Caller("10.1.2.3", 40000)),
    "2: with type-length-values": (binary("10.1.2.3", more=TLV + SSL + TLV), Caller("10.1.2.3", 40000)),
    "2: with a checksum, which is not compared": (binary("10.1.2.3", more=CRC32C), Caller("10.1.2.3", 40000)),
    "2: as long as we take": (binary("10.1.2.3", more=bytes(4096 - 12)), Caller("10.1.2.3", 40000)),
    "2: LOCAL": (local(), None),
    "2: LOCAL with addresses": (binary(version_and_command=0x20), None),
    "2: LOCAL of a family that is not specified": (local(bytes(7), family_and_protocol=0xF7), None),
    "2: LOCAL, too short for its family": (local(bytes(3), family_and_protocol=0x21), None),
    "2: UNSPEC": (with_kind(0x00, 0), None),
    "2: UNSPEC with anything": (with_kind(0x00, 31), None),
    "2: IPv4 without a protocol": (with_kind(0x10, 0), None),
    "2: STREAM without a family": (with_kind(0x01, 12), None),
    "2: UDP over IPv4": (with_kind(0x12, 12), None),
    "2: UDP over IPv6": (with_kind(0x22, 36), None),
    "2: UNIX stream": (with_kind(0x31, 216), None),
    "2: UNIX datagram": (with_kind(0x32, 216), None),
}

FIRST = "the first bytes are no PROXY header"
LINE = "neither TCP4, TCP6 nor UNKNOWN"
END = "no line of 15 to 107 bytes with CR LF"
BAD: dict[str, tuple[bytes, str]] = {
    "an A-ASSOCIATE-RQ": (NEXT, FIRST),
    "a TLS ClientHello": (bytes.fromhex("16 03 01 02 00 01") + bytes(511), FIRST),
    "HTTP": (b"GET /readyz HTTP/1.1\r\n\r\n", FIRST),
    "1 MB of garbage": (bytes(1_000_000), FIRST),
    "an empty line": (b"\r\n", "ended after 2 bytes"),
    "small letters": (b"proxy TCP4 1.1.1.1 2.2.2.2 1 1\r\n", FIRST),
    "1: two spaces at the start": (b"PROXY  TCP4 1.1.1.1 2.2.2.2 1 1\r\n", LINE),
    "1: two spaces further on": (b"PROXY TCP4 1.1.1.1  2.2.2.2 1 1\r\n", LINE),
    "1: a space at the end": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 1 \r\n", LINE),
    "1: a tab": (b"PROXY TCP4\t1.1.1.1 2.2.2.2 1 1\r\n", LINE),
    "1: another protocol": (b"PROXY UDP4 1.1.1.1 2.2.2.2 1 1\r\n", LINE),
    "1: no addresses": (b"PROXY TCP4 AND MORE\r\n", LINE),
    "1: one address": (b"PROXY TCP4 1.1.1.1 1 1\r\n", LINE),
    "1: one port": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", LINE),
    "1: UNKNOWN with more letters": (b"PROXY UNKNOWNS\r\n", LINE),
    "1: too short, and the line ends within what is read first": (b"PROXY\x20TCP4\r\n" + NEXT, END),
    "1: LF alone": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 1\n" + NEXT, END),
    "1: CR alone": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 1\r" + NEXT, END),
    "1: no end": (b"PROXY UNKNOWN" + b" " * 1_000_000, END),
    "1: one byte too long": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", END),
    "1: IPv6 as TCP4": (b"PROXY TCP4 ::1 ::2 1 1\r\n", "not of TCP4"),
    "1: IPv4 as TCP6": (b"PROXY TCP6 1.1.1.1 2.2.2.2 1 1\r\n", "not of TCP6"),
    "1: a zero in front": (b"PROXY TCP4 010.1.1.1 2.2.2.2 1 1\r\n", "not of TCP4"),
    "1: three numbers": (b"PROXY TCP4 10.1.1 2.2.2.2 1 1\r\n", "not of TCP4"),
    "1: 256": (b"PROXY TCP4 256.1.1.1 2.2.2.2 1 1\r\n", "not of TCP4"),
    "1: a destination that is none": (b"PROXY TCP4 1.1.1.1 2.2.2 1 1\r\n", "not of TCP4"),
    "1: two double colons": (b"PROXY TCP6 1::2::3 ::1 1 1\r\n", "not of TCP6"),
    "1: a zone": (b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", LINE),
    "1: a name": (b"PROXY TCP4 ct1.example.org 2.2.2.2 1 1\r\n", LINE),
    "1: a port above 65535": (b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 1\r\n", "a port above 65535"),
    "1: an own port above 65535": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n", "a port above 65535"),
    "1: a port with a zero in front": (b"PROXY TCP4 1.1.1.1 2.2.2.2 01 1\r\n", LINE),
    "1: a negative port": (b"PROXY TCP4 1.1.1.1 2.2.2.2 -1 1\r\n", LINE),
    "2: version 1": (binary(version_and_command=0x11), "version 1 with command 1"),
    "2: version 3": (binary(version_and_command=0x31), "version 3 with command 1"),
    "2: command 2": (binary(version_and_command=0x22), "version 2 with command 2"),
    "2: family 4": (with_kind(0x41, 12), "address family 4 with transport protocol 1"),
    "2: protocol 3": (with_kind(0x13, 12), "address family 1 with transport protocol 3"),
    "2: too short for IPv4": (with_kind(0x11, 11), "11 bytes follow, too few"),
    "2: too short for IPv6": (with_kind(0x21, 35), "35 bytes follow, too few"),
    "2: one byte too long": (with_kind(0x11, 4097), "4097 bytes follow, more than 4096"),
    "2: LOCAL, too long": (local(bytes(65535)), "65535 bytes follow"),
    "2: another signature": (SIGNATURE[:-1] + b"\0" + bytes(100), FIRST),
}


@pytest.mark.parametrize(("header", "caller"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("most", [65536, 1, 7])
def test_a_header_names_its_caller_and_nothing_behind_it_is_read(
    header: bytes, caller: Caller | None, most: int
) -> None:
    connection = Connection(header + NEXT, most)
    assert connection.read() == caller
    assert connection.left == NEXT


@pytest.mark.parametrize(("sent", "reason"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("most", [65536, 1])
def test_what_is_no_header_is_malformed(sent: bytes, reason: str, most: int) -> None:
    connection = Connection(sent, most)
    with pytest.raises(MalformedProxyHeader, match=reason):
        connection.read()
    assert connection.most_asked <= 15  # the rest is not read
    assert len(sent) - len(connection.left) <= 107


@pytest.mark.parametrize("header", [header for header, _ in GOOD.values()], ids=GOOD)
@pytest.mark.parametrize("end", [None, ConnectionResetError()], ids=["closed", "reset"])
def test_a_header_that_is_cut_off_anywhere_is_malformed(header: bytes, end: Exception | None) -> None:
    for size in range(1, len(header)):
        with pytest.raises(MalformedProxyHeader, match=f"ended after {size} bytes"):
            Connection(header[:size], end=end).read()


@pytest.mark.parametrize("end", [None, ConnectionResetError()], ids=["closed", "reset"])
def test_a_connection_that_ends_before_its_first_byte_has_no_header_at_all(end: Exception | None) -> None:
    with pytest.raises(EOFError):
        Connection(b"", end=end).read()


@pytest.mark.parametrize("start", [b"X", b"PROXZ", b"\r\n\r\n\1", SIGNATURE[:11] + b"\0"])
def test_a_first_byte_that_begins_no_header_is_enough(start: bytes) -> None:
    for size in range(len(start)):
        assert lacking_bytes(start[:size]) > 0
    with pytest.raises(MalformedProxyHeader, match=FIRST):
        lacking_bytes(start)


def test_a_header_takes_few_calls() -> None:
    """A line is read two bytes at a time behind its first fifteen, since its length stands nowhere."""
    for header, most in ((binary("10.1.2.3", more=TLV), 3), (binary("2001:db8::7"), 3), (line("10.1.2.3"), 15)):
        connection = Connection(header + NEXT)
        connection.read()
        assert connection.calls <= most


addresses = st.ip_addresses().map(str)
ports = st.integers(0, 65535)


@given(source=addresses, own=st.data(), port=ports, pieces=st.integers(1, 40), version=st.sampled_from([1, 2]))
def test_every_address_comes_through(source: str, own: st.DataObject, port: int, pieces: int, version: int) -> None:
    address = ipaddress.ip_address(source)
    destination = own.draw(st.ip_addresses(v=address.version).map(str))
    header = line(source, destination, port) if version == 1 else binary(source, destination, port)
    connection = Connection(header + NEXT, pieces)
    mapped = getattr(address, "ipv4_mapped", None)
    assert connection.read() == Caller(str(mapped or address), port)
    assert connection.left == NEXT


def headers() -> st.SearchStrategy[bytes]:
    """Good ones, with a few bytes changed, left out or put in."""

    def changed(header: bytes, where: int, cut: int, put: bytes) -> bytes:
        at = where % (len(header) + 1)
        return header[:at] + put + header[at + cut :]

    good = st.sampled_from([header for header, _ in GOOD.values()])
    return st.builds(changed, good, st.integers(0, 4200), st.integers(0, 3), st.binary(max_size=3))


@given(data=headers() | st.binary(max_size=200), most=st.integers(1, 300))
def test_how_the_bytes_arrive_makes_no_difference(data: bytes, most: int) -> None:
    def outcome(connection: Connection) -> tuple[object, int]:
        try:
            return connection.read(), len(connection.left)
        except EOFError:
            return "nothing", 0
        except MalformedProxyHeader:
            return "malformed", 0

    assert outcome(Connection(data)) == outcome(Connection(data, most))
