"""Queries of other services, passed on as they are; answers passed back as they are, re-encoded where they must be."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from gateway.dimse.requestor.query_contexts import query_contexts
from gateway.dimse.requestor.requestor_association import RequestorAssociation
from gateway.model.associate import ProposedContext
from gateway.model.peer import Peer
from gateway.model.query import Attributes
from gateway.query.attributes import SPECIFIC_CHARACTER_SET
from gateway.query.identifier import IdentifierEncoder, all_texts, read_identifier
from gateway.sources.source_clock import A_DAY_S, SourceClock
from gateway.sources.source_query import LeftOut, SourceFailed, check_final, decoded, next_of, source_association
from gateway.sources.sources import Sources


@dataclass(frozen=True, slots=True)
class RelayedQuery:
    """A request to be passed on."""

    sop_class_uid: str
    transfer_syntax_uid: str
    """The transfer syntax of the request, and of its answers."""
    identifier: bytes
    priority: int = 0
    finals: frozenset[int] = frozenset()
    """Final statuses of the peer that the requestor is to see."""


@dataclass(frozen=True, slots=True)
class RelayedAnswer:
    """One match: as it came, where that is in the requestor's transfer syntax. Or, as the last one and without an
    identifier, one of `RelayedQuery.finals`."""

    identifier: bytes
    attributes: Attributes
    status: int
    error_comment: str = ""
    replaced: int = 0
    """Values that could not be written as they are (`IdentifierEncoder.replaced`)."""


async def relay(
    sources: Sources, peer: Peer, request: RelayedQuery, *, limit_s: float
) -> AsyncGenerator[RelayedAnswer]:
    """The answers of one peer. Raises SourceFailed, Unreadable (of the request)."""
    clock = SourceClock(limit_s)
    has_answered = False
    while True:
        try:
            async with (
                source_association(sources, peer, _contexts(peer, request), clock, takes_turn=True) as association,
                aclosing(_answers(association, peer, request, clock)) as answers,
            ):
                async for answer in answers:
                    has_answered = True
                    with clock.stopped():
                        yield answer
            return
        except SourceFailed as error:
            if has_answered or not error.is_worth_another:
                raise


def _contexts(peer: Peer, request: RelayedQuery) -> tuple[ProposedContext, ...]:
    """The requestor's transfer syntax first: what comes in it goes on as it is."""
    (context,) = query_contexts(peer, [request.sop_class_uid])
    syntaxes = sorted(context.transfer_syntaxes, key=lambda uid: uid != request.transfer_syntax_uid)
    return (dataclasses.replace(context, transfer_syntaxes=tuple(syntaxes)),)


async def _answers(
    association: RequestorAssociation, peer: Peer, request: RelayedQuery, clock: SourceClock
) -> AsyncGenerator[RelayedAnswer]:
    uid = request.sop_class_uid
    syntax = association.identifier_syntax(uid)
    is_same = syntax == request.transfer_syntax_uid
    peers_for = {} if is_same else read_identifier(request.identifier, request.transfer_syntax_uid)
    character_sets = all_texts(peers_for, SPECIFIC_CHARACTER_SET)
    identifier = request.identifier
    if not is_same:
        identifier = IdentifierEncoder(syntax, character_sets, is_always_declared=True)(peers_for)
    encode = IdentifierEncoder(request.transfer_syntax_uid, character_sets)
    async with association.c_find(
        identifier, sop_class_uid=uid, priority=request.priority, response_s=A_DAY_S
    ) as responses:
        left_out = LeftOut()
        while (response := await next_of(association, responses, clock)) is not None:
            if not response.is_pending:
                is_passed_on = response.status in request.finals
                if not is_passed_on:
                    check_final(peer, response)
                left_out.unreadable += responses.matches_lost
                left_out.check(peer)
                if is_passed_on:
                    yield RelayedAnswer(b"", {}, response.status, response.error_comment)
                continue
            attributes = decoded(peer, response)
            left_out.unreadable += attributes is None
            if attributes is not None:
                before = encode.replaced
                encoded = response.identifier if is_same else encode(attributes)
                yield RelayedAnswer(encoded, attributes, response.status, replaced=encode.replaced - before)
