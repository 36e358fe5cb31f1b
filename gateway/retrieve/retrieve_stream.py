"""The stream of a retrieve: local instances from the spool, the others from the sources that hold them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.intake.incoming import Incoming
from gateway.model.association import AssociationFacts
from gateway.model.dimse_status import PENDING
from gateway.model.instance import NOT_STORED, Instance, PayloadRef
from gateway.model.peer import Peer
from gateway.model.query import QueryRoot
from gateway.ports.encoded_data_set import EncodedDataSet
from gateway.ports.errors import GatewayError, PayloadLost
from gateway.query.attributes import PATIENT_ID
from gateway.query.sop_classes import GET_OF_ROOT, MOVE_OF_ROOT
from gateway.retrieve.get_fetcher import FetchedInstance, GetFetcher
from gateway.retrieve.handoff import Handoff
from gateway.retrieve.inactivity import FetchLimits
from gateway.retrieve.locate import BATCH, Located, located, located_relayed
from gateway.retrieve.move_fetcher import MoveFetcher, known_as
from gateway.retrieve.retrieve_backends import CannotCount, RetrieveBackends, RetrieveRequest
from gateway.retrieve.source_fetch import Fetcher, SourceFetch
from gateway.retrieve.source_instances import SourceInstances

log = structlog.get_logger()

AHEAD = 2
"""Local instances that are opened before it is their turn."""


async def retrieved(backends: RetrieveBackends, request: RetrieveRequest) -> AsyncGenerator[Any]:
    """The number of instances, then each of them, as the handlers of C-MOVE and C-GET yield them.

    Instances from sources come before the local ones, which can wait. Under `partial: fail` the end is 0xA701 when a
    source did not say which instances it holds, or sent more of a study than it had said; the instances that the others
    hold were sent.

    Raises:
        CannotCount: the index cannot be read now, or see above; at once when nothing was found.
    """
    found = await located(backends, request) if request.relayed is None else located_relayed(backends, request)
    for holding in found.elsewhere:
        for study_instance_uid in {item.study_instance_uid: None for item in holding.items.values()}:
            request.found(study_instance_uid)
    collection = _collection(backends, request, found)
    incomplete = _incomplete(request, found)
    number = len(found.held) + len(collection)
    if incomplete is not None and not number:
        raise incomplete
    yield number
    collection.start()
    try:
        async for item in _merged(collection.handoff, backends, request, found.held):
            yield PENDING, item
    finally:
        collection.stop()
    incomplete = incomplete or _unlisted(backends, request, collection)
    if incomplete is not None:
        raise incomplete


async def _merged(
    handoff: Handoff, backends: RetrieveBackends, request: RetrieveRequest, held: Sequence[int]
) -> AsyncGenerator[Any]:
    """Yield what is there, fetched instances first: sources wait for us."""
    async for instance in _local(backends, request, held):
        while not handoff.is_empty:
            yield await handoff.take()
        yield instance
    while (item := await handoff.take()) is not None:
        yield item


async def _local(
    backends: RetrieveBackends, request: RetrieveRequest, held: Sequence[int]
) -> AsyncGenerator[EncodedInstance]:
    """Yield local instances. One that was forgotten since the count is not yielded: the engine counts it as failed."""
    coming: deque[tuple[Instance, Opening]] = deque()
    for start in range(0, len(held), BATCH):
        for instance in await backends.query.index.instances(held[start : start + BATCH]):
            request.found(instance.study_instance_uid)
            coming.append((instance, Opening(backends, instance.payload)))
            coming[-1][1].begin()
            if len(coming) > AHEAD:
                yield _encoded(request, *coming.popleft())
    while coming:
        yield _encoded(request, *coming.popleft())


def _encoded(request: RetrieveRequest, instance: Instance, opening: Opening) -> EncodedInstance:
    return request.forms.encoded(instance, opening.taken() or opening)


class Opening:
    """Opens stored bytes; those that the disk has to be waited for in a thread, from `begin` on."""

    __slots__ = ("_backends", "_opened", "_payload", "_task")

    def __init__(self, backends: RetrieveBackends, payload: PayloadRef) -> None:
        self._backends = backends
        self._payload = payload
        self._opened: EncodedDataSet | None = None
        self._task: asyncio.Task[EncodedDataSet] | None = None

    def begin(self) -> None:
        """Somebody will want it soon."""
        if self._task is not None or self._opened is not None:
            return
        with contextlib.suppress(PayloadLost):  # said when it is its turn
            self._opened = self._backends.open_cached(self._payload)
        if self._opened is None:
            opening = asyncio.to_thread(self._backends.open_payload, self._payload)
            self._task = asyncio.get_running_loop().create_task(opening)
            self._task.add_done_callback(_seen)

    def taken(self) -> EncodedDataSet | None:
        """The bytes, when they are there: then they are the caller's."""
        opened, self._opened = self._opened, None
        return opened

    async def __call__(self) -> EncodedDataSet:
        """Raises PayloadLost, Temporary."""
        self.begin()
        if (opened := self.taken()) is not None:
            return opened
        assert self._task is not None
        return await self._task


