"""The sources for each requestor: their order, the number of gateways on the way, the rest of a dead source."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from gateway.dimse.protocol.associate_items import own_identification
from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.association import AssociationFacts
from gateway.model.hops import IMPLEMENTATION_CLASS_UID, hops_of
from gateway.model.peer import Peer
from gateway.model.settings import QueryRetrieve
from gateway.ports.errors import DestinationDown
from gateway.sources.source_clock import SourceClock
from gateway.sources.sources import MOST_AT_ONCE, MOST_HOPS, Sources, SourceSuspended, peers_for, sources_of
from tests.support.federation import table_of

FACTS = AssociationFacts("VIEWER", "GATEWAY", "10.0.0.5", peer="viewer")
PEERS = [Peer(name, name.upper(), f"10.0.0.{number}", 104) for number, name in enumerate(("one", "two", "three"))]


def through(hops: int, **changes: Any) -> AssociationFacts:
    version = f"GATEWAY_0.1.0+{hops}" if hops else "GATEWAY_0.1.0"
    known = replace(FACTS, implementation_class_uid=IMPLEMENTATION_CLASS_UID, implementation_version_name=version)
    return replace(known, **changes)


HOPS: dict[str, tuple[AssociationFacts, int]] = {
    "anybody": (FACTS, 0),
    "anybody who looks like it": (replace(FACTS, implementation_version_name="OTHER+3"), 0),
    "a gateway's own question": (through(0), 0),
    "the third gateway": (through(3), 3),
    "no number": (through(0, implementation_version_name="GATEWAY+"), 0),
    "two digits": (through(0, implementation_version_name="GATEWAY+12"), 0),
}


@pytest.mark.parametrize("name", HOPS)
def test_hops(name: str) -> None:
    facts, expected = HOPS[name]
    assert hops_of(facts) == expected


@pytest.mark.parametrize("hops", range(1, 10))
def test_hops_are_written_as_they_are_read(hops: int) -> None:
    encoded = own_identification(16384, hops)
    name = encoded[encoded.rindex(b"GATEWAY") :].decode()
    assert len(name) <= 16
    assert hops_of(through(0, implementation_version_name=name)) == hops


def names(peers: tuple[Peer, ...]) -> list[str]:
    return [peer.name for peer in peers]


ASKED: dict[str, tuple[AssociationFacts, list[str]]] = {
    "somebody else": (FACTS, ["one", "two", "three"]),
    "a source by its name": (replace(FACTS, peer="two"), ["one", "three"]),
    "a source by title and address": (
        replace(FACTS, peer="", calling_ae_title="TWO", remote_host="10.0.0.1"),
        ["one", "three"],
    ),
    "its title from elsewhere": (replace(FACTS, peer="", calling_ae_title="TWO"), ["one", "two", "three"]),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_question_does_not_go_back(name: str) -> None:
    facts, expected = ASKED[name]
    settings = QueryRetrieve(sources=("one", "two", "three"))
    assert names(sources_of(table_of(PEERS, settings), facts).peers) == expected


RANKS: dict[str, tuple[int, str, int]] = {
    "first": (0, "viewer", 0),
    "second": (1, "viewer", 1),
    "last": (3, "viewer", 3),
    "after one that is not asked": (2, "one", 1),
    "before one that is not asked": (1, "three", 1),
}


@pytest.mark.parametrize("name", RANKS)
def test_the_place_of_the_index(name: str) -> None:
    rank, requestor, expected = RANKS[name]
    settings = QueryRetrieve(sources=("one", "two", "three"), is_local=True, local_rank=rank)
    assert sources_of(table_of(PEERS, settings), replace(FACTS, peer=requestor)).local_rank == expected


@pytest.mark.parametrize("hops", range(MOST_HOPS + 2))
def test_a_chain_of_gateways_ends(hops: int) -> None:
    peers, is_cut = peers_for(table_of(PEERS, QueryRetrieve()), ["one"], through(hops))
    assert is_cut == (hops >= MOST_HOPS)
    assert [peer.associate.hops for peer in peers] == ([] if is_cut else [hops + 1])


def test_no_source_to_query_is_not_cut() -> None:
    assert peers_for(table_of(PEERS, QueryRetrieve()), [], through(MOST_HOPS)) == ((), False)


def _rests(sources: Sources, peer: Peer) -> bool:
    try:
        sources.check(peer)
    except SourceSuspended:
        return True
    return False


def test_a_source_that_rests_says_for_how_long() -> None:
    sources = Sources(AssociationPool("GATEWAY"), now_s=lambda: 0.0)
    sources.kept_waiting(PEERS[0])
    with pytest.raises(SourceSuspended, match=r"^one did not answer in time; it is asked again in 1 s$"):
        sources.check(PEERS[0])


def test_a_source_that_keeps_us_waiting_is_left_alone_for_longer_each_time() -> None:
    now_s = 0.0
    sources = Sources(AssociationPool("GATEWAY"), now_s=lambda: now_s)
    peer = PEERS[0]
    rests = []
    for _ in range(7):
        sources.kept_waiting(peer)
        began_s = now_s
        while _rests(sources, peer):
            now_s += 0.5
        rests.append(now_s - began_s)
    assert rests == [1, 2, 4, 8, 15, 15, 15]
    sources.check(PEERS[1])
    sources.answered(peer)
    sources.kept_waiting(peer)
    now_s += 1.0
    sources.check(peer)


async def test_questions_wait_for_their_turn() -> None:
    sources, peer = Sources(AssociationPool("GATEWAY")), PEERS[0]
    async with AsyncExitStack() as stack:
        for _ in range(MOST_AT_ONCE):
            await stack.enter_async_context(sources.turn(peer, SourceClock(1.0)))
        with pytest.raises(DestinationDown, match=r"^one has too many questions before this one$"):
            await stack.enter_async_context(sources.turn(peer, SourceClock(0.01)))
        async with sources.turn(PEERS[1], SourceClock(1.0)):
            pass
    async with sources.turn(peer, SourceClock(1.0)):
        pass


async def test_whoever_waited_for_a_source_that_rests_now_is_reported() -> None:
    sources, peer = Sources(AssociationPool("GATEWAY"), now_s=lambda: 0.0), PEERS[0]
    async with AsyncExitStack() as stack:
        for _ in range(MOST_AT_ONCE):
            await stack.enter_async_context(sources.turn(peer, SourceClock(1.0)))
        waiting = asyncio.create_task(_take_turn(sources, peer))
        await asyncio.sleep(0)
        sources.kept_waiting(peer)
    with pytest.raises(SourceSuspended):
        await waiting


async def _take_turn(sources: Sources, peer: Peer) -> None:
    async with sources.turn(peer, SourceClock(5.0)):
        raise AssertionError("it rests")
