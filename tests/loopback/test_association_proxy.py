"""Behind a TCP balancer that speaks the PROXY protocol: everything that looks at an address sees the caller's own."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE, evt
from structlog.testing import capture_logs

from gateway.dimse.acceptor.admission import Admitted, Rejected, admit
from gateway.model.association import AssociationFacts
from gateway.model.listener import Limits, Listener, Timers
from gateway.model.peer import Peer as ConfiguredPeer
from gateway.model.security import TLS
from gateway.model.settings import Settings, Spool
from gateway.network.offences import BURST
from tests.support.dimse.rig import (
    CT,
    ECHO_ID,
    EXPLICIT,
    VERIFICATION,
    Peer,
    answer_success,
    associate_rq,
    echo_command,
    message,
    serving,
)
from tests.support.fakes.meter import MemoryMeter
from tests.support.processes import until
from tests.support.proxy_protocol import binary, line, local, relaying
from tests.support.tls import Certificates, certificates_in, files

BEHIND = Listener("main", 0, "127.0.0.1", proxies=("127.0.0.1",))
CALLER, OTHER = "10.1.2.3", "10.1.2.4"
PROXY = "127.0.0.1"
REJECTED = "gateway_proxy_headers_rejected_total"
ABORT = bytes.fromhex("07 00 00000004 0000 00 00")
"""The answer to an invalid PDU in place of an A-ASSOCIATE-RQ (PS3.8 §9.2, AA-1)."""


class Callers:
    """Admits everybody, and keeps who came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def __call__(self, facts: AssociationFacts) -> Admitted:
        self.seen.append((facts.remote_host, facts.remote_port))
        if facts.calling_ae_title == "NOBODY":
            raise Rejected(1, 1, 3, "who?")
        return Admitted(None)


async def echoes(peer: Peer) -> bool:
    peer.send(message(ECHO_ID, echo_command()))
    status: int = (await peer.response())["Status"]
    return status == 0


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("proxy"))


# --- who calls ------------------------------------------------------------------------------------------------------

HEADERS = {
    "version 1": (line(CALLER), (CALLER, 40000)),
    "version 1, IPv6": (line("2001:db8::7"), ("2001:db8::7", 40000)),
    "version 2": (binary(CALLER), (CALLER, 40000)),
    "version 2, IPv6": (binary("2001:db8::7", port=7), ("2001:db8::7", 7)),
    "version 2, as a balancer of AWS": (
        binary(CALLER, more=bytes.fromhex("EA 0002 0176 03 0004 A9B87E8F")),
        (CALLER, 40000),
    ),
}


@pytest.mark.parametrize(("header", "caller"), HEADERS.values(), ids=HEADERS)
async def test_the_caller_is_the_one_that_the_header_names(header: bytes, caller: tuple[str, int]) -> None:
    callers = Callers()
    async with serving(listener=BEHIND, admission=callers) as running, await Peer.connect(running.port) as peer:
        with capture_logs() as events:
            peer.send(header + associate_rq())
            assert (await peer.pdu())[0] == 2
            assert await echoes(peer)
        (association,) = running.server.associations
        assert (association.facts.remote_host, association.facts.remote_port) == caller
    assert callers.seen == [caller]
    (accepted,) = [event for event in events if event["event"] == "association_accepted"]
    assert (accepted["remote_host"], accepted["proxy_host"]) == (caller[0], PROXY)


@pytest.mark.parametrize(
    "header", [line(CALLER), binary("2001:db8::7", more=bytes(40))], ids=["version 1", "version 2"]
)
async def test_header_and_request_may_be_split_anywhere(header: bytes) -> None:
    callers = Callers()
    sent = header + associate_rq()
    async with serving(listener=BEHIND, admission=callers) as running:
        for size in range(1, len(header) + 8):
            async with await Peer.connect(running.port) as peer:
                peer.send(sent[:size])
                for _ in range(4):
                    await asyncio.sleep(0)
                peer.send(sent[size:])
                assert (await peer.pdu())[0] == 2, size
    assert {host for host, _ in callers.seen} == {CALLER if header.startswith(b"PROXY") else "2001:db8::7"}
    assert len(callers.seen) == len(header) + 7


async def test_a_header_and_a_request_byte_by_byte() -> None:
    async with serving(listener=BEHIND, admission=Callers()) as running, await Peer.connect(running.port) as peer:
        for byte in line(CALLER) + associate_rq():
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.pdu())[0] == 2
        assert await echoes(peer)


