"""Associations that we ask for: how they fail to come, what reaches the wire, how they end."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.protocol.upper_layer import RELEASE_RP, RELEASE_RQ, encode_abort, encode_reject
from gateway.dimse.requestor.requestor_association import associate
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses
from tests.support.dimse.acceptor_rig import QUICK, Script, accept, acceptor, open_to, until_closed
from tests.support.dimse.rig import CT, IMPLICIT, TIMERS, message, serving
from tests.support.dimse.rig import Peer as Bytes
from tests.support.processes import GUARD_S

# --- associations that do not come to be --------------------------------------------------------------------------


def sending(data: bytes) -> Script:
    async def script(peer: Bytes) -> None:
        await peer.pdu()
        peer.send(data)
        await until_closed(peer)

    return script


async def closing(peer: Bytes) -> None:
    await peer.pdu()


async def silent(peer: Bytes) -> None:
    await until_closed(peer)


async def accepting_nothing(peer: Bytes) -> None:
    await accept(peer, services=frozenset())
    assert await peer.pdu() == RELEASE_RQ
    peer.send(RELEASE_RP)


async def with_tiny_pdus(peer: Bytes) -> None:
    await accept(peer, max_pdu_bytes=15)
    assert await peer.pdu() == encode_abort(0, 0)


FAILURES: dict[str, tuple[Script, type[Exception], str]] = {
    "called title": (sending(encode_reject(1, 1, 7)), DestinationRefuses, r"Called AE title not recogni.ed.*1/1/7"),
    "calling title": (sending(encode_reject(1, 1, 3)), DestinationRefuses, r"Calling AE title.*1/1/3"),
    "protocol version": (sending(encode_reject(1, 2, 2)), DestinationRefuses, r"1/2/2"),
    "congestion": (sending(encode_reject(2, 3, 1)), DestinationDown, r"Temporary congestion.*2/3/1"),
    "limit": (sending(encode_reject(2, 3, 2)), DestinationDown, r"Local limit exceeded.*2/3/2"),
    "values of nobody": (sending(encode_reject(9, 8, 7)), DestinationRefuses, r"reserved value.*9/8/7"),
    "abort by the user": (sending(encode_abort(0, 0)), DestinationDown, r"aborted by the peer's service user"),
    "abort by the provider": (sending(encode_abort(2, 1)), DestinationDown, r"service provider: unrecognized pdu"),
    "closed": (closing, DestinationDown, r"closed the connection"),
    "HTTP": (sending(b"HTTP/1.1 400 Bad Request\r\n\r\n"), DestinationDown, r"PDU type 0x48"),
    "an empty accept": (sending(bytes.fromhex("020000000044 0001") + bytes(66)), DestinationDown, r"A-ASSOCIATE-AC"),
    "data before the accept": (sending(message(1, {"CommandField": 0x30})), DestinationDown, r"unexpected pdu"),
    "no context": (accepting_nothing, DestinationRefuses, r"accepted none of 3 presentation contexts"),
    "PDUs too small": (with_tiny_pdus, DestinationRefuses, r"PDUs of 15 bytes"),
}


@pytest.mark.parametrize(("script", "error", "text"), FAILURES.values(), ids=FAILURES.keys())
async def test_what_comes_instead_of_an_association(script: Script, error: type[Exception], text: str) -> None:
    async with acceptor(script) as peer:
        with pytest.raises(error, match=rf"pacs.*{text}"):
            await open_to(peer)


async def test_what_went_wrong_is_reported_with_the_title_that_was_called() -> None:
    async with acceptor(sending(encode_reject(1, 1, 7))) as peer:
        with pytest.raises(DestinationRefuses, match=rf"^pacs \(OTHER at {peer.host}:{peer.port}\) rejected"):
            await open_to(replace(peer, associate=AssociateKeywords(called_ae_title="OTHER")))


async def test_no_answer_to_the_request() -> None:
    async with acceptor(silent, timers=QUICK) as peer:
        with pytest.raises(DestinationDown, match=r"did not answer the association request in 1 s"):
            await open_to(peer)


async def test_nobody_listens() -> None:
    async with acceptor(silent) as peer:
        pass
    with pytest.raises(DestinationDown, match=r"cannot be reached: Connection refused$"):
        await open_to(peer)


async def test_no_such_name() -> None:
    nowhere = Peer("pacs", ae_title="PACS", host="name.invalid", port=104)
    with pytest.raises(DestinationDown, match=r"pacs at name\.invalid:104 cannot be reached: [A-Z][^\[\]]+$"):
        await open_to(nowhere)


@pytest.mark.parametrize("count", [0, 129])
async def test_too_many_or_no_contexts(count: int) -> None:
    async with acceptor(silent) as peer:
        with pytest.raises(ValueError, match="presentation contexts"):
            await associate(
                peer, own_ae_title="GATEWAY", contexts=[ProposedContext(f"1.2.{n}", (IMPLICIT,)) for n in range(count)]
            )


async def test_giving_up_while_associating() -> None:
    async with acceptor(silent) as peer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await open_to(peer)


# --- the end ------------------------------------------------------------------------------------------------------


async def test_release_that_nobody_answers() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        assert await peer.pdu() == RELEASE_RQ
        await until_closed(peer)

    async with acceptor(script, timers=QUICK) as peer:
        association = await open_to(peer)
        async with asyncio.timeout(GUARD_S):
            await association.release()


async def test_release_collision_as_the_requestor() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        assert await peer.pdu() == RELEASE_RQ
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP
        peer.send(RELEASE_RP)
        assert await until_closed(peer) == []

    async with acceptor(script) as peer:
        association = await open_to(peer)
        await association.release()


async def test_the_peer_releases_an_idle_association() -> None:
    async def script(peer: Bytes) -> None:
        await accept(peer)
        peer.send(RELEASE_RQ)
        assert await peer.pdu() == RELEASE_RP

    async with acceptor(script) as peer:
        association = await open_to(peer)
        await association.wait_closed()
        assert not association.is_open
        with pytest.raises(DestinationDown, match="released"):
            await association.c_echo()
        await association.release()


async def test_memory_stays_flat_while_a_large_object_passes() -> None:
    """300 MB through a requestor and an acceptor in this process, neither of which keeps it."""
    size = 300_000_000
    received = 0

    class Counting:
        def write(self, fragment: memoryview) -> None:
            nonlocal received
            received += len(fragment)

        def finish(self) -> MemoryDataSet:
            return MemoryDataSet(b"")

        def discard(self) -> None: ...

    class Large(MemoryDataSet):
        @property
        def length_bytes(self) -> int:
            return size

        def chunks(self, size_bytes: int) -> Iterator[memoryview]:
            chunk = memoryview(bytes(size_bytes))
            left = size
            while left:
                yield chunk[: min(left, size_bytes)]
                left -= min(left, size_bytes)

    async with serving(receiver=Counting) as running:
        association = await open_to(Peer("self", "GATEWAY", "127.0.0.1", running.port, timers=TIMERS))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await association.c_store(
            sop_class_uid=CT, sop_instance_uid="1", transfer_syntax_uid=IMPLICIT, body=Large(b"")
        )
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        await association.release()
    assert answer.status == 0
    assert received == size
    assert grown_kib < 20_000
