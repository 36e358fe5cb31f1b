"""Odd A-ASSOCIATE-AC PDUs: what the gateway makes of them as a requestor, beside dcmtk and stock pynetdicom."""

from __future__ import annotations

import asyncio
import struct
import subprocess
from dataclasses import dataclass, replace
from typing import Any

import pynetdicom
import pytest
from pynetdicom import AE, _config
from structlog.testing import capture_logs

from gateway.dimse.protocol.associate_request import parse, proposals
from gateway.dimse.protocol.message import decode
from gateway.dimse.requestor.requestor_association import associate
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown
from tests.support.dimse.acceptor_rig import Script, acceptor, response
from tests.support.dimse.rig import IMPLICIT, VERIFICATION, message
from tests.support.dimse.rig import Peer as Bytes
from tests.support.fakes.meter import MemoryMeter
from tests.support.processes import program

pytestmark = pytest.mark.peers

RELEASE_RP = bytes.fromhex("06000000000400000000")
LATIN = b"D\xe9p\xf4t"


def item(kind: int, data: bytes, reserved: int = 0) -> bytes:
    return struct.pack(">BBH", kind, reserved, len(data)) + data


MAXIMUM = item(0x51, struct.pack(">L", 16384))
CLASS = item(0x52, b"1.2.3.4")
NAME = item(0x55, b"ODD_1")
APPLICATION_CONTEXT = item(0x10, b"1.2.840.10008.3.1.1.1")
SYNTAX = item(0x40, IMPLICIT.encode())


def context(context_id: int = 1, result: int = 0, syntax: bytes = SYNTAX, reserved: int = 0) -> bytes:
    return item(0x21, bytes((context_id, reserved, result, reserved)) + syntax, reserved)


@dataclass(frozen=True)
class Variant:
    """An accept, and who goes on with it: dcmtk's echoscu, stock pynetdicom. The gateway does with all."""

    information: bytes | None = MAXIMUM + CLASS + NAME
    contexts: bytes = context()
    application_context: bytes = APPLICATION_CONTEXT
    version: int = 1
    reserved: int = 0
    titles: bytes | None = None
    behind: bytes = b""
    dcmtk: bool = True
    stock: bool = True
    told: str = ""
    """What our log names; empty: nothing is odd."""

    def encoded(self, fixed: bytes) -> bytes:
        """The PDU for a request with these 64 fixed bytes."""
        information = b"" if self.information is None else item(0x50, self.information, self.reserved)
        titles = fixed if self.titles is None else self.titles
        body = titles + self.application_context + self.contexts + information + self.behind
        return struct.pack(">BBIHH", 2, self.reserved, 4 + len(body), self.version, self.reserved) + body


ROLE = item(0x54, struct.pack(">H", len(VERIFICATION)) + VERIFICATION.encode() + b"\x01\x00")
VARIANTS: dict[str, Variant] = {
    "as the standard says": Variant(),
    "a version name of 20 characters": Variant(
        MAXIMUM + CLASS + item(0x55, b"A" * 20), told="20 characters", stock=False
    ),
    "a version name of none": Variant(MAXIMUM + CLASS + item(0x55, b""), told="0 characters"),
    "a version name that is not ASCII": Variant(MAXIMUM + CLASS + item(0x55, LATIN), told="not ASCII", stock=False),
    "a class UID that is not ASCII": Variant(MAXIMUM + item(0x52, LATIN) + NAME, told="no UID", stock=False),
    "a class UID of 70 characters": Variant(
        MAXIMUM + item(0x52, b"1." * 34 + b"11") + NAME, told="no UID", dcmtk=False, stock=False
    ),
    "a class UID with a zero behind it": Variant(MAXIMUM + item(0x52, b"1.2.3\0") + NAME, told="no UID"),
    "no class UID": Variant(MAXIMUM + NAME, told="no implementation class UID"),
    "no maximum length": Variant(CLASS + NAME, told="no maximum length", stock=False),
    "no user information": Variant(None, told="no user information", stock=False),
    "no sub-items": Variant(b"", told="no maximum length", stock=False),
    "an unknown sub-item": Variant(MAXIMUM + item(0x5F, b"??") + CLASS + item(0x77, b"") + NAME, stock=False),
    "an unknown item": Variant(behind=item(0x99, b"?"), stock=False),
    "roles that nobody proposed": Variant(MAXIMUM + CLASS + ROLE + NAME),
    "reserved fields that are not zero": Variant(reserved=0xFF, contexts=context(reserved=0xFF)),
    "other titles": Variant(titles=b"\xff" * 64),
    "titles of zeros": Variant(titles=bytes(64)),
    "no application context": Variant(application_context=b""),
    "a protocol version of 3": Variant(version=3),
    "an answer to what was not proposed": Variant(contexts=context() + context(9), told="not proposed, 9"),
    "no transfer syntax, accepted": Variant(
        contexts=context(syntax=b""), told="no transfer syntax", dcmtk=False, stock=False
    ),
    "a transfer syntax with a zero behind it": Variant(contexts=context(syntax=item(0x40, IMPLICIT.encode() + b"\0"))),
    "two transfer syntaxes": Variant(contexts=context(syntax=SYNTAX + SYNTAX), dcmtk=False),
    "zeros behind the last item": Variant(behind=bytes(8), stock=False),
}