@pytest.mark.parametrize(
    "header", [local(), local(bytes(12), 0x11), b"PROXY UNKNOWN\r\n", binary(family_and_protocol=0x31, more=bytes(204))]
)
async def test_a_connection_of_the_balancer_itself_has_the_address_of_the_balancer(header: bytes) -> None:
    callers = Callers()
    async with serving(listener=BEHIND, admission=callers) as running, await Peer.connect(running.port) as peer:
        with capture_logs() as events:
            peer.send(header + associate_rq())
            assert (await peer.pdu())[0] == 2
        own = peer.writer.get_extra_info("sockname")
    assert callers.seen == [own]
    assert [event.get("proxy_host") for event in events if event["event"] == "association_accepted"] == [None]


async def test_over_ipv6() -> None:
    callers = Callers()
    listener = Listener("main", 0, "::1", proxies=("::/64",))
    async with serving(listener=listener, admission=callers) as running:
        reader, writer = await asyncio.open_connection("::1", running.port)
        async with Peer(reader, writer) as peer:
            peer.send(line("2001:db8::7") + associate_rq())
            assert (await peer.pdu())[0] == 2
    assert callers.seen == [("2001:db8::7", 40000)]


# --- who is believed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxies", [("10.0.0.5",), ("127.0.0.2", "10.0.0.0/8"), ()], ids=str)
@pytest.mark.parametrize("header", [line(CALLER), binary(CALLER)], ids=["version 1", "version 2"])
async def test_a_header_from_elsewhere_is_an_invalid_pdu(proxies: tuple[str, ...], header: bytes) -> None:
    callers, meter = Callers(), MemoryMeter()
    listener = dataclasses.replace(BEHIND, proxies=proxies)
    async with serving(listener=listener, admission=callers, meter=meter) as running:
        async with await Peer.connect(running.port) as peer:
            peer.send(header + associate_rq())
            assert await peer.pdu() == ABORT
        assert callers.seen == []
        async with await Peer.associated(running.port) as peer:  # without one it is served as ever
            assert await echoes(peer)
            assert callers.seen == [peer.writer.get_extra_info("sockname")]
    assert meter.total(REJECTED) == 0


async def test_one_listener_takes_both() -> None:
    """The addresses decide, connection by connection."""
    callers = Callers()
    listener = dataclasses.replace(BEHIND, proxies=("127.0.0.9",))
    async with serving(listener=listener, admission=callers) as running:
        async with await Peer.connect(running.port, local_addr=("127.0.0.9", 0)) as peer:
            peer.send(binary(CALLER) + associate_rq())
            assert (await peer.pdu())[0] == 2
        async with await Peer.associated(running.port):
            pass
    assert [host for host, _ in callers.seen] == [CALLER, "127.0.0.1"]


NO_HEADER: dict[str, bytes] = {
    "an A-ASSOCIATE-RQ": associate_rq(),
    "a malformed line": b"PROXY TCP4 10.1.2.3 10.0.0.5 x 104\r\n" + associate_rq(),
    "a line that does not end": b"PROXY TCP4 " + b"1" * 500,
    "another version": binary(version_and_command=0x31) + associate_rq(),
    "1 MB of garbage": b"\xa5" * 1_000_000,
    "two headers": line(CALLER) + line(OTHER) + associate_rq(),
}


@pytest.mark.parametrize("sent", NO_HEADER.values(), ids=NO_HEADER)
async def test_a_balancer_must_send_a_header_and_one_alone(sent: bytes) -> None:
    callers, meter = Callers(), MemoryMeter()
    async with serving(listener=BEHIND, admission=callers, meter=meter) as running:
        async with await Peer.connect(running.port) as peer:
            with capture_logs() as events:
                peer.send(sent)
                answer = await peer.pdu()
        await until(lambda: not running.server.has_connections)
    assert callers.seen == []
    if sent.startswith(line(CALLER)):
        assert answer == ABORT  # the second is no PDU
        (told,) = [event for event in events if event["event"] == "association_protocol_violated"]
        assert (told["remote_host"], told["proxy_host"]) == (CALLER, PROXY)
        return
    assert answer == b""
    assert meter.counted["gateway_proxy_headers_rejected_total", "main"] == 1
    (told,) = [event for event in events if event["event"] == "proxy_header_rejected"]
    assert (told["listener"], told["remote_host"]) == ("main", PROXY)