def _seen(task: asyncio.Task[EncodedDataSet]) -> None:
    """Take the error of a task that was not awaited, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()


def _incomplete(request: RetrieveRequest, found: Located) -> CannotCount | None:
    """The error that not all instances of the sources are known; None when they are, or under `partial: accept`."""
    if not found.failures or request.table.query_retrieve.partial == "accept":
        return None
    if len(found.failures) == 1:
        return CannotCount(f"incomplete: {found.failures[0]}")
    return CannotCount(f"incomplete: no answer from {', '.join(each.source for each in found.failures)}")


def _unlisted(backends: RetrieveBackends, request: RetrieveRequest, collection: SourceFetch) -> CannotCount | None:
    """Sources have more of a study than they listed when they were asked: it may be arriving there just now."""
    if not collection.unlisted:
        return None
    if request.table.query_retrieve.partial == "accept":
        backends.query.meter.count("gateway_retrieve_partial_total")
        return None
    listed = ", ".join(f"{len(uids)} more at {source}" for source, uids in collection.unlisted.items())
    return CannotCount(f"incomplete: {listed}; retrieve again")


# --- what is not here -----------------------------------------------------------------------------------------------


def _collection(backends: RetrieveBackends, request: RetrieveRequest, found: Located) -> SourceFetch:
    return SourceFetch(
        request.query.level,
        found.elsewhere,
        found.held_uids,
        fetchers_of=partial(_lines_to, backends, request),
        made=_Maker(backends, request).made,
        meter=backends.query.meter,
        run=backends.query.background.add,
        is_of_patient=any(key.tag == PATIENT_ID for key in request.query.keys),
        is_by_uid=request.relayed is not None,
    )


def _lines_to(backends: RetrieveBackends, request: RetrieveRequest, holding: SourceInstances) -> Sequence[Fetcher]:
    """C-MOVE to ourselves needs a source that may send to us."""
    table, relayed = request.table, request.relayed
    peer, sources, settings = holding.peer, backends.query.sources, table.query_retrieve
    of_get: Mapping[QueryRoot, str] = GET_OF_ROOT if relayed is None else {"study": relayed.get}
    of_move: Mapping[QueryRoot, str] = MOVE_OF_ROOT if relayed is None else {"study": relayed.move}
    limits = FetchLimits(settings.timeout_s, settings.no_progress_s, settings.longest_s)
    lines: list[Fetcher] = []
    if peer.retrieve != "move":
        classes = {item.sop_class_uid for item in holding.items.values()}
        if relayed is not None:
            classes = set(relayed.storage)
        lines.append(GetFetcher(sources, peer, classes, backends.receiver, limits, of_get))
    if peer.retrieve == "move" or (peer.retrieve == "auto" and "store" in peer.may):
        ae_title = known_as(peer, table.settings.ae_title)
        lines.append(MoveFetcher(sources, backends.rendezvous, peer, ae_title, limits, backends.query.meter, of_move))
    return lines


class _Maker:
    """Makes the form that is sent on of each instance that a source sends, and the one that is kept."""

    def __init__(self, backends: RetrieveBackends, request: RetrieveRequest) -> None:
        self._backends = backends
        self._request = request

    async def made(self, arrived: FetchedInstance, peer: Peer) -> EncodedInstance:
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
        """The association facts of an instance as if the source had sent it to us."""
        return AssociationFacts(
            calling_ae_title=peer.ae_title,
            called_ae_title=self._request.table.settings.ae_title,
            remote_host=peer.host,
            peer=peer.name,
            association_id=self._request.facts.association_id,
        )

    async def _keep(self, arrived: FetchedInstance, facts: AssociationFacts) -> None:
        """Store the instance. One that no route wants, or that there is no room for, is sent on all the same."""
        incoming = Incoming(
            facts,
            arrived.sop_class_uid,
            arrived.sop_instance_uid,
            arrived.transfer_syntax_uid,
            arrived.body.inner,
            is_retrieved=True,
        )
        try:
            await self._backends.keep(incoming, self._request.table)
        except GatewayError as error:
            log.warning(
                "retrieved_instance_not_kept",
                source=facts.peer,
                sop_instance_uid=arrived.sop_instance_uid,
                error=type(error).__name__,
            )
            self._backends.query.meter.count("gateway_retrieved_not_kept_total", source=facts.peer)