def accepting(variant: Variant) -> Script:
    """An acceptor that answers so, and then C-ECHO and release."""

    async def script(peer: Bytes) -> None:
        request = parse(await peer.pdu())
        assert [one.context_id for one in proposals(request.contexts)] == [1]
        peer.send(variant.encoded(request.fixed))
        while pdu := await peer.pdu():
            if pdu[0] == 5:
                peer.send(RELEASE_RP)
            elif pdu[0] == 4:
                peer.send(message(1, response(decode(pdu[12:]))))
            elif pdu[0] == 7:
                return

    return script


async def by_gateway(peer: Peer, **more: Any) -> int:
    """The status of a C-ECHO. Raises DestinationDown."""
    contexts = [ProposedContext(VERIFICATION, (IMPLICIT,))]
    association = await associate(peer, own_ae_title="GATEWAY", contexts=contexts, **more)
    try:
        return await association.c_echo()
    finally:
        await association.release()


async def by_dcmtk(peer: Peer) -> bool:
    command = [program("echoscu"), "-ta", "60", "-td", "60", peer.host, str(peer.port)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


def _by_stock(peer: Peer) -> bool:
    ae = AE()
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    ae.add_requested_context(VERIFICATION, [IMPLICIT])
    association = ae.associate(peer.host, peer.port)
    try:
        return association.is_established and association.send_c_echo().get("Status") == 0
    except (TypeError, IndexError):  # it goes on without a maximum length, or a transfer syntax, and needs them
        return False
    finally:
        association.release()


async def by_stock(peer: Peer) -> bool:
    return await asyncio.to_thread(_by_stock, peer)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
async def test_an_odd_accept(variant: Variant) -> None:
    meter = MemoryMeter()
    async with acceptor(accepting(variant)) as peer:
        with capture_logs() as lines:
            assert await by_gateway(peer, meter=meter) == 0x0000
        told = [line for line in lines if line["event"] == "deviation_tolerated"]
        assert len(told) == bool(variant.told)
        assert all(variant.told in "; ".join(line["found"]) for line in told)
        assert meter.counted.get(("gateway_leniencies_total", "pacs", "associate_items"), 0) == len(told)


@pytest.mark.parametrize("variant", [one for one in VARIANTS.values() if one.told], ids=lambda one: one.told)
async def test_strict_refuses_what_is_odd_and_says_what(variant: Variant) -> None:
    async with acceptor(accepting(variant)) as peer:
        with pytest.raises(DestinationDown, match=variant.told):
            await by_gateway(replace(peer, is_strict=True))


OTHERS = {"dcmtk": (by_dcmtk, b"v3.6.7"), "stock": (by_stock, b"3.0.")}
"""And the version that docs/leniency.md speaks of."""


def version_of(name: str) -> bytes:
    if name == "stock":
        return str(pynetdicom.__version__).encode()
    return subprocess.run([program("echoscu"), "--version"], capture_output=True, check=True).stdout


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
async def test_what_others_make_of_it(variant: Variant, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/leniency.md says of these versions of them."""
    other, known = OTHERS[name]
    if known not in version_of(name):
        pytest.skip(f"the page speaks of version {known.decode()}")
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "none")
    async with acceptor(accepting(variant)) as peer:
        assert await other(peer) is getattr(variant, name)
