"""Query/Retrieve sources: those that a requestor's query goes to, and kept associations to them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import ProposedContext
from gateway.model.association import AssociationFacts
from gateway.model.hops import hops_of
from gateway.model.peer import Peer
from gateway.ports.errors import DestinationDown, DestinationRefuses
from gateway.routing.ae_title_templates import titled
from gateway.routing.table import RoutingTable
from gateway.sources.source_clock import OpenConversations, SourceClock

MOST_HOPS = 4
"""Gateways that a query goes through, one after the other."""

FIRST_REST_S, LONGEST_REST_S = 1.0, 15.0
"""The time for which a source that did not answer in time is left alone, doubled each time."""

MOST_AT_ONCE = 16
"""Queries that one source works on at a time: peers have few associations to give. More wait for their turn."""


class SourceSuspended(DestinationDown):
    """The source did not answer in time just now: it is not asked again yet."""


@dataclass(frozen=True, slots=True)
class QueriedSources:
    """The sources that are asked for one requestor."""

    peers: tuple[Peer, ...]
    """Peers in the configuration's order, ready for `Sources.association`."""
    is_local: bool
    """The gateway's own index is asked too."""
    local_rank: int = 0
    """The number of `peers` before the index."""
    is_cut: bool = False
    """The query went through `MOST_HOPS` gateways: no peer is asked any more."""


def peers_for(table: RoutingTable, names: Sequence[str], requestor: AssociationFacts) -> tuple[tuple[Peer, ...], bool]:
    """The peers of these names that a request of `requestor` may be passed on to, and whether the chain was cut.

    A request that came from a source does not go back to it: neither to the admitted peer nor to a peer with the same
    AE title and address.
    """
    hops = hops_of(requestor) + 1
    if hops > MOST_HOPS:
        return (), bool(names)
    found = (table.peers[name] for name in names if name in table.peers)
    queried = (peer for peer in found if peer.host and not _is_requestor(peer, requestor))
    return tuple(_marked(titled(peer, requestor), hops) for peer in queried), False


def sources_of(table: RoutingTable, requestor: AssociationFacts) -> QueriedSources:
    """The Query/Retrieve sources of the table for `requestor`."""
    settings = table.query_retrieve
    peers, is_cut = peers_for(table, settings.sources, requestor)
    before = set(settings.sources[: settings.local_rank])
    rank = sum(peer.name in before for peer in peers)
    return QueriedSources(peers, settings.is_local, rank, is_cut)


def _marked(peer: Peer, hops: int) -> Peer:
    return dataclasses.replace(peer, associate=dataclasses.replace(peer.associate, hops=hops))


def _is_requestor(peer: Peer, requestor: AssociationFacts) -> bool:
    if peer.name == requestor.peer:
        return True
    return peer.ae_title == requestor.calling_ae_title and peer.host == requestor.remote_host


@dataclass(slots=True)
class _SourceState:
    """The state of a source that did not answer in time."""

    failures: int = 0
    rests_until_s: float = 0.0


class Sources:
    """Lends associations to sources and leaves those alone for a while that did not answer in time.

    A source whose answer did not come within its limit is not asked for a rest of 1 s, then 2, 4 … 15 s: a query
    meanwhile fails at once. One that refuses connections costs nothing and is tried each time.
    """

    def __init__(self, pool: AssociationPool, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self.pool = pool
        self._now_s = now_s
        self._states: dict[str, _SourceState] = {}
        self._conversations: dict[str, OpenConversations] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._used_before: weakref.WeakSet[RequestorAssociation] = weakref.WeakSet()
        self._kept: weakref.WeakSet[RequestorAssociation] = weakref.WeakSet()

    @contextlib.asynccontextmanager
    async def conversing(self, peer: Peer, clock: SourceClock) -> AsyncIterator[None]:
        """A context in which `clock` is that of a conversation with the source; see `gateway.sources.source_clock`."""
        conversations = self._conversations.setdefault(peer.name, OpenConversations())
        clock.join(conversations)
        try:
            yield
        finally:
            clock.leave()
            if not conversations.open and self._conversations.get(peer.name) is conversations:
                del self._conversations[peer.name]

    @contextlib.asynccontextmanager
    async def association(
        self, peer: Peer, contexts: Sequence[ProposedContext], clock: SourceClock
    ) -> AsyncIterator[RequestorAssociation]:
        """An association for one request after the other, kept for the next borrower afterwards.

        Args:
            peer: as `sources_of` gives it.
            contexts: that are needed; see `gateway.dimse.requestor.query_contexts`.
            clock: ends the opening of the association; what happens on it has the limits of its requests.

        Raises:
            SourceSuspended: see the class.
            DestinationDown, DestinationRefuses, ConfigurationError, ValueError: as `AssociationPool.acquire`.
        """
        self.check(peer)
        association = await self._taken(peer, contexts, clock)
        if association in self._used_before:
            self._kept.add(association)
        self._used_before.add(association)
        try:
            yield association
        finally:
            self.pool.release(association)

    @contextlib.asynccontextmanager
    async def turn(self, peer: Peer, clock: SourceClock) -> AsyncIterator[None]:
        """A context of one of the `MOST_AT_ONCE` queries to the source. A query inside it does not wait for a turn
        again.

        Raises:
            SourceSuspended: see the class.
            DestinationDown: it was not our turn before the end of `clock`.
        """
        turns = self._turns.setdefault(peer.name, asyncio.Semaphore(MOST_AT_ONCE))
        try:
            async with clock.limited():
                await turns.acquire()
        except TimeoutError:
            raise DestinationDown(f"{peer.name} has too many questions before this one") from None
        try:
            self.check(peer)
            yield
        finally:
            turns.release()

    def is_kept(self, association: RequestorAssociation) -> bool:
        """True when it was used before: the peer may have closed it without our knowing, and one more try is fair."""
        return association in self._kept

    def check(self, peer: Peer) -> None:
        """Raises SourceSuspended."""
        state = self._states.get(peer.name)
        if state is None:
            return
        left_s = state.rests_until_s - self._now_s()
        if left_s > 0:
            raise SourceSuspended(f"{peer.name} did not answer in time; it is asked again in {left_s:.0f} s")

    def answered(self, peer: Peer) -> None:
        """The source answered: its failures are forgotten."""
        self._states.pop(peer.name, None)

    def kept_waiting(self, peer: Peer) -> None:
        """The source did not answer within its limit: it is left alone for a while."""
        state = self._states.setdefault(peer.name, _SourceState())
        rest_s = min(FIRST_REST_S * 2**state.failures, LONGEST_REST_S)
        state.failures += 1
        state.rests_until_s = self._now_s() + rest_s

    async def _taken(self, peer: Peer, contexts: Sequence[ProposedContext], clock: SourceClock) -> RequestorAssociation:
        started_s = self._now_s()
        try:
            async with clock.limited():
                return await self.pool.acquire(peer, contexts, use="query")
        except TimeoutError:
            self.kept_waiting(peer)
            raise DestinationDown(f"{peer.name} did not associate in {clock.limit_s:g} s") from None
        except DestinationDown:
            if self._now_s() - started_s >= min(clock.limit_s, peer.timers.connect_s):
                self.kept_waiting(peer)
            raise
        except DestinationRefuses:
            self.answered(peer)
            raise
