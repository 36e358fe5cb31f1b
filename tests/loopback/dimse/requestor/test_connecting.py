"""The connection of an association that we ask for: where it fails, at which step, and in which words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.dimse.requestor.connecting import connect
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import AssociateKeywords
from gateway.model.listener import Timers
from gateway.model.peer import Peer
from gateway.model.security import TLS
from gateway.ports.errors import DestinationDown, PeerFailure
from gateway.ports.meter import NoMeter
from tests.support.processes import GUARD_S, free_port


def peer_at(port: int, **associate: Any) -> Peer:
    return Peer("pacs", "PACS", "127.0.0.1", port, timers=Timers(), associate=AssociateKeywords(**associate))


def association_to(peer: Peer) -> RequestorAssociation:
    return RequestorAssociation(peer, "GATEWAY", [], NoMeter())


@asynccontextmanager
async def listening(connected: Callable[..., None]) -> AsyncIterator[int]:
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_an_association_has_its_connection() -> None:
    seen: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("peername"))
        writer.close()

    own = free_port()
    async with listening(connected) as port, asyncio.timeout(GUARD_S):
        association = association_to(peer_at(port, bind_address=("127.0.0.1", own)))
        await connect(association, peer_at(port, bind_address=("127.0.0.1", own)))
        assert association.remote_address == "127.0.0.1"
        assert await seen == ("127.0.0.1", own)
        association.close_now()


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        ({}, "connect", "cannot be reached: Connection refused"),
        ({"port": 70_000}, "connect", "there is no such port"),
        ({"host": "no-such-host.invalid"}, "name", "cannot be reached"),
    ],
    ids=["nothing listens", "no port", "no such name"],
)
async def test_a_peer_that_cannot_be_reached(change: dict[str, Any], step: Any, words: str) -> None:
    peer = replace(peer_at(free_port()), **change)
    async with asyncio.timeout(GUARD_S):
        with pytest.raises(DestinationDown, match=words) as caught:
            await connect(association_to(peer), peer)
    assert caught.value.failure == PeerFailure(step)
    assert str(caught.value).startswith(f"pacs at {peer.host}:{peer.port} ")


async def test_a_peer_that_closes_the_connection_during_the_tls_handshake() -> None:
    async with listening(lambda _, writer: writer.close()) as port, asyncio.timeout(GUARD_S):
        peer = peer_at(port, tls=TLS())
        association = association_to(peer)
        with pytest.raises(DestinationDown, match="TLS handshake") as caught:
            await connect(association, peer)
    assert caught.value.failure == PeerFailure("tls")