async def test_a_header_that_does_not_come_in_time() -> None:
    timers = Timers(association_s=0.1, dimse_s=60.0)
    with capture_logs() as events:
        async with serving(listener=BEHIND, timers=timers) as running, await Peer.connect(running.port) as peer:
            peer.send(b"PROXY TCP4 10.1")
            assert await peer.is_closed()
    (told,) = [event for event in events if event["event"] == "proxy_header_rejected"]
    assert told["reason"] == "no whole header came within 0.1 s"


async def test_looks_whether_the_port_is_open_leave_no_trace() -> None:
    meter = MemoryMeter()
    with capture_logs() as events:
        async with serving(listener=BEHIND, meter=meter) as running:
            for sent in (b"", local(), b"PROXY UNKNOWN\r\n"):
                for _ in range(20):
                    async with await Peer.connect(running.port) as peer:
                        peer.send(sent)
                        peer.writer.write_eof()
                        assert await peer.is_closed()
            await until(lambda: not running.server.has_connections)
    assert {event["event"] for event in events} <= {"listener_opened", "listener_closed"}
    assert meter.total(REJECTED) + meter.total("gateway_connections_displaced_total") == 0


async def test_a_stop_does_not_wait_for_a_header() -> None:
    async with serving(listener=BEHIND) as running, await Peer.connect(running.port) as silent:
        silent.send(b"PROXY ")
        await until(lambda: running.server.has_connections)
        assert await running.server.drain(60) is True
        assert await silent.is_closed()


# --- what looks at the address --------------------------------------------------------------------------------------


def of_peers(*peers: ConfiguredPeer) -> Callable[[AssociationFacts], Admitted]:
    by_name = {peer.name: peer for peer in peers}
    settings = Settings("GATEWAY", (BEHIND,), Spool("spool"), "queue.db")
    return lambda facts: admit(facts, settings, by_name)


@pytest.mark.parametrize(("source", "is_taken"), [(CALLER, True), ("10.9.9.9", False)])
async def test_hosts_of_a_peer_are_compared_with_the_caller(source: str, is_taken: bool) -> None:
    ct1 = ConfiguredPeer("ct1", "TESTER", may=frozenset({"store"}), hosts=("10.1.2.0/24",))
    with capture_logs() as events:
        async with (
            serving(listener=BEHIND, admission=of_peers(ct1)) as running,
            await Peer.connect(running.port) as peer,
        ):
            peer.send(binary(source) + associate_rq())
            assert (await peer.pdu())[0] == (2 if is_taken else 3)
    told = [event for event in events if event["event"].startswith("association_")]
    assert (told[0]["event"], told[0]["remote_host"], told[0]["proxy_host"]) == (
        "association_accepted" if is_taken else "association_rejected",
        source,
        PROXY,
    )
    assert is_taken or f"not from {source}" in told[0]["diagnostic"]


async def test_limits_of_one_host_are_those_of_the_caller() -> None:
    limits = Limits(associations=16, associations_per_host=1)
    async with serving(listener=BEHIND, admission=Callers(), limits=limits) as running:
        answers = []
        peers = []
        for source in (CALLER, CALLER, OTHER):
            peers.append(peer := await Peer.connect(running.port))
            peer.send(line(source) + associate_rq())
            answers.append((await peer.pdu())[0])
        for peer in peers:
            await peer.__aexit__()
    assert answers == [2, 3, 2]


async def test_connections_without_an_association_count_for_their_caller() -> None:
    """One caller that says nothing loses its own places; another behind the same balancer keeps its own."""
    limits, meter = Limits(unassociated=8, unassociated_per_host=4), MemoryMeter()
    async with serving(listener=BEHIND, admission=Callers(), limits=limits, meter=meter) as running:
        patient = await Peer.connect(running.port)
        patient.send(line(OTHER))
        silent = []
        for _ in range(12):
            silent.append(peer := await Peer.connect(running.port))
            peer.send(line(CALLER))
        await until(lambda: meter.total("gateway_connections_displaced_total") == 8)
        patient.send(associate_rq())
        assert (await patient.pdu())[0] == 2
        for peer in (patient, *silent):
            await peer.__aexit__()


