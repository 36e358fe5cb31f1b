"""All couriers: started, changed and stopped as the configuration says, one per destination."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Protocol

import structlog

from gateway.delivery.courier import IDLE_S, Courier, CourierStatus
from gateway.delivery.courier_context import CourierContext, OnSending, not_watched
from gateway.delivery.transform import NO_CONVERTER
from gateway.delivery.worker import ABORT_S
from gateway.model.delivery import DeliveryState
from gateway.model.peer import Peer
from gateway.object_log import ObjectLog
from gateway.ports.converter import Converter
from gateway.ports.destination import Destination
from gateway.ports.errors import ConfigurationError, Temporary
from gateway.ports.journal import Journal
from gateway.ports.kinds import Resources
from gateway.ports.meter import Meter
from gateway.routing.language.resources import NO_RESOURCES

log = structlog.get_logger()


class DeliveryPeers(Protocol):
    """The part of a routing table that the service needs."""

    @property
    def peers(self) -> Mapping[str, Peer]: ...
    @property
    def resources(self) -> Resources:
        """The resources for the stored actions."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A new table, ready for `DeliveryService.apply`: nothing in it can fail any more."""

    resources: Resources
    peers: Mapping[str, Peer]
    """Every destination."""
    changed: Mapping[str, Destination]
    """Destinations of peers that have a courier and other settings now."""
    added: Mapping[str, Courier]
    """Couriers that do not run yet."""


