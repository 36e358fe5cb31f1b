"""What a retrieve yields: local instances from the spool, the others from the sources that hold them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.dimse.yields import EncodedInstance
from gateway.model import AssociationFacts, Instance, PayloadRef, Peer
from gateway.ports import EncodedDataSet, GatewayError
from gateway.retrieve.arrival import Arrival, Pinned
from gateway.retrieve.basket import Basket
from gateway.retrieve.collection import FetchedCollection, FetchLine
from gateway.retrieve.desk import CannotCount, Retrieve, RetrieveDesk
from gateway.retrieve.fetching import Arrived, GetLine
from gateway.retrieve.holdings import Holding
from gateway.retrieve.moving import MoveLine, known_as
from gateway.retrieve.whereabouts import BATCH, Whereabouts, whereabouts
from gateway.routing.table import RoutingTable

PENDING = 0xFF00
AHEAD = 2
"""Local instances that are opened before it is their turn."""
ASIDE_BYTES = 64 * 1024
"""From here on they are opened in a thread."""
NOT_STORED = PayloadRef(name="", offset_bytes=0, length_bytes=0, digest=b"")


async def retrieved(desk: RetrieveDesk, request: Retrieve) -> AsyncGenerator[Any]:
    """The number of instances, then each of them, as the handlers of C-MOVE and C-GET yield them.

    What sources bring comes before what is here, which can wait. Under `partial: fail` the end is 0xA701 when a source
    did not say what it holds; what the others hold was sent.

    Raises:
        CannotCount: the index cannot be read now, or see above; at once when nothing was found.
    """
    found = await whereabouts(desk, request)
    collection = _collection(desk, request, found)
    incomplete = _incomplete(request, found)
    number = len(found.held) + len(collection)
    if incomplete is not None and not number:
        raise incomplete
    yield number
    collection.start()
    try:
        async for item in _merged(collection.basket, desk, request, found.held):
            yield PENDING, item
    finally:
        collection.stop()
    if incomplete is not None:
        raise incomplete


async def _merged(basket: Basket, desk: RetrieveDesk, request: Retrieve, held: Sequence[int]) -> AsyncGenerator[Any]:
    """Whatever is there, first what was fetched: sources wait for us."""
    async for instance in _local(desk, request, held):
        while not basket.is_empty:
            yield await basket.take()
        yield instance
    while (item := await basket.take()) is not None:
        yield item


async def _local(desk: RetrieveDesk, request: Retrieve, held: Sequence[int]) -> AsyncGenerator[EncodedInstance]:
    """What was forgotten since it was counted is not yielded: the engine counts it as failed."""
    coming: deque[tuple[Instance, Opening]] = deque()
    for start in range(0, len(held), BATCH):
        for instance in await desk.query.index.instances(held[start : start + BATCH]):
            coming.append((instance, Opening(desk.open_payload, instance.payload)))
            coming[-1][1].begin()
            if len(coming) > AHEAD:
                yield request.forms.encoded(*coming.popleft())
    while coming:
        yield request.forms.encoded(*coming.popleft())


class Opening:
    """Opens stored bytes; those of some size in a thread, from `begin` on, for they are read and compared with their
    digest."""

    __slots__ = ("_open", "_payload", "_task")

    def __init__(self, open_payload: Callable[[PayloadRef], EncodedDataSet], payload: PayloadRef) -> None:
        self._open = open_payload
        self._payload = payload
        self._task: asyncio.Task[EncodedDataSet] | None = None

    def begin(self) -> None:
        """Somebody will want it soon."""
        if self._task is None and self._payload.length_bytes >= ASIDE_BYTES:
            self._task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._open, self._payload))
            self._task.add_done_callback(_seen)

    async def __call__(self) -> EncodedDataSet:
        """Raises PayloadLost, Temporary."""
        self.begin()
        return await self._task if self._task is not None else self._open(self._payload)


def _seen(task: asyncio.Task[EncodedDataSet]) -> None:
    """Of one that nobody came for, nobody is to complain."""
    if not task.cancelled():
        task.exception()


def _incomplete(request: Retrieve, found: Whereabouts) -> CannotCount | None:
    """Not everything that sources hold is known; None when it is, or under `partial: accept`."""
    if not found.failures or request.table.query_retrieve.partial == "accept":
        return None
    if len(found.failures) == 1:
        return CannotCount(f"incomplete: {found.failures[0]}")
    return CannotCount(f"incomplete: no answer from {', '.join(each.source for each in found.failures)}")


# --- what is not here -----------------------------------------------------------------------------------------------


def _collection(desk: RetrieveDesk, request: Retrieve, found: Whereabouts) -> FetchedCollection:
    return FetchedCollection(
        request.query.level,
        found.elsewhere,
        found.held_uids,
        lines_to=partial(_lines_to, desk, request.table),
        made=_Maker(desk, request).made,
        meter=desk.query.meter,
        run=desk.query.background.add,
    )


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


class _Maker:
    """What is sent on of instances that sources send, and what is kept."""

    def __init__(self, desk: RetrieveDesk, request: Retrieve) -> None:
        self._desk = desk
        self._request = request

    async def made(self, arrived: Arrived, peer: Peer) -> EncodedInstance:
        """Kept as well, where the settings say so."""
        facts = self._facts(peer)
        if self._request.table.query_retrieve.keep_retrieved:
            await self._keep(arrived, facts)
        instance = Instance(
            sop_class_uid=arrived.sop_class_uid,
            sop_instance_uid=arrived.sop_instance_uid,
            transfer_syntax_uid=arrived.transfer_syntax_uid,
            study_instance_uid="",
            series_instance_uid="",
            association=facts,
            payload=NOT_STORED,
            received_at=datetime.now(UTC),
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
        """What the rules do not want, or what there is no room for, goes on all the same."""
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
