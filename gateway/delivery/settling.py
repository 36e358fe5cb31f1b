"""Settlements in batches: sending goes on while the queue commits what became of the objects before."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, NamedTuple, TypeVar

import structlog

from gateway.model.delivery import Delivery, DeliveryState, Settlement
from gateway.object_log import ObjectLog
from gateway.ports.errors import Temporary
from gateway.ports.journal import Journal
from gateway.ports.meter import Meter

log = structlog.get_logger()

MAX_UNSETTLED = 512
"""The most deliveries that may be sent twice after a crash; enough for a quarter of a second at wire speed."""
LINGER_S, ENOUGH = 0.02, 128
"""A batch waits this long for more, or until it has enough: each commit costs all users of the
queue an fsync, and no requestor waits for the settlement of a success."""
PAUSE_S = 1.0
"""The pause before the journal is asked again after it had no room."""

SettledAs = Literal["delivered", "deferred", "refused", "expired", "returned", "held"]
"""The meaning of a settlement: refused and expired are dead letters; `returned` goes back as if never claimed; `held`
waits, untried."""

AttemptEnd = Literal["delivered", "deferred", "refused"]

T = TypeVar("T")


class Settled(NamedTuple):
    """One settlement with what is counted when it holds."""

    settlement: Settlement
    result: SettledAs
    attempt: AttemptEnd | None
    """The end of the attempt; None when there was none."""
    delivery: Delivery | None
    """None for one that is given back at the end."""


async def persistently(call: Callable[[], Awaitable[T]], what: str) -> T:
    """The result of `call`, repeated until it raises Temporary no more; any other error is fatal, and raised."""
    while True:
        try:
            return await call()
        except Temporary as error:
            log.warning("settlement_delayed", operation=what, error=str(error))
            await asyncio.sleep(PAUSE_S)


class Settler:
    """Collects the settlements of one destination and commits what is there, again and again."""

    def __init__(self, journal: Journal, destination: str, meter: Meter, objects: ObjectLog) -> None:
        self._objects = objects
        self._journal = journal
        self._destination = destination
        self._meter = meter
        self._waiting: list[Settled] = []
        self._unsettled = self._added = 0
        self._is_closing = False
        self._work = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def is_full(self) -> bool:
        """True when so much is unsettled that nothing more should be sent."""
        return self._unsettled >= MAX_UNSETTLED

    @property
    def is_waiting(self) -> bool:
        """True while something is unsettled."""
        return self._unsettled > 0

    def add(self, settled: Settled) -> None:
        """Settle this with the next batch."""
        self._waiting.append(settled)
        self._unsettled += 1
        self._added += 1
        self._work.set()
        if len(self._waiting) >= ENOUGH or settled.settlement.state is DeliveryState.PENDING:
            self._enough.set()

    async def room(self) -> None:
        """Return when there is room for more."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def settled(self) -> None:
        """Return when the queue knows of all that was added before."""
        wanted = self._added
        while self._added - self._unsettled < wanted:
            self._room.clear()
            await self._room.wait()

    def close(self) -> None:
        """Let `run` end when everything is settled."""
        self._is_closing = True
        self._work.set()
        self._enough.set()

    async def run(self, after_batch: Callable[[bool], None]) -> None:
        """Settle until closed; `after_batch(are_some_pending)` follows every commit."""
        while not (self._is_closing and not self._waiting):
            self._work.clear()
            if self._waiting:
                await self._linger()
                await self._commit(after_batch)
                continue
            await self._work.wait()

    async def finish(self) -> None:
        """Settle what is left, without `run`."""
        while self._waiting:
            await self._commit(lambda _: None)

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_S):
                await self._enough.wait()
        except TimeoutError:
            return

    async def _commit(self, after_batch: Callable[[bool], None]) -> None:
        batch, self._waiting = self._waiting, []
        self._enough.clear()
        groups: dict[SettledAs, list[Settled]] = {}
        for settled in batch:
            groups.setdefault(settled.result, []).append(settled)
        try:
            await asyncio.gather(*(self._settle(result, group) for result, group in groups.items()))
        except asyncio.CancelledError:
            self._waiting = batch + self._waiting  # settled twice is settled once: the lease is gone after the first
            raise
        self._unsettled -= len(batch)
        self._room.set()
        for attempt, times in Counter(settled.attempt for settled in batch if settled.attempt is not None).items():
            self._meter.count("gateway_delivery_attempts_total", times, destination=self._destination, outcome=attempt)
        after_batch("deferred" in groups or "returned" in groups)

    async def _settle(self, result: SettledAs, group: list[Settled]) -> None:
        """One result a call: those that held are counted."""
        settlements = [settled.settlement for settled in group]
        are_held = await persistently(lambda: self._journal.settle(settlements), "settle")
        held = sum(are_held)
        if held < len(group):
            log.warning("lease_lost", destination=self._destination, result=result, count=len(group) - held)
        if result in ("returned", "held") or not held:
            return
        if result != "deferred":
            self._meter.count("gateway_deliveries_total", held, destination=self._destination, outcome=result)
        if result == "delivered":
            self._delivered(group if held == len(group) else itertools.compress(group, are_held))

    def _delivered(self, group: Iterable[Settled]) -> None:
        """Count and log those that held."""
        size_bytes = 0
        delivered = self._objects.delivered
        for settlement, _, _, delivery in group:
            assert delivery is not None
            size_bytes += delivery.instance.payload.length_bytes
            delivered(delivery, settlement.due_at, settlement.status or 0)
        self._meter.count("gateway_delivery_bytes_total", size_bytes, destination=self._destination)
