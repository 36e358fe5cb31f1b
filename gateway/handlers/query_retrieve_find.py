"""C-FIND of Query/Retrieve: the index and the sources, merged (PS3.4 §C.4.1)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from gateway.dimse.pynetdicom_contract.event import Event
from gateway.dimse.pynetdicom_contract.yields import EncodedMatches
from gateway.dimse.services.responding import priority_of
from gateway.handlers.find_statuses import (
    Yielded,
    failed,
    log_find,
    log_leniencies,
    log_replaced,
    measured,
    stopped_by_cancel,
    too_many,
)
from gateway.model import dimse_status
from gateway.model.dimse_status import PENDING_WITH_UNSUPPORTED_KEYS
from gateway.model.final_status import FinalStatus
from gateway.model.peer import Peer
from gateway.model.query import LOCAL, Attributes, Value
from gateway.query.attributes import (
    INSTANCE_AVAILABILITY,
    NEVER_MATCHED,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE_OFFSET_FROM_UTC,
)
from gateway.query.compile import BadIdentifier, Options
from gateway.query.identifier import IdentifierEncoder, read_identifier
from gateway.query.lenient import lenient_find
from gateway.query.sop_classes import ROOT_OF
from gateway.routing.table import RoutingTable
from gateway.sources.answer_fit import contradicted, is_misunderstood
from gateway.sources.fan_out import QueryAnswers
from gateway.sources.federated_query import FederatedQuery, MatchFromPlace, one_by_one
from gateway.sources.query_backends import QueryBackends
from gateway.sources.source_query import LeftOut, find
from gateway.sources.sources import QueriedSources, sources_of
from gateway.sources.study_visibility import StudyVisibility
from gateway.sources.visible_answers import VisibleAnswers, VisibleQuery, visible_query

ONLINE = ("ONLINE",)
TOGETHER = 64
"""Matches of the index that are encoded and sent at once: about a millisecond, in which nobody else has a turn."""


async def matching(event: Event, backends: QueryBackends) -> AsyncGenerator[Yielded]:
    """Matches, then the final status where it is not Success.

    Raises:
        Unreadable: the identifier is no data set.
    """
    table: RoutingTable = event.association.table  # of when the request arrived, whatever is reloaded meanwhile
    if not table.query_retrieve.is_local and not table.query_retrieve.sources:
        log_find(
            event, "find_refused", status=f"0x{dimse_status.SOP_CLASS_NOT_SUPPORTED:04X}", reason="there are no sources"
        )
        yield FinalStatus(dimse_status.SOP_CLASS_NOT_SUPPORTED, "nobody is asked for this SOP class"), None
        return
    identifier: Attributes = read_identifier(event.encoded_identifier, event.transfer_syntax_uid)
    options = Options.of(event.association.extended.get(event.sop_class_uid, b""))
    root = ROOT_OF[event.sop_class_uid]
    if not table.is_strict(event.facts.peer):
        identifier, options, used = lenient_find(identifier, root, options)
        log_leniencies(event, backends.meter, used)
    try:
        search = VisibleQuery.of(identifier, root, options)
    except BadIdentifier as error:
        log_find(event, "find_refused", status=f"0x{error.dimse_status:04X}", reason=str(error))
        yield error.final_status(), None
        return
    found = _Matching(event, backends, table, identifier, search, options)
    try:
        async with aclosing(found.answers()) as answers:
            async for answer in answers:
                yield answer
    finally:
        log_replaced(event, backends, found.values_replaced)


class _Matching:
    """One C-FIND of Query/Retrieve."""

    def __init__(
        self,
        event: Event,
        backends: QueryBackends,
        table: RoutingTable,
        identifier: Attributes,
        search: VisibleQuery,
        options: Options,
    ) -> None:
        self._event = event
        self._backends = backends
        self._settings = table.query_retrieve
        self._queried: QueriedSources = sources_of(table, event.facts)
        self._query = search.query
        visibility = StudyVisibility(table, event.facts, backends)
        self._hides_studies = visibility.hides_any
        self._seen = VisibleAnswers(visibility, search.source_query, self._count_hidden)
        self._search = visible_query(identifier, search, options, visibility) if visibility.hides_any else search
        self._responses = _Responses(event, table, identifier, search)
        self._keys = frozenset(identifier) - NEVER_MATCHED
        self._own_keys = frozenset(self._search.source_query.keys) - self._keys
        self._given = 0

    @property
    def values_replaced(self) -> int:
        """Values of the answer so far that could not be written as they are."""
        return self._responses.values_replaced

    async def answers(self) -> AsyncGenerator[Yielded]:
        """Matches, then the final status where it is not Success."""
        if self._queried.is_cut:
            self._backends.meter.count("gateway_find_partial_total")
            log_find(self._event, "find_not_passed_on", reason="the query came through too many gateways")
        names, queries = self._queries()
        federated = FederatedQuery(names, self._backends.background)
        limit = self._settings.limit
        async with aclosing(self._found(federated, queries)) as found:
            async for some in found:
                if self._event.is_cancelled:
                    return
                shown = [one for one in some if not (self._hides_studies and self._seen.is_hidden(one[0]))]
                room = limit - self._given if limit else len(shown)
                self._given += len(shown[:room])
                if shown[:room]:
                    yield self._responses.of(shown[:room])
                if len(shown) > room:
                    yield too_many(self._event, self._backends, self._settings), None
                    return
        self._log_merging(federated)
        if federated.failures and not self._event.is_cancelled:
            yield failed(self._event, self._backends, federated.failures, self._settings.partial), None

    def _log_merging(self, federated: FederatedQuery) -> None:
        """Log and count the contradictions between sources, and the answers that were not passed on."""
        for outcome, numbers in (("other_patient", federated.of_other_patients), ("late", federated.late)):
            for source, number in numbers.items():
                self._backends.meter.count("gateway_source_answers_total", number, source=source, outcome=outcome)
        for source, number in federated.of_other_patients.items():
            reason = "another source names another patient for the same unique key"
            log_find(self._event, "patient_difference_found", source=source, number=number, reason=reason)

    async def _found(
        self, federated: FederatedQuery, queries: dict[int, QueryAnswers[MatchFromPlace]]
    ) -> AsyncGenerator[Sequence[MatchFromPlace]]:
        """Matches in order; those that come together have one status."""
        if self._settings.is_local and not self._queried.peers:  # nothing to merge
            async with aclosing(self._local()) as batches:
                async for batch in batches:
                    for start in range(0, len(batch), TOGETHER):
                        yield batch[start : start + TOGETHER]
            return
        matches = federated.matches(queries, self._query.level, self._settings.patience_s)
        async with aclosing(matches), stopped_by_cancel(self._event, federated):
            async for match in matches:
                yield [(match.attributes, match.status)]

    def _queries(self) -> tuple[dict[int, str], dict[int, QueryAnswers[MatchFromPlace]]]:
        """Names and queries of the sources, by rank."""
        ranked: list[Peer | None] = [*self._queried.peers]
        if self._queried.is_local:
            ranked.insert(self._queried.local_rank, None)
        names = {rank: LOCAL if peer is None else peer.name for rank, peer in enumerate(ranked)}
        return names, {rank: self._local if peer is None else self._query_of(peer) for rank, peer in enumerate(ranked)}

    # --- the index -------------------------------------------------------------------------------------------------

    async def _local(self) -> AsyncGenerator[list[MatchFromPlace]]:
        if self._hides_studies:
            async with aclosing(one_by_one(self._seen.of(self._local_ones(), None))) as visible:
                async for one in visible:
                    yield one
            return
        limit = self._settings.limit
        code = PENDING_WITH_UNSUPPORTED_KEYS if self._query.unsupported else dimse_status.PENDING
        async with aclosing(self._backends.index.find(self._query, limit + 1 if limit else 0)) as batches:
            async for batch in batches:
                yield [({**attributes, **_AT_HAND}, code) for attributes in batch]

    async def _local_ones(self) -> AsyncGenerator[MatchFromPlace]:
        code = PENDING_WITH_UNSUPPORTED_KEYS if self._query.unsupported else dimse_status.PENDING
        async with aclosing(self._backends.index.find(self._search.query)) as batches:
            async for batch in batches:
                for attributes in batch:
                    yield {**attributes, **_AT_HAND}, code

    # --- sources ---------------------------------------------------------------------------------------------------

    def _query_of(self, peer: Peer) -> QueryAnswers[MatchFromPlace]:
        return lambda: one_by_one(self._visible(peer))

    async def _visible(self, peer: Peer) -> AsyncGenerator[MatchFromPlace]:
        answers = self._fitting(peer)
        async with aclosing(self._seen.of(answers, peer) if self._hides_studies else answers) as visible:
            async for attributes, code in visible:
                self._count(peer.name, "taken")
                yield attributes, code

    async def _fitting(self, peer: Peer) -> AsyncGenerator[MatchFromPlace]:
        """The answers that fit the query. Raises SourceFailed, also at the end for answers that should not have been
        left out."""
        query = self._search.query
        source_query = replace(self._search.source_query, priority=priority_of(self._event.command))
        source_answers = find(self._backends.sources, peer, source_query, limit_s=self._settings.timeout_s)
        left_out, surplus = LeftOut(), 0
        async with aclosing(measured(self._backends, peer, source_answers)) as answers:
            async for attributes, code in answers:
                against = contradicted(query, attributes) if self._settings.is_checked else None
                if not against:
                    yield attributes, self._code(attributes, code)
                    continue
                self._count(peer.name, "unfit")
                if is_misunderstood(query, against):
                    left_out.unfit += 1
                else:
                    surplus += 1
        if surplus:
            log_find(
                self._event, "answers_left_out", source=peer.name, number=surplus, reason="they do not fit the query"
            )
        left_out.check(peer)

    def _code(self, attributes: Attributes, code: int) -> int:
        """A source's pending status. Warnings about keys that only the gateway sent are not for the requestor."""
        if (
            code == PENDING_WITH_UNSUPPORTED_KEYS
            and self._own_keys - attributes.keys()
            and self._keys <= attributes.keys()
        ):
            return dimse_status.PENDING
        return code

    def _count(self, source: str, outcome: str) -> None:
        self._backends.meter.count("gateway_source_answers_total", source=source, outcome=outcome)

    def _count_hidden(self, source: str) -> None:
        self._count(source or LOCAL, "hidden")


