"""C-ECHO and C-STORE with dcmtk and stock pynetdicom, in both directions, byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE

from gateway.dimse.acceptor.admission import Admitted
from gateway.dimse.protocol.connection import AssociationTransport
from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.dimse.requestor.requestor_association import associate
from gateway.model.associate import AssociateKeywords, ProposedContext
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown
from tests.support.dimse.rig import EXPLICIT, IMPLICIT, MR, VERIFICATION, serving
from tests.support.peers import Part10, StockSCP, StoreSCP, dcmsend, echoscu, read_part10, stock_scu, storescu

pytestmark = pytest.mark.peers

EXPLICIT_BIG, RLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
TIMERS = Timers(connect_s=120.0, association_s=120.0, dimse_s=120.0)
NAMES = ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "reportsi.dcm", "MR_small_bigendian.dcm"]


Kept = tuple[str, str, bytes]
"""SOP Instance UID, transfer syntax, SHA-256 of the data set."""


@pytest.fixture
def parts(corpus: tuple[Path, ...]) -> list[Part10]:
    return [read_part10(next(path for path in corpus if path.name == name)) for name in NAMES]


def identities(kept: set[Kept]) -> set[str]:
    return {row[0] for row in kept}


class Sink:
    """A handler that remembers what came."""

    def __init__(self) -> None:
        self.received: set[Kept] = set()

    async def __call__(self, event: Any) -> int:
        await asyncio.sleep(0)
        digest = hashlib.sha256(event.body.view()).digest()
        self.received.add((event.sop_instance_uid, event.transfer_syntax_uid, digest))
        assert event.dataset.SOPInstanceUID == event.sop_instance_uid
        assert event.request.DataSet.getvalue() == bytes(event.body.view())
        return 0


def expected(parts: list[Part10]) -> set[Kept]:
    return {(part.sop_instance_uid, part.transfer_syntax_uid, hashlib.sha256(part.data_set).digest()) for part in parts}


@pytest.mark.parametrize("options", [[], ["--max-pdu", "4096"]], ids=["default PDU", "4 KiB PDU"])
async def test_dcmtk_echo(options: list[str]) -> None:
    async with serving() as running:
        assert (await echoscu(running.port, options=options)).returncode == 0


async def test_stock_pynetdicom_sends(parts: list[Part10]) -> None:
    sink = Sink()
    async with serving(sink) as running:
        done = await stock_scu(running.port, [part.path for part in parts], options=["--raw"])
    assert [line[:4] for line in done.output.splitlines()] == ["0000"] * len(parts), done.output
    assert sink.received == expected(parts)


@pytest.mark.parametrize("maximum", ["4096", "131072"])
async def test_dcmtk_storescu_sends(parts: list[Part10], maximum: str) -> None:
    """storescu writes data sets anew when it must; for these two it need not."""
    sink, plain = Sink(), [part for part in parts if part.path.name in ("MR_small.dcm", "reportsi.dcm")]
    async with serving(sink) as running:
        done = await storescu(
            running.port, [part.path for part in plain], options=["-R", "--max-send-pdu", maximum, "--max-pdu", maximum]
        )
    assert done.returncode == 0, done.output
    assert identities(sink.received) == identities(expected(plain))


async def test_dcmsend_sends(parts: list[Part10]) -> None:
    sink = Sink()
    async with serving(sink) as running:
        done = await dcmsend(running.port, [parts[0].path, parts[1].path])
    assert done.returncode == 0, done.output
    assert identities(sink.received) == identities(expected(parts[:2]))


def preferring(*syntaxes: str) -> Any:
    peer = Peer("scu", "STORESCU", may=frozenset({"store", "echo"}), prefer_transfer_syntaxes=syntaxes)
    return lambda facts: Admitted(peer)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, EXPLICIT_BIG])
async def test_dcmtk_sends_what_we_prefer_of_what_it_proposes(parts: list[Part10], syntax: str) -> None:
    sink, part = Sink(), parts[1]
    async with serving(sink, admission=preferring(RLE, syntax)) as running:
        done = await storescu(running.port, [part.path], options=["-R", "+C"])
    assert done.returncode == 0, done.output
    assert [kept[:2] for kept in sink.received] == [(part.sop_instance_uid, syntax)]


@pytest.mark.parametrize(("preferred", "accepted"), [((RLE, IMPLICIT), IMPLICIT), ((RLE,), EXPLICIT), ((), EXPLICIT)])
async def test_stock_pynetdicom_gets_what_we_prefer(preferred: tuple[str, ...], accepted: str) -> None:
    def negotiated() -> list[str]:
        ae = AE("STORESCU")
        ae.add_requested_context(MR, [EXPLICIT, IMPLICIT])
        association = ae.associate("127.0.0.1", running.port)
        assert association.is_established
        association.release()
        return [str(context.transfer_syntax[0]) for context in association.accepted_contexts]

    async with serving(Sink(), admission=preferring(*preferred)) as running:
        assert await asyncio.to_thread(negotiated) == [accepted]


async def send(port: int, parts: list[Part10], *, ae_title: str, settings: AssociateKeywords) -> list[int]:
    kinds = dict.fromkeys((part.sop_class_uid, part.transfer_syntax_uid) for part in parts)
    contexts = [ProposedContext(VERIFICATION, ("1.2.840.10008.1.2",))]
    contexts += [ProposedContext(sop_class, (syntax,)) for sop_class, syntax in kinds]
    peer = Peer("scp", ae_title, "127.0.0.1", port, timers=TIMERS, associate=settings)
    association = await associate(peer, own_ae_title="GATEWAY", contexts=contexts)
    assert await association.c_echo() == 0
    answers = [
        await association.c_store(
            sop_class_uid=part.sop_class_uid,
            sop_instance_uid=part.sop_instance_uid,
            transfer_syntax_uid=part.transfer_syntax_uid,
            body=MemoryDataSet(part.data_set),
        )
        for part in parts
    ]
    await association.release()
    return [answer.status for answer in answers]


def digests(paths: list[Path]) -> set[bytes]:
    return {hashlib.sha256(read_part10(path).data_set).digest() for path in paths}


@pytest.mark.parametrize("options", [[], ["--max-pdu", "4096"]], ids=["default PDU", "4 KiB PDU"])
async def test_dcmtk_storescp_receives(parts: list[Part10], tmp_path: Path, options: list[str]) -> None:
    async with StoreSCP(tmp_path / "scp", options=options) as scp:
        statuses = await send(scp.port, parts, ae_title="STORESCP", settings=AssociateKeywords())
        assert statuses == [0] * len(parts)
        assert digests(await scp.received(len(parts))) == {row[2] for row in expected(parts)}


@pytest.mark.parametrize("maximum", [4096, 131072])
async def test_stock_pynetdicom_receives(parts: list[Part10], tmp_path: Path, maximum: int) -> None:
    async with StockSCP(tmp_path / "stock") as scp:
        statuses = await send(scp.port, parts, ae_title="STOCK", settings=AssociateKeywords(max_pdu_bytes=maximum))
        assert statuses == [0] * len(parts)
        assert digests(await scp.received(len(parts))) == {row[2] for row in expected(parts)}


async def test_nothing_waits_for_acknowledgements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nagle's algorithm against delayed acknowledgements costs 40 ms a message: our sockets are without it."""
    made: list[int] = []
    begin = AssociationTransport.connection_made

    def connection_made(connection: AssociationTransport, transport: asyncio.BaseTransport) -> None:
        begin(connection, transport)
        made.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(AssociationTransport, "connection_made", connection_made)
    async with StoreSCP(tmp_path / "scp") as scp, serving() as running:
        for port in (scp.port, running.port):
            peer = Peer("scp", "GATEWAY", "127.0.0.1", port, timers=TIMERS)
            contexts = [ProposedContext(VERIFICATION, ("1.2.840.10008.1.2",))]
            association = await associate(peer, own_ae_title="GATEWAY", contexts=contexts)
            assert await association.c_echo() == 0
            await association.release()
    assert made == [1, 1, 1]  # one to the peer, both ends of the other


async def test_a_frozen_peer(tmp_path: Path, parts: list[Part10]) -> None:
    async with StoreSCP(tmp_path / "scp") as scp:
        timers = Timers(connect_s=60.0, association_s=60.0, dimse_s=3.0)
        peer = Peer("scp", "STORESCP", "127.0.0.1", scp.port, timers=timers)
        contexts = [ProposedContext(VERIFICATION, ("1.2.840.10008.1.2",))]
        association = await associate(peer, own_ae_title="GATEWAY", contexts=contexts)
        scp.pause()
        try:
            with pytest.raises(DestinationDown, match="no response"):
                await association.c_echo()
            impatient = replace(peer, timers=replace(timers, association_s=3.0))
            with pytest.raises(DestinationDown, match="did not answer"):
                await associate(impatient, own_ae_title="GATEWAY", contexts=contexts)
        finally:
            scp.resume()
