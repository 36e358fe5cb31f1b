"""Opening of associations: admission, the facts of the association, and PDUs that open none (PS3.8 §9.3)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dimse.acceptor.admission import Admitted, admit
from gateway.dimse.protocol.message import encode
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort
from gateway.model.associate import AssociateKeywords, UserIdentity
from gateway.model.listener import Limits
from gateway.model.peer import Peer as ConfiguredPeer
from gateway.model.settings import Settings, Spool
from tests.support.dimse.rig import (
    CT,
    CT_ID,
    ECHO_ID,
    MR_ID,
    Peer,
    associate_rq,
    echo_command,
    item,
    message,
    p_data,
    serving,
    store_command,
)
from tests.support.fakes.meter import MemoryMeter
from tests.support.quick_run import QUICK_RUN

SETTINGS = Settings(ae_title="GATEWAY", listeners=(), spool=Spool(path=""), queue_path="")
KNOWN = {
    "ct": ConfiguredPeer("ct", "TESTER", may=frozenset({"echo", "store"}), hosts=("127.0.0.0/8",)),
    "far": ConfiguredPeer("far", "FAR", may=frozenset({"store"}), hosts=("10.0.0.0/8",)),
    "pacs": ConfiguredPeer("pacs", "PACS", host="10.0.0.9", port=104),
}


def admission(facts: Any) -> Admitted:
    return admit(facts, SETTINGS, KNOWN)


# --- rejections ---------------------------------------------------------------------------------------------------


def with_version(version: int) -> bytes:
    pdu = bytearray(associate_rq())
    pdu[6:8] = version.to_bytes(2, "big")
    return bytes(pdu)


REJECTED = {
    "called AE title not recognized": (associate_rq(called="OTHER"), (1, 1, 7)),
    "called AE title not ASCII": (associate_rq().replace(b"GATEWAY ", b"GATEWAY\xe4"), (1, 1, 7)),
    "calling AE title not recognized": (associate_rq(calling="STRANGER"), (1, 1, 3)),
    "calling AE title from another host": (associate_rq(calling="FAR"), (1, 1, 3)),
    "calling AE title of a destination only": (associate_rq(calling="PACS"), (1, 1, 3)),
    "protocol version": (with_version(2), (1, 2, 2)),
    "application context name": (
        associate_rq().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"),
        (1, 1, 2),
    ),
    "maximum length too small": (associate_rq(associate=AssociateKeywords(max_pdu_bytes=15)), (1, 1, 1)),
}


@pytest.mark.parametrize(("pdu", "numbers"), REJECTED.values(), ids=REJECTED.keys())
async def test_rejections(pdu: bytes, numbers: tuple[int, int, int]) -> None:
    async with serving(admission=admission) as running, await Peer.connect(running.port) as peer:
        peer.send(pdu)
        assert await peer.pdu() == bytes((3, 0, 0, 0, 0, 4, 0, *numbers))
        assert not running.server.associations


async def test_protocol_versions_with_bit_0_are_taken() -> None:
    async with serving(admission=admission) as running, await Peer.connect(running.port) as peer:
        peer.send(with_version(0x8001))
        assert (await peer.pdu())[0] == 2


@pytest.mark.parametrize(
    "limits",
    [Limits(associations=2, associations_of_strangers=2), Limits(associations_per_peer=2)],
    ids=["in all", "per peer"],
)
async def test_limits_of_associations_are_transient(limits: Limits) -> None:
    async with serving(limits=limits) as running, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(await Peer.associated(running.port)) for _ in range(2)]
        third = await stack.enter_async_context(await Peer.connect(running.port))
        third.send(associate_rq())
        assert await third.pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))
        peers[0].send(RELEASE_RQ)
        assert await peers[0].pdu() == RELEASE_RP
        await stack.enter_async_context(await Peer.associated(running.port))


async def test_another_calling_title_has_a_limit_of_its_own() -> None:
    async with (
        serving(limits=Limits(associations_per_peer=1)) as running,
        await Peer.associated(running.port, calling="ONE"),
        await Peer.associated(running.port, calling="TWO"),
    ):
        assert len(running.server.associations) == 2


async def test_while_stopping_associations_are_rejected() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def store(event: Any) -> int:
        started.set()
        await go_on.wait()
        return 0

    async with (
        serving(store) as running,
        await Peer.associated(running.port) as busy,
        await Peer.connect(running.port) as late,
    ):
        busy.send(message(CT_ID, store_command(), b"data"))
        await started.wait()
        draining = asyncio.ensure_future(running.server.drain(10.0))
        assert await late.is_closed()  # connected, but not associated: nothing is lost
        go_on.set()
        assert (await busy.response())["Status"] == 0
        assert await busy.pdu() == RELEASE_RQ
        busy.send(RELEASE_RP)
        assert await draining is True


@pytest.mark.parametrize(
    ("pdu", "numbers"),
    [
        (associate_rq(called="OTHER"), (1, 1, 7)),
        (associate_rq(calling="STRANGER"), (1, 1, 3)),
        (associate_rq(calling="FAR"), (1, 1, 3)),
    ],
    ids=["called", "calling", "host"],
)
async def test_nothing_but_the_titles_is_read_of_a_requestor_that_is_not_admitted(
    pdu: bytes, numbers: tuple[int, int, int]
) -> None:
    """What follows the fixed fields cannot be read, and nobody notices."""
    broken = bytearray(pdu[:74] + b"\x50\0\xff\xff" + bytes(65_000))
    broken[2:6] = (len(broken) - 6).to_bytes(4, "big")
    async with serving(admission=admission) as running, await Peer.connect(running.port) as peer:
        peer.send(bytes(broken))
        assert await peer.pdu() == bytes((3, 0, 0, 0, 0, 4, 0, *numbers))


async def test_too_many_roles_end_an_association_that_would_be_admitted() -> None:
    role = b"\x54\0\0\x07\0\x031.2\1\1"
    user_information = b"\x50\0" + (len(role) * 5900).to_bytes(2, "big") + role * 5900
    pdu = bytearray(associate_rq()[:74] + user_information)
    pdu[2:6] = (len(pdu) - 6).to_bytes(4, "big")
    async with serving(admission=admission) as running, await Peer.connect(running.port) as peer:
        peer.send(bytes(pdu))
        assert await peer.pdu() == USER


# --- malformed PDUs -----------------------------------------------------------------------------------------------


USER, UNRECOGNIZED, UNEXPECTED = encode_abort(0, 0), encode_abort(2, 1), encode_abort(2, 2)
UNEXPECTED_PARAMETER, INVALID = encode_abort(2, 5), encode_abort(2, 6)

BEFORE = {
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": bytes.fromhex("160301020001"),
    "an endless A-ASSOCIATE-RQ": bytes.fromhex("0100FFFFFFFF"),
    "P-DATA-TF": message(1, echo_command()),
    "A-RELEASE-RQ": RELEASE_RQ,
    "A-ASSOCIATE-AC": b"\x02" + associate_rq()[1:],
    "an item beyond the PDU": bytes.fromhex("01000000004A 0001") + bytes(66) + bytes.fromhex("10000020 3132"),
    "an item header cut off": bytes.fromhex("010000000046 0001") + bytes(66) + b"\x10\0",
}


@pytest.mark.parametrize("data", BEFORE.values(), ids=BEFORE.keys())
async def test_what_is_no_association_is_aborted(data: bytes) -> None:
    """PS3.8 AA-1: in Sta2 the standard has us abort as the service user."""
    async with serving() as running, await Peer.connect(running.port) as peer:
        peer.send(data)
        assert await peer.pdu() == USER


AFTER = {
    "unknown PDU type": (b"\x09\0\0\0\0\4abcd", UNRECOGNIZED),
    "A-ASSOCIATE-RQ": (associate_rq(), UNEXPECTED),
    "A-RELEASE-RP": (RELEASE_RP, UNEXPECTED),
    "A-ASSOCIATE-AC": (b"\x02" + associate_rq()[1:], UNEXPECTED),
    "A-RELEASE-RQ of 5 bytes": (bytes.fromhex("0500000000050000000000"), INVALID),
    "empty P-DATA-TF": (bytes.fromhex("040000000000"), INVALID),
    "P-DATA-TF of 4 GiB": (bytes.fromhex("0400FFFFFFFF"), INVALID),
    "item beyond its PDU": (p_data(bytes.fromhex("000000FF0103")), INVALID),
    "context not accepted": (message(99, echo_command()), INVALID),
    "data set first": (p_data(item(CT_ID, 2, b"xx")), UNEXPECTED_PARAMETER),
    "interleaved messages": (
        p_data(item(CT_ID, 3, encode(store_command())), item(MR_ID, 2, b"xx")),
        UNEXPECTED_PARAMETER,
    ),
    "command of zeros": (p_data(item(ECHO_ID, 3, bytes(7))), INVALID),
    "command without Command Field": (p_data(item(ECHO_ID, 3, encode({"MessageID": 1}))), INVALID),
    "request without Message ID": (message(ECHO_ID, {"CommandField": 0x30}), INVALID),
    "response to nothing": (
        message(ECHO_ID, {"CommandField": 0x8030, "MessageIDBeingRespondedTo": 1, "Status": 0}),
        UNEXPECTED_PARAMETER,
    ),
    "command over the limit": (p_data(item(ECHO_ID, 1, bytes(70000))), INVALID),
}


@pytest.mark.parametrize(("data", "abort"), AFTER.values(), ids=AFTER.keys())
async def test_what_breaks_an_association_is_aborted(data: bytes, abort: bytes) -> None:
    async with serving() as running, await Peer.associated(running.port) as peer:
        peer.send(data)
        assert await peer.pdu() == abort
        peer.send(message(ECHO_ID, echo_command()) * 100)  # ignored: AA-6
        peer.writer.write_eof()
        assert await peer.is_closed()
        assert not running.server.associations


@settings(
    max_examples=QUICK_RUN.examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(noise=st.binary(min_size=1, max_size=300), is_associated=st.booleans(), seed=st.integers(0, 2**32))
def test_no_bytes_crash_or_hang_the_server(noise: bytes, is_associated: bool, seed: int) -> None:
    """Noise, and a valid stream with a few bytes changed; the server is there for the next one."""
    rng = random.Random(seed)
    valid = bytearray(message(CT_ID, store_command(), b"x" * 50) + message(ECHO_ID, echo_command()) + RELEASE_RQ)
    for _ in range(3):
        valid[rng.randrange(len(valid))] = rng.randrange(256)

    async def once(data: bytes) -> None:
        async with serving() as running:
            peer = await (Peer.associated(running.port) if is_associated else Peer.connect(running.port))
            async with peer:
                peer.send(data)
                peer.writer.write_eof()
                while await peer.pdu():
                    pass
            async with await Peer.associated(running.port) as other:
                other.send(message(ECHO_ID, echo_command()))
                assert (await other.response())["Status"] == 0

    asyncio.run(once(noise))
    asyncio.run(once(bytes(valid)))


# --- user information ---------------------------------------------------------------------------------------------


async def test_what_is_known_of_the_association() -> None:
    identity = UserIdentity("username_passcode", "someone", "secret", is_response_requested=True)
    async with (
        serving(admission=admission) as running,
        await Peer.associated(running.port, associate=AssociateKeywords(user_identity=identity)) as peer,
    ):
        (association,) = running.server.associations
        facts = association.facts
        port = peer.writer.get_extra_info("sockname")[1]
        assert (facts.calling_ae_title, facts.called_ae_title, facts.peer) == ("TESTER", "GATEWAY", "ct")
        assert (facts.remote_host, facts.remote_port, facts.listener) == ("127.0.0.1", port, "main")
        assert (facts.user_identity, facts.claimed_user_identity) == ("", "someone")
        assert "secret" not in repr(facts)
        assert facts.implementation_class_uid
        assert facts.association_id == association.association_id
        assert association.local_address == ("127.0.0.1", running.port)


async def test_a_peer_gets_what_it_may() -> None:
    narrow = dataclasses.replace(KNOWN["ct"], may=frozenset({"store"}), accept_sop_classes=(CT,))
    async with serving(admission=lambda facts: Admitted(narrow)) as running, await Peer.associated(running.port):
        (association,) = running.server.associations
        assert {context.abstract_syntax for context in association.accepted_contexts.values()} == {CT}


def with_even_ids(request: bytes) -> bytes:
    """An A-ASSOCIATE-RQ whose presentation context IDs are 2, 4, 6 instead of 1, 3, 5."""
    changed, position = bytearray(request), 74
    while position < len(changed):
        if changed[position] == 0x20:
            changed[position + 4] += 1
        position += 4 + int.from_bytes(changed[position + 2 : position + 4], "big")
    return bytes(changed)


@pytest.mark.parametrize("is_strict", [False, True], ids=["lenient", "strict"])
async def test_even_context_ids(is_strict: bool) -> None:
    """As stgcmtscu of dcm4che 5.34.1 proposes them."""
    meter = MemoryMeter()
    admission = lambda facts: Admitted(None, is_strict)  # noqa: E731
    async with serving(admission=admission, meter=meter) as running, await Peer.connect(running.port) as peer:
        peer.send(with_even_ids(associate_rq()))
        answer = await peer.pdu()
        if is_strict:
            assert (answer[0], answer[8]) == (7, 2), "A-ABORT by the provider"
            return
        assert answer[0] == 2
        peer.send(message(ECHO_ID + 1, echo_command(1)) + message(CT_ID + 1, store_command(2), b"data"))
        for _ in range(2):
            assert (await peer.response())["Status"] == 0x0000
    assert meter.counted["gateway_leniencies_total", "(stranger)", "even_context_ids"] == 1


@pytest.mark.parametrize("is_strict", [False, True], ids=["lenient", "strict"])
async def test_a_request_without_its_mandatory_items(is_strict: bool) -> None:
    request = associate_rq()
    without = request[: request.index(b"\x50\x00", 74)]
    without = without[:2] + (len(without) - 6).to_bytes(4, "big") + without[6:]
    admission = lambda facts: Admitted(None, is_strict)  # noqa: E731
    meter = MemoryMeter()
    async with serving(admission=admission, meter=meter) as running, await Peer.connect(running.port) as peer:
        peer.send(without)
        assert (await peer.pdu())[0] == (7 if is_strict else 2)
    assert (("gateway_leniencies_total", "(stranger)", "associate_items") in meter.counted) is not is_strict
