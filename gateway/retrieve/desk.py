"""What a retrieve yields: local instances from the spool, the others from the sources that hold them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from gateway.dimse.yields import EncodedInstance
from gateway.federation.asking import SourceFailed
from gateway.federation.desk import QueryDesk
from gateway.federation.sources import Asked, sources_of
from gateway.model import AssociationFacts, Instance, PayloadRef, Peer, Query
from gateway.ports import Converter, DataSetReceiver, EncodedDataSet, GatewayError, Temporary
from gateway.retrieve.arrival import Arrival, Pinned
from gateway.retrieve.basket import Basket
from gateway.retrieve.collection import FetchedCollection, FetchLine
from gateway.retrieve.fetching import Arrived, GetLine
from gateway.retrieve.form import Forms
from gateway.retrieve.holdings import Holding, Holdings, holdings
from gateway.retrieve.mailbox import Mailbox
from gateway.retrieve.moving import MoveLine, known_as
from gateway.routing.table import RoutingTable

log = structlog.get_logger()

PENDING = 0xFF00
NUMBER_UNKNOWN = 0xA701  # Refused: Out of Resources - Unable to calculate number of matches (PS3.4 Table C.4-2)
BATCH = 256
"""Instances whose rows are read at once."""
NOT_STORED = PayloadRef(name="", offset_bytes=0, length_bytes=0, digest=b"")


class CannotCount(Temporary):
    """The index cannot be read now."""

    dimse_status = NUMBER_UNKNOWN


class Incomplete(Temporary):
    """A source did not say what it holds."""

    dimse_status = NUMBER_UNKNOWN


async def keep_nothing(arrival: Arrival) -> int:
    """What is fetched is only passed on."""
    return 0


@dataclass(frozen=True, slots=True)
class RetrieveDesk:
    """What the handlers of C-MOVE and C-GET work with."""

    query: QueryDesk
    """Index, sources, and what is known of them."""
    open_payload: Callable[[PayloadRef], EncodedDataSet]
    """`Journal.open`."""
    converter: Converter
    receiver: Callable[[], DataSetReceiver]
    """For one instance that a source sends. Raises SpoolFull."""
    mailbox: Mailbox
    """Where instances come in that a source sends for a C-MOVE to ourselves."""
    keep: Callable[[Arrival], Awaitable[int]] = keep_nothing
    """Takes in what `keep_retrieved` asks for, as if the source had sent it; the status it would be answered."""


@dataclass(frozen=True, slots=True)
class Retrieve:
    """One request."""

    query: Query
    table: RoutingTable
    facts: AssociationFacts
    """Of the requestor's association."""
    forms: Forms


async def retrieved(desk: RetrieveDesk, request: Retrieve) -> AsyncGenerator[Any]:
    """The number of instances, then each of them, as the handlers of C-MOVE and C-GET yield them.

    What sources bring comes before what is here, which can wait. Under `partial: fail` the end is 0xA701 when a source
    did not say what it holds; what the others hold was sent.

    Raises:
        CannotCount: the index cannot be read now.
        Incomplete: see above; at the end, or at once when nothing was found.
    """
    held = await _held(desk, request)
    fetched, failures = await _fetched(desk, request, held)
    incomplete = _incomplete(request, failures)
    number = len(held) + len(fetched)
    if incomplete is not None and not number:
        raise incomplete
    yield number
    fetched.start()
    try:
        async for item in _merged(fetched.basket, desk, request, held):
            yield PENDING, item
    finally:
        fetched.stop()
    if incomplete is not None:
        raise incomplete


async def _held(desk: RetrieveDesk, request: Retrieve) -> Sequence[int]:
    if not request.table.query_retrieve.is_local:
        return ()
    try:
        return await desk.query.index.find_instances(request.query)
    except GatewayError as error:
        raise CannotCount(str(error)) from error


async def _merged(basket: Basket, desk: RetrieveDesk, request: Retrieve, held: Sequence[int]) -> AsyncGenerator[Any]:
    """Whatever is there, first what was fetched: sources wait for us."""
    local = _local(desk, request, held)
    async for instance in local:
        while not basket.is_empty:
            yield await basket.take()
        yield instance
    while (item := await basket.take()) is not None:
        yield item


async def _local(desk: RetrieveDesk, request: Retrieve, held: Sequence[int]) -> AsyncGenerator[EncodedInstance]:
    """What was forgotten since it was counted is not yielded: the engine counts it as failed."""
    for start in range(0, len(held), BATCH):
        for instance in await desk.query.index.instances(held[start : start + BATCH]):
            yield request.forms.encoded(instance, opener(desk, instance))