class DeliveryService:
    """Delivers what the journal owes, until drained.

    `now` gives the queue's time (`gateway.common.steady_clock`), `wall` that of people; `random` spreads retries;
    `idle_s` is how long a channel outlives its work; `objects` is called with each object that was delivered,
    `on_sending` with each that is about to be.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        open_destination: Callable[[Peer], Destination],
        meter: Meter,
        now: Callable[[], datetime],
        random: Random,
        idle_s: float = IDLE_S,
        converter: Converter = NO_CONVERTER,
        wall: Callable[[], datetime] | None = None,
        objects: ObjectLog | None = None,
        on_sending: OnSending = not_watched,
    ) -> None:
        self._journal = journal
        self._meter = meter
        self._open_destination = open_destination
        self._context = CourierContext(
            journal=journal,
            meter=meter,
            now=now,
            wall=wall or now,
            random=random,
            resources=lambda: self._resources,
            converter=converter,
            idle_s=idle_s,
            objects=objects or ObjectLog(),
            on_sending=on_sending,
        )
        self._resources: Resources = NO_RESOURCES
        self._couriers: dict[str, Courier] = {}
        self._running: dict[asyncio.Task[None], Courier] = {}
        """Couriers that are leaving included."""
        self._strays: set[str] = set()
        """Names of destinations that are owed something and not configured."""
        self._ended: asyncio.Future[None] | None = None

    async def start(self, table: DeliveryPeers) -> None:
        """Begin to deliver to every destination of `table`."""
        self._ended = asyncio.get_running_loop().create_future()
        self._journal.subscribe(self._notify)
        self._journal.subscribe_to_operators(self._probe)
        self.apply(self.prepare(table))
        await self.report_strays()

    async def run(self) -> None:
        """Return when drained; raise when a courier died of an error that was not foreseen."""
        assert self._ended is not None, "start first"
        await asyncio.shield(self._ended)

    def prepare(self, table: DeliveryPeers) -> Prepared:
        """Make what a new table needs; nothing that runs is touched.

        Raises:
            ConfigurationError: a destination cannot be made of its settings.
        """
        peers = {name: peer for name, peer in table.peers.items() if peer.is_destination}
        changed: dict[str, Destination] = {}
        added: dict[str, Courier] = {}
        for name, peer in peers.items():
            courier = self._couriers.get(name)
            if courier is None:
                added[name] = self._courier(peer)
            elif courier.peer != peer:
                changed[name] = self._made(peer)
        return Prepared(table.resources, peers, changed, added)

    def apply(self, prepared: Prepared) -> None:
        """Follow a new table: unchanged peers keep their channels; a destination that is down is tried at once."""
        self._resources = prepared.resources
        for name in self._couriers.keys() - prepared.peers.keys():
            self._couriers.pop(name).stop()
        for name, courier in self._couriers.items():
            destination = prepared.changed.get(name)
            if destination is not None:
                courier.replace(prepared.peers[name], destination)
            else:
                courier.probe_now()
        for courier in prepared.added.values():
            self._begin(courier)

    async def drain(self, seconds: float) -> bool:
        """Claim nothing more, finish what is in flight, give back the rest; abort what takes longer.

        True when everything ended in time. A store that takes nothing does not hold up the end: what is not given back
        and not settled then is due again at the next start.
        """
        for courier in self._running.values():
            courier.stop()
        late: set[asyncio.Task[None]] = set()
        if self._running:
            _, late = await asyncio.wait(list(self._running), timeout=seconds)
        couriers = [self._running[task] for task in late if task in self._running]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2 * ABORT_S)
        await asyncio.gather(*map(_give_back, couriers))
        self._couriers.clear()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        return not late

    def status(self) -> tuple[CourierStatus, ...]:
        """One row a destination, by name."""
        return tuple(self._couriers[name].status() for name in sorted(self._couriers))

    def _made(self, peer: Peer) -> Destination:
        """Raises ConfigurationError, whatever went wrong."""
        try:
            return self._open_destination(peer)
        except ConfigurationError:
            raise
        except Exception as error:
            log.exception("destination_not_opened", destination=peer.name)
            raise ConfigurationError(
                f"peer {peer.name!r}: its destination cannot be made ({type(error).__name__}: {error})"
            ) from error

    def _courier(self, peer: Peer) -> Courier:
        return Courier(peer, self._made(peer), self._context)

    def _begin(self, courier: Courier) -> None:
        self._couriers[courier.name] = courier
        task = asyncio.create_task(courier.run(), name=f"courier {courier.name}")
        self._running[task] = courier
        task.add_done_callback(self._courier_ended)

    def _courier_ended(self, task: asyncio.Task[None]) -> None:
        courier = self._running.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is None or self._ended is None or self._ended.done():
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.error("courier_died", destination=courier.name, error=type(error).__name__)
        self._ended.set_exception(error)

    def _notify(self, destination: str) -> None:
        courier = self._couriers.get(destination)
        if courier is not None:
            courier.notify()
        elif destination:
            self._stray(destination)

    def _probe(self, destination: str) -> None:
        """An operator who changes the queue wants to see it move: a destination that is down is tried at once, as
        after a reload."""
        courier = self._couriers.get(destination)
        if courier is not None:
            courier.probe_now()
        elif destination:
            self._stray(destination)

    async def report_strays(self) -> dict[str, int]:
        """The number of deliveries to each name that is not configured. They stay pending; logged once, until the name
        comes back."""
        self._strays -= self._couriers.keys()
        try:
            depths = await self._journal.depths()
        except Temporary as error:  # only a report: not worth a reload, still less the process
            log.warning("queue_not_counted", error=str(error))
            return {}
        waiting = {row.destination: row.count for row in depths if row.state is DeliveryState.PENDING}
        strays = {name: count for name, count in sorted(waiting.items()) if name not in self._couriers}
        for name, count in strays.items():
            self._stray(name, count)
        return strays

    def _stray(self, destination: str, count: int = 1) -> None:
        if destination in self._strays:
            return
        self._strays.add(destination)
        log.warning(
            "destination_not_configured",
            destination=destination,
            deliveries=count,
            hint="they stay in the queue; configure the peer and reload, or discard or release them elsewhere",
        )
        self._meter.set("gateway_destination_up", 0, destination=destination)


async def _give_back(courier: Courier) -> None:
    try:
        async with asyncio.timeout(2 * ABORT_S):
            await courier.give_back()
    except TimeoutError:
        log.error(
            "deliveries_not_settled",
            destination=courier.name,
            reason="the database takes nothing",
            consequence="after the next start they are sent again",
        )