_AT_HAND: dict[int, Value] = {INSTANCE_AVAILABILITY: ONLINE}
"""The values of everything that the gateway holds itself."""


class _Responses:
    """Makes the identifiers of responses (PS3.4 §C.4.1.1.3.2): every attribute of the request that somebody knows, in
    the request's character set where that can write it, else in that of the source."""

    def __init__(self, event: Event, table: RoutingTable, identifier: Attributes, search: VisibleQuery) -> None:
        query = search.query
        self._encode = IdentifierEncoder(event.transfer_syntax_uid, query.character_sets)
        unsupported = set(query.unsupported)
        empty: dict[int, Value] = {tag: () for tag in identifier if tag not in NEVER_MATCHED and tag not in unsupported}
        known = set(identifier) - {QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE}
        known -= {INSTANCE_AVAILABILITY, TIMEZONE_OFFSET_FROM_UTC} - query.computed
        self._known = frozenset(known)
        always: dict[int, Value] = {
            QUERY_RETRIEVE_LEVEL: (query.level.value,),
            RETRIEVE_AE_TITLE: (event.facts.called_ae_title or table.settings.ae_title,),
        }
        self._before = dict(sorted({**empty, **always}.items()))
        """The values of a match that has none; in order of tags, which the encoder then finds sorted."""

    @property
    def values_replaced(self) -> int:
        return self._encode.replaced

    def of(self, matches: Sequence[MatchFromPlace]) -> Yielded:
        """Matches of one status, at least one."""
        code = matches[0][1]
        if len(matches) == 1:
            return code, self._encoded(matches[0][0])
        return EncodedMatches(code, [self._encoded(attributes) for attributes, _ in matches])

    def _encoded(self, attributes: Attributes) -> bytes:
        named = {tag: value for tag, value in attributes.items() if tag in self._known or tag == SPECIFIC_CHARACTER_SET}
        return self._encode({**self._before, **named})
