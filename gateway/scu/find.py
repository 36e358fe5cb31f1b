"""The gateway as a plain requestor of C-FIND: one place or several side by side, their answers merged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from gateway.dimse.requestor.association_pool import AssociationPool
from gateway.model.dimse_status import PENDING
from gateway.model.peer import Peer
from gateway.model.query import LOCAL, Attributes, QueryLevel, QueryRoot
from gateway.model.settings import Settings
from gateway.query.attributes import QUERY_RETRIEVE_LEVEL
from gateway.query.compile import Options, compile_find
from gateway.query.identifier import UTF_8, IdentifierEncoder
from gateway.sources.distinct_answers import DistinctAnswers
from gateway.sources.fan_out import BackgroundTasks, QueryAnswers
from gateway.sources.federated_query import FederatedQuery, MatchFromPlace, one_by_one
from gateway.sources.query_steps import SourceQuery, identifying
from gateway.sources.relayed_query import RelayedAnswer, RelayedQuery, relay
from gateway.sources.relayed_services import SERVICES
from gateway.sources.source_query import SourceFailed, find
from gateway.sources.sources import Sources
from gateway.stores.index_reader import IndexReader
from gateway.stores.opening import open_index

EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class FindPlaces:
    """The places to query, in the order in which their answers count."""

    own_ae_title: str
    peers: tuple[Peer, ...]
    index_of: Settings | None = None
    """The gateway whose index is asked as well; None: none."""
    local_rank: int = 0
    """The number of `peers` before the index."""


@dataclass(frozen=True, slots=True)
class FindRequest:
    """The query of a user."""

    keys: Attributes
    level: QueryLevel = QueryLevel.STUDY
    root: QueryRoot = "study"
    service: str = ""
    """A service besides Query/Retrieve, as `gateway.sources.relayed_services` names it; then level and root do not
    count."""
    limit: int = 0
    """Answers after which no more is asked for; 0: all."""
    timeout_s: float = 30.0
    """The time limit of each place."""


@dataclass(slots=True)
class FindUser:
    """Asks once."""

    places: FindPlaces
    inquiry: FindRequest
    failures: list[SourceFailed] = field(default_factory=list)
    """Failures of places that did not answer to the end."""

    async def answers(self) -> AsyncGenerator[Attributes]:
        """The answers as they come; leave early with `aclosing`: C-CANCEL is sent then.

        Raises:
            BadIdentifier: the index cannot answer it.
            Temporary: the index cannot be read.
        """
        async with AsyncExitStack() as parts:
            pool = AssociationPool(self.places.own_ae_title)
            sources = Sources(pool)
            background = BackgroundTasks()
            parts.push_async_callback(pool.close)
            parts.push_async_callback(background.close)
            given = 0
            answers = self._relayed(sources, background) if self.inquiry.service else self._found(sources, background)
            async with aclosing(answers):
                async for answer in answers:
                    yield answer
                    given += 1
                    if given == self.inquiry.limit:
                        return

    async def _found(self, sources: Sources, background: BackgroundTasks) -> AsyncGenerator[Attributes]:
        inquiry, places = self.inquiry, self.places
        source_query = SourceQuery(inquiry.root, inquiry.level, self._keys, UTF_8, is_relational=True)
        ranked: list[Peer | None] = [*places.peers]
        index: IndexReader | None = None
        async with AsyncExitStack() as parts:
            if places.index_of is not None:
                ranked.insert(places.local_rank, None)
                index = open_index(places.index_of, is_read_only=True)
                parts.push_async_callback(index.close)

            def query_of(peer: Peer | None) -> QueryAnswers[MatchFromPlace]:
                if peer is None:
                    assert index is not None
                    return lambda: self._local(index)
                return lambda: one_by_one(find(sources, peer, source_query, limit_s=inquiry.timeout_s))

            federated = self._federated(ranked, background)
            queries = {rank: query_of(peer) for rank, peer in enumerate(ranked)}
            async with aclosing(federated.matches(queries, inquiry.level, PATIENCE_S)) as matches:
                async for match in matches:
                    yield match.attributes

    @property
    def _keys(self) -> Attributes:
        """The keys of the query, with those that identify an answer."""
        return {**identifying(self.inquiry.level, self.inquiry.root, is_relational=True), **self.inquiry.keys}

    async def _local(self, index: IndexReader) -> AsyncGenerator[Sequence[MatchFromPlace]]:
        level = {QUERY_RETRIEVE_LEVEL: (self.inquiry.level.value,)}
        query = compile_find({**self._keys, **level}, self.inquiry.root, Options(is_relational=True))
        async with aclosing(index.find(query)) as batches:
            async for batch in batches:
                yield [(attributes, PENDING) for attributes in batch]

    async def _relayed(self, sources: Sources, background: BackgroundTasks) -> AsyncGenerator[Attributes]:
        service = SERVICES[self.inquiry.service]
        encode = IdentifierEncoder(EXPLICIT_VR_LITTLE_ENDIAN, UTF_8, is_always_declared=True)
        request = RelayedQuery(service.sop_class_uids[0], EXPLICIT_VR_LITTLE_ENDIAN, encode(self.inquiry.keys))

        def query_of(peer: Peer) -> QueryAnswers[RelayedAnswer]:
            return lambda: one_by_one(relay(sources, peer, request, limit_s=self.inquiry.timeout_s))

        federated = self._federated(self.places.peers, background)
        queries = {rank: query_of(peer) for rank, peer in enumerate(self.places.peers)}
        once = DistinctAnswers(service)
        async with aclosing(federated.everything(queries)) as answers:
            async for rank, answer in answers:
                if once.is_new(rank, answer.attributes):
                    yield answer.attributes

    def _federated(self, ranked: Sequence[Peer | None], background: BackgroundTasks) -> FederatedQuery:
        names: Mapping[int, str] = {rank: LOCAL if peer is None else peer.name for rank, peer in enumerate(ranked)}
        federated = FederatedQuery(names, background)
        federated.failures = self.failures
        return federated