async def test_a_caller_that_is_rejected_again_and_again_is_closed_and_its_balancer_is_not() -> None:
    meter = MemoryMeter()
    async with serving(listener=BEHIND, admission=Callers(), meter=meter) as running:
        answers = []
        while b"" not in answers:  # a machine that is busy gives the caller time to be forgiven
            async with await Peer.connect(running.port) as peer:
                peer.send(line(CALLER) + associate_rq(calling="NOBODY"))
                answers.append((await peer.pdu())[:1])
        assert set(answers) == {b"\3", b""}
        assert len(answers) > BURST
        assert meter.total("gateway_connections_refused_total") > 0
        for header in (line(OTHER), local()):
            async with await Peer.connect(running.port) as peer:
                peer.send(header + associate_rq())
                assert (await peer.pdu())[0] == 2


# --- TLS ------------------------------------------------------------------------------------------------------------


def with_tls(certificates: Certificates) -> Listener:
    return dataclasses.replace(BEHIND, tls=TLS(**files(certificates.server)))


@pytest.mark.parametrize("header", [line(CALLER), binary(CALLER, more=bytes(200))], ids=["version 1", "version 2"])
async def test_the_header_comes_before_tls(certificates: Certificates, header: bytes) -> None:
    callers = Callers()
    trusting = ssl.create_default_context(cafile=certificates.authority.certificate)
    async with (
        serving(listener=with_tls(certificates), admission=callers) as running,
        relaying(running.port, header) as port,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="localhost")
        async with Peer(reader, writer) as peer:
            peer.send(associate_rq())
            assert (await peer.pdu())[0] == 2
            (association,) = running.server.associations
            assert association.facts.is_tls
    assert callers.seen == [(CALLER, 40000)]


async def test_a_handshake_that_fails_is_of_the_caller(certificates: Certificates) -> None:
    with capture_logs() as events:
        async with serving(listener=with_tls(certificates)) as running, await Peer.connect(running.port) as peer:
            peer.send(line(CALLER) + associate_rq())
            assert await peer.is_closed()
    (told,) = [event for event in events if event["event"] == "tls_handshake_failed"]
    assert (told["remote_host"], told["proxy_host"]) == (CALLER, PROXY)


async def test_without_a_balancer_a_failed_handshake_is_of_the_connection(certificates: Certificates) -> None:
    listener = dataclasses.replace(with_tls(certificates), proxies=())
    with capture_logs() as events:
        async with serving(listener=listener) as running, await Peer.connect(running.port) as peer:
            peer.send(associate_rq())
            assert await peer.is_closed()
    (told,) = [event for event in events if event["event"] == "tls_handshake_failed"]
    assert (told["remote_host"], told.get("proxy_host")) == ("127.0.0.1", None)


# --- stock pynetdicom and handlers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [line(CALLER), binary(CALLER)], ids=["version 1", "version 2"])
async def test_stock_pynetdicom_behind_a_balancer(header: bytes) -> None:
    """Handlers see the caller where pynetdicom documents its address."""
    stored: list[Any] = []
    told: list[tuple[str, Any]] = []  # in a thread of its own

    def store(event: Any) -> int:
        stored.append((event.assoc.requestor.address, event.assoc.requestor.port))
        stored.append(event.facts.remote_host)
        return 0x0000

    def connection(event: Any) -> None:
        told.append((event.event.name, event.address))

    handlers = [
        (evt.EVT_C_ECHO, answer_success),
        (evt.EVT_C_STORE, store),
        (evt.EVT_CONN_OPEN, connection),
        (evt.EVT_CONN_CLOSE, connection),
    ]

    def send(port: int) -> int:
        ae = AE("STOCK")
        ae.add_requested_context(CT, EXPLICIT)
        ae.add_requested_context(VERIFICATION)
        association = ae.associate("127.0.0.1", port, ae_title="GATEWAY")
        assert association.is_established
        assert association.send_c_echo().Status == 0
        status = association.send_c_store(str(get_testdata_file("CT_small.dcm")))
        association.release()
        return int(status.Status)

    async with serving(listener=BEHIND, handlers=handlers) as running, relaying(running.port, header) as port:
        assert await asyncio.to_thread(send, port) == 0
        await until(lambda: len(told) == 2)
    address = (CALLER, 40000)
    assert stored == [address, CALLER]
    assert told == [("EVT_CONN_OPEN", address), ("EVT_CONN_CLOSE", address)]