def opener(desk: RetrieveDesk, instance: Instance) -> Callable[[], Awaitable[EncodedDataSet]]:
    """Opens the stored bytes when it is this instance's turn."""

    async def body() -> EncodedDataSet:
        return desk.open_payload(instance.payload)

    return body


# --- what is not here -----------------------------------------------------------------------------------------------


async def _fetched(
    desk: RetrieveDesk, request: Retrieve, held: Sequence[int]
) -> tuple[FetchedCollection, list[SourceFailed]]:
    """What sources hold and the gateway does not; and which sources did not say."""
    asked: Asked = sources_of(request.table, request.facts)
    if asked.is_cut:
        log.warning("retrieve_not_passed_on", reason="the request came through too many gateways")
    settings = request.table.query_retrieve
    what, here = Holdings(), set[str]()
    if asked.peers:
        here = await _uids(desk, held)
        query = desk.query
        what = await holdings(
            query.sources,
            query.holders,
            asked.peers,
            request.query,
            limit_s=settings.timeout_s,
            run=query.background.add,
        )
    for failure in what.failures:
        log.warning("source_failed", source=failure.source, service="find", reason=failure.reason)

    collection = FetchedCollection(
        request.query.level,
        what.found,
        here,
        lines_to=partial(_lines_to, desk, request.table),
        made=_Maker(desk, request).made,
        meter=desk.query.meter,
        run=desk.query.background.add,
    )
    return collection, what.failures


def _lines_to(desk: RetrieveDesk, table: RoutingTable, holding: Holding) -> Sequence[FetchLine]:
    """C-MOVE to ourselves needs a source that may send to us."""
    peer, sources, limit_s = holding.peer, desk.query.sources, table.query_retrieve.timeout_s
    lines: list[FetchLine] = []
    if peer.retrieve != "move":
        classes = {item.sop_class_uid for item in holding.items.values()}
        lines.append(GetLine(sources, peer, classes, desk.receiver, limit_s))
    if peer.retrieve == "move" or (peer.retrieve == "auto" and "store" in peer.may):
        ae_title = known_as(peer, table.settings.ae_title)
        lines.append(MoveLine(sources, desk.mailbox, peer, ae_title, limit_s))
    return lines


async def _uids(desk: RetrieveDesk, held: Sequence[int]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(held), BATCH):
        found |= {
            instance.sop_instance_uid for instance in await desk.query.index.instances(held[start : start + BATCH])
        }
    return found


class _Maker:
    """What is sent on of instances that sources send, and what is kept."""

    def __init__(self, desk: RetrieveDesk, request: Retrieve) -> None:
        self._desk = desk
        self._request = request

    async def made(self, arrived: Arrived, peer: Peer) -> EncodedInstance:
        facts = self._facts(peer)
        if self._request.table.query_retrieve.keep_retrieved:
            await self._keep(arrived, facts)
        instance = Instance(
            arrived.sop_class_uid,
            arrived.sop_instance_uid,
            arrived.transfer_syntax_uid,
            "",
            "",
            facts,
            NOT_STORED,
            datetime.now(UTC),
        )
        return self._request.forms.encoded(instance, arrived.body.share())

    def _facts(self, peer: Peer) -> AssociationFacts:
        """As if the source had sent it to us."""
        return AssociationFacts(
            calling_ae_title=peer.ae_title,
            called_ae_title=self._request.table.settings.ae_title,
            remote_host=peer.host,
            peer=peer.name,
            association_id=self._request.facts.association_id,
        )

    async def _keep(self, arrived: Arrived, facts: AssociationFacts) -> None:
        """What the rules do not want goes on all the same."""
        arrival = Arrival(
            Pinned(self._request.table),
            facts,
            arrived.sop_class_uid,
            arrived.sop_instance_uid,
            arrived.transfer_syntax_uid,
            arrived.body.inner,
        )
        try:
            await self._desk.keep(arrival)
        except GatewayError:
            self._desk.query.meter.count("gateway_retrieved_not_kept_total", source=facts.peer)


def _incomplete(request: Retrieve, failures: Sequence[SourceFailed]) -> Incomplete | None:
    """Not everything that sources hold is known; None when it is, or under `partial: accept`."""
    if not failures or request.table.query_retrieve.partial == "accept":
        return None
    if len(failures) == 1:
        return Incomplete(f"incomplete: {failures[0]}")
    return Incomplete(f"incomplete: no answer from {', '.join(each.source for each in failures)}")
