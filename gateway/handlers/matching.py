"""C-FIND of Query/Retrieve: the index and the sources, merged (PS3.4 §C.4.1)."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydicom.dataset import Dataset

from gateway.dimse import status
from gateway.dimse.event import Event
from gateway.federation.asking import SourceFailed, find
from gateway.federation.desk import QueryDesk
from gateway.federation.federated import Federated, Found, one_by_one
from gateway.federation.fit import fits, is_named
from gateway.federation.question import Question, question_of
from gateway.federation.side_by_side import Ask
from gateway.federation.sources import Asked, sources_of
from gateway.handlers.finding import Yielded, failed, final, measure, stopped_by_cancel, tell
from gateway.model import Attributes, Peer, Query, Value
from gateway.query.attributes import (
    INSTANCE_AVAILABILITY,
    NEVER_MATCHED,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    TIMEZONE_OFFSET_FROM_UTC,
)
from gateway.query.compile import MODELS, BadIdentifier, Options, compile_find
from gateway.query.identifier import IdentifierEncoder, read_identifier
from gateway.routing.table import RoutingTable

LOCAL = "local"
ONLINE = ("ONLINE",)
WITH_UNSUPPORTED_KEYS = 0xFF01
TOO_MANY = 0xA700


async def matching(event: Event, desk: QueryDesk) -> AsyncGenerator[Yielded]:
    table: RoutingTable = event.assoc.table  # pinned at admission: a reload changes nothing for this association
    identifier = read_identifier(event.encoded_identifier, event.transfer_syntax_uid)
    try:
        query = compile_find(identifier, MODELS[event.sop_class_uid], options_of(event))
    except BadIdentifier as error:
        tell(event, "find_refused", status=f"0x{error.dimse_status:04X}", reason=str(error))
        yield final(error.dimse_status, str(error), error.offending_elements), None
        return
    search = _Search(event, desk, table, identifier, query)
    async with aclosing(search.answers()) as answers:
        async for answer in answers:
            yield answer


def options_of(event: Event) -> Options:
    """What extended negotiation agreed on for the request's SOP class."""
    return Options.of(event.assoc.extended.get(event.sop_class_uid, b""))


class _Search:
    """One C-FIND of Query/Retrieve."""

    def __init__(
        self, event: Event, desk: QueryDesk, table: RoutingTable, identifier: Attributes, query: Query
    ) -> None:
        self._event = event
        self._desk = desk
        self._table = table
        self._settings = table.query_retrieve
        self._query = query
        self._question = question_of(identifier, query)
        self._encode = IdentifierEncoder(event.transfer_syntax_uid, query.character_sets)
        self._asked: Asked = sources_of(table, event.facts)
        unsupported = set(query.unsupported)
        self._answered: dict[int, Value] = {
            tag: () for tag in identifier if tag not in NEVER_MATCHED and tag not in unsupported
        }
        self._of_sources = frozenset(identifier) - {QUERY_RETRIEVE_LEVEL}
        self._always: dict[int, Value] = {
            QUERY_RETRIEVE_LEVEL: (query.level.value,),
            RETRIEVE_AE_TITLE: (event.facts.called_ae_title or table.settings.ae_title,),
        }
        self._given = 0

    async def answers(self) -> AsyncGenerator[Yielded]:
        """Matches, then the final status where it is not Success."""
        if self._asked.is_cut:
            tell(self._event, "find_not_passed_on", reason="the question came through too many gateways")
        names, asks = self._asks()
        federated = Federated(names, self._desk.background)
        limit = self._settings.limit
        async with aclosing(self._found(federated, asks)) as found:
            async for attributes, code in found:
                if self._event.is_cancelled:
                    return
                if limit and self._given == limit:
                    yield self._too_many(limit), None
                    return
                self._given += 1
                yield code, self._encode(self._response(attributes))
        if federated.failures and not self._event.is_cancelled:
            yield failed(self._event, self._desk, federated.failures, self._settings.partial), None

    async def _found(self, federated: Federated, asks: dict[int, Ask[Found]]) -> AsyncGenerator[Found]:
        if len(asks) == 1 and not self._asked.peers:
            async with aclosing(next(iter(asks.values()))()) as batches:  # nothing to merge
                async for batch in batches:
                    for found in batch:
                        yield found
            return
        matches = federated.matches(asks, self._query.level, self._settings.patience_s)
        async with aclosing(matches), stopped_by_cancel(self._event, federated):
            async for match in matches:
                yield match.attributes, match.status

    def _asks(self) -> tuple[dict[int, str], dict[int, Ask[Found]]]:
        """Names and what to do, by rank."""
        peers = list(self._asked.peers)
        ranked: list[Peer | None] = [*peers]
        if self._asked.is_local:
            ranked.insert(self._asked.local_rank, None)
        names = {rank: LOCAL if peer is None else peer.name for rank, peer in enumerate(ranked)}
        return names, {rank: self._local if peer is None else self._ask_of(peer) for rank, peer in enumerate(ranked)}

    def _ask_of(self, peer: Peer) -> Ask[Found]:
        return lambda: one_by_one(self._source(peer))

    async def _local(self) -> AsyncGenerator[list[Found]]:
        code = WITH_UNSUPPORTED_KEYS if self._query.unsupported else status.PENDING
        limit = self._settings.limit
        known: dict[int, Value] = {INSTANCE_AVAILABILITY: ONLINE}
        async with aclosing(self._desk.index.find(self._query, limit + 1 if limit else 0)) as batches:
            async for batch in batches:
                yield [({**attributes, **known}, code) for attributes in batch]

    async def _source(self, peer: Peer) -> AsyncGenerator[Found]:
        async with aclosing(ask(self._desk, peer, self._question, self._settings.timeout_s)) as answers:
            async for attributes, code in answers:
                if not is_named(self._query, attributes) or (
                    self._settings.is_checked and not fits(self._query, attributes)
                ):
                    self._desk.meter.count("gateway_source_answers_total", source=peer.name, outcome="unfit")
                    continue
                self._desk.meter.count("gateway_source_answers_total", source=peer.name, outcome="taken")
                self._desk.holders.remember(peer.name, attributes)
                yield {tag: value for tag, value in attributes.items() if tag in self._of_sources}, code

    def _response(self, attributes: Attributes) -> dict[int, Value]:
        """The identifier of a response (PS3.4 §C.4.1.1.3.2)."""
        response = {**self._answered, **attributes, **self._always}
        for tag in (INSTANCE_AVAILABILITY, TIMEZONE_OFFSET_FROM_UTC):
            if tag not in self._query.asked:
                response.pop(tag, None)
        return response

    def _too_many(self, limit: int) -> int | Dataset:
        tell(self._event, "find_cut", limit=limit)
        if self._settings.partial == "accept":
            return status.SUCCESS
        return final(TOO_MANY, f"more than {limit} matches; the first ones were sent")


async def ask(desk: QueryDesk, peer: Peer, question: Question, limit_s: float) -> AsyncGenerator[Found]:
    """The answers of one source, measured. Raises SourceFailed."""
    began_s = time.monotonic()
    outcome = "interrupted"
    try:
        async with aclosing(find(desk.sources, peer, question, limit_s=limit_s)) as answers:
            async for answer in answers:
                yield answer
        outcome = "answered"
    except SourceFailed:
        outcome = "failed"
        raise
    finally:
        measure(desk, peer, outcome, began_s)
