"""Instances fetched from several sources side by side; one that a source cannot give is fetched from the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from gateway.dimse.protocol.status import stack_lines
from gateway.dimse.pynetdicom_contract.yields import EncodedInstance
from gateway.dimse.requestor.response import Response
from gateway.model.dimse_status import SUCCESS
from gateway.model.peer import Peer
from gateway.model.query import QueryLevel
from gateway.ports.errors import NotAllowed, Refusal
from gateway.ports.meter import Meter
from gateway.retrieve.fetch_requests import FetchRequest, requests
from gateway.retrieve.get_fetcher import FetchedInstance, Take, is_not_offered, once_more
from gateway.retrieve.handoff import Handoff
from gateway.retrieve.source_instances import SourceInstance, SourceInstances
from gateway.sources.source_query import SourceFailed

log = structlog.get_logger()

FINAL_RESPONSES_S = 2.0
"""The time for the final responses of sources when every instance is here."""
MOST_IN_VAIN = 3
"""Requests that one after the other bring nothing, before a source is asked no more this way."""


class Fetcher(Protocol):
    """One way to fetch from one source."""

    @property
    def service(self) -> str:
        """get or move."""
        ...

    async def fetch(self, request: FetchRequest, take: Take) -> Response:
        """Raises NotOffered, SourceFailed."""
        ...


class NotRequested(NotAllowed):
    """A source sends an instance that was not requested."""


class _Source:
    """The part of one source in this retrieve."""

    def __init__(self, holding: SourceInstances, fetchers: Sequence[Fetcher]) -> None:
        self.peer: Peer = holding.peer
        self.held = holding.items
        self.fetchers = list(fetchers)
        """Ways to fetch from it, the preferred one first."""
        self.requested: dict[str, SourceInstance] = {}
        self.is_lost = False


class _WantedInstance:
    """One instance that has not arrived yet."""

    __slots__ = ("holders", "item")

    def __init__(self, item: SourceInstance, holder: _Source) -> None:
        self.item = item
        self.holders = [holder]


Made = Callable[[FetchedInstance, Peer], Awaitable[EncodedInstance]]
"""Makes the form that is sent on of an instance that a source sent; it has its own share of the body."""


class SourceFetch:
    """All instances of one retrieve that are not here.

    Args:
        level: of the retrieve.
        found: in the order in which sources are preferred.
        here: instances that need not be fetched.
        lines_to: the ways to fetch from a source.
        made: see `Made`. An error is the answer to the source, and the instance counts as not given.
        run: keeps a task until it has ended.
        is_of_patient: the retrieve names a patient.
        is_by_uid: the objects have no patient: SOP Instance UIDs name them, and nothing else.
    """

    def __init__(
        self,
        level: QueryLevel,
        found: Sequence[SourceInstances],
        here: Collection[str],
        *,
        fetchers_of: Callable[[SourceInstances], Sequence[Fetcher]],
        made: Made,
        meter: Meter,
        run: Callable[[asyncio.Task[None]], None],
        is_of_patient: bool = False,
        is_by_uid: bool = False,
    ) -> None:
        self._level = level
        self._is_by_uid = is_by_uid
        self._is_of_patient = is_of_patient
        self._made = made
        self._meter = meter
        self._run = run
        self._wanted: dict[str, _WantedInstance] = {}
        self._adapting = 0
        """The number of instances that arrived and are not in the handoff yet."""
        self._changed = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._sources = [_Source(holding, fetchers_of(holding)) for holding in found]
        self._known = frozenset(here).union(*(holding.items for holding in found))
        self.unlisted: dict[str, set[str]] = {}
        """Instances by source that it sent although no source listed them. They are not sent on."""
        self.handoff = Handoff()
        for source in self._sources:
            for uid, item in source.held.items():
                if uid in here:
                    continue
                wanted = self._wanted.get(uid)
                if wanted is None:
                    self._wanted[uid] = _WantedInstance(item, source)
                    source.requested[uid] = item
                else:
                    wanted.holders.append(source)

    def __len__(self) -> int:
        """Instances that are still to arrive."""
        return len(self._wanted)

    def start(self) -> None:
        """Begin to fetch; `handoff` fills, and ends when everything arrived or no source can give the rest."""
        if not self._wanted:
            self.handoff.end()
            return
        for source in self._sources:
            self._workers.append(asyncio.create_task(self._work(source)))
        keeper = asyncio.create_task(self._end(list(self._workers)))
        for task in (*self._workers, keeper):
            self._run(task)

    def stop(self) -> None:
        """End the fetch: requests to sources are cancelled, and not waited for."""
        self.handoff.stop()
        for worker in self._workers:
            worker.cancel()

    async def _end(self, workers: list[asyncio.Task[None]]) -> None:
        """End the handoff when everything is in it or no source brings more; final responses of sources may be late."""
        running = {asyncio.create_task(asyncio.wait(workers)), asyncio.create_task(self._all_here())}
        try:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            done, _ = await asyncio.wait(workers, timeout=FINAL_RESPONSES_S)
        finally:
            for task in running:
                task.cancel()
        for worker in done:
            if not worker.cancelled() and (error := worker.exception()) is not None:
                log.error("fetch_failed", error=type(error).__name__, where=stack_lines(error))
        left = tuple(self._wanted)
        self._wanted.clear()
        if left:
            self.handoff.put_missing(left)
        self.handoff.end()

    async def _all_here(self) -> None:
        while self._wanted or self._adapting:
            await self._changed.wait()

    # --- one source ------------------------------------------------------------------------------------------------

    async def _work(self, source: _Source) -> None:
        """Fetch the requested instances of this source, also those that others could not give, until all are here."""
        try:
            while self._wanted and not source.is_lost:
                if not source.requested:
                    await self._changed.wait()
                    continue
                items, source.requested = source.requested, {}
                await self._request_all(source, list(items.values()))
        finally:
            source.is_lost = True
            self._pass_on(source, list(source.requested.values()))

    async def _request_all(self, source: _Source, items: list[SourceInstance]) -> None:
        left = items
        for fetcher in tuple(source.fetchers):
            in_vain = 0
            for request in requests(self._level, left, source.held, is_of_patient=self._is_of_patient):
                request = replace(request, is_by_uid=self._is_by_uid)
                in_vain = 0 if await self._fetch(source, fetcher, request) else in_vain + 1
                if source.is_lost or fetcher not in source.fetchers or in_vain == MOST_IN_VAIN:
                    break
            left = [item for item in left if item.sop_instance_uid in self._wanted]
            if not left or source.is_lost:
                break
        self._pass_on(source, left)

    async def _fetch(self, source: _Source, fetcher: Fetcher, request: FetchRequest) -> bool:
        """True when the source gave an instance, or ended with Success."""
        began_s = time.monotonic()
        arrived = 0

        async def take(instance: FetchedInstance) -> int:
            nonlocal arrived
            arrived += 1
            return await self._take(source, instance)

        outcome = "interrupted"
        try:
            response = await once_more(lambda: fetcher.fetch(request, take), lambda: arrived > 0)
            outcome = "answered" if response.status == SUCCESS else f"0x{response.status:04X}"
        except SourceFailed as error:
            if is_not_offered(error):
                outcome = "not_offered"
                source.fetchers.remove(fetcher)
                return False
            outcome = "failed"
            source.is_lost = True
            log.warning(
                "source_failed", source=source.peer.name, service=fetcher.service, reason=error.reason, arrived=arrived
            )
            return False
        finally:
            labels = {"source": source.peer.name, "service": fetcher.service}
            self._meter.count("gateway_source_retrieves_total", outcome=outcome, **labels)
            self._meter.observe("gateway_source_retrieve_seconds", time.monotonic() - began_s, **labels)
        if outcome != "answered":
            missing = sum(item.sop_instance_uid in self._wanted for item in request.items)
            log.warning(
                "source_answered_partly",
                source=source.peer.name,
                service=fetcher.service,
                status=outcome,
                arrived=arrived,
                missing=missing,
            )
        return outcome == "answered" or arrived > 0

    async def _take(self, source: _Source, instance: FetchedInstance) -> int:
        """Hand an arriving instance over, when there is room.

        Raises:
            NotRequested, Stopped: its status is the answer to the source.
            Refusal: it cannot be sent on.
        """
        uid = instance.sop_instance_uid
        wanted = self._wanted.get(uid)
        if wanted is None or uid not in source.held:
            self._count(source, "not_asked_for")
            if uid in source.held:
                return SUCCESS  # somebody else was faster, or it was sent twice
            if uid not in self._known and self._level is QueryLevel.STUDY and not self._is_of_patient:
                self.unlisted.setdefault(source.peer.name, set()).add(uid)
            log.warning("instance_not_requested", source=source.peer.name, sop_instance_uid=uid)
            raise NotRequested("this instance was not asked for")
        del self._wanted[uid]
        self._adapting += 1
        try:
            encoded = await self._made(instance, source.peer)
            await self._put(encoded)
        except Refusal:
            self._wanted[uid] = wanted
            raise
        finally:
            self._adapting -= 1
            if not self._wanted:
                self._wake()
        self._count(source, "fetched")
        return SUCCESS

    async def _put(self, encoded: EncodedInstance) -> None:
        try:
            await self.handoff.put(encoded)
        except BaseException:
            if not callable(encoded.body):
                encoded.body.close()
            raise

    def _count(self, source: _Source, outcome: str) -> None:
        self._meter.count("gateway_source_instances_total", source=source.peer.name, outcome=outcome)

    def _pass_on(self, source: _Source, items: Sequence[SourceInstance]) -> None:
        """Request the instances that `source` does not give of the next source that holds them; else they are
        missing.
        """
        missing = []
        for item in items:
            wanted = self._wanted.get(item.sop_instance_uid)
            if wanted is None:
                continue
            others = [holder for holder in wanted.holders if holder is not source and not holder.is_lost]
            wanted.holders = others
            if others:
                others[0].requested[item.sop_instance_uid] = others[0].held[item.sop_instance_uid]
                continue
            del self._wanted[item.sop_instance_uid]
            missing.append(item.sop_instance_uid)
        if missing:
            log.warning("instances_not_provided", source=source.peer.name, number=len(missing))
            self.handoff.put_missing(tuple(missing))
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
