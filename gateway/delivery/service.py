"""All couriers: started, changed and stopped as the configuration says, one per destination."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from random import Random
from types import MappingProxyType

import structlog

from gateway.delivery.all_destinations import AllDestinations
from gateway.delivery.courier import IDLE_S, Courier
from gateway.delivery.courier_context import CourierContext, OnSending, not_watched
from gateway.delivery.courier_status import CourierStatus
from gateway.delivery.group_keeper import LOOK_S as LOOK_AT_GROUPS_S
from gateway.delivery.group_keeper import GroupKeeper, GroupStatus
from gateway.delivery.group_members import NOT_THERE, TRIAL_EACH_S, GroupMembers
from gateway.delivery.keeping import keep_by_rule
from gateway.delivery.prepared import DeliveryPeers, Prepared
from gateway.delivery.study_members import StudyMembers
from gateway.delivery.transform import NO_CONVERTER
from gateway.delivery.window_watch import WindowWatch
from gateway.delivery.worker import ABORT_S
from gateway.model.delivery import DeliveryState
from gateway.model.node import DestinationStanding
from gateway.model.peer import Peer
from gateway.object_log import ObjectLog
from gateway.ports.converter import Converter
from gateway.ports.destination import Destination
from gateway.ports.destination_leases import DestinationLeases
from gateway.ports.errors import ConfigurationError, Temporary
from gateway.ports.journal import Journal
from gateway.ports.meter import Meter
from gateway.ports.pauses import Pause
from gateway.routing.language.resources import NO_RESOURCES

log = structlog.get_logger()

LOOK_S = 0.25
"""How often the end of a lease is looked at while a courier ends: it moves when the lease is renewed."""


class DeliveryService:
    """Delivers what the journal owes, until drained.

    `now` gives the queue's time (`gateway.common.steady_clock`), `wall` that of people; `random` spreads retries;
    `idle_s` is how long a channel outlives its work; `objects` is called with each object that was delivered,
    `on_sending` with each that is about to be. `leases` says for which destinations couriers run here; without them for
    all. `look_s` is the time between two looks at the members of groups.
    """

    _rules: Prepared = Prepared(NO_RESOURCES, MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))
    _ended: asyncio.Future[None] | None = None
    _keeping: asyncio.Task[None] | None = None
    _own: frozenset[str] = frozenset()
    _pauses: Mapping[str, Pause] = MappingProxyType({})  # of destinations, those that were resumed included

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
        leases: DestinationLeases | None = None,
        look_s: float = LOOK_AT_GROUPS_S,
    ) -> None:
        self._journal, self._meter, self._open_destination = journal, meter, open_destination
        self._leases = leases or AllDestinations()
        self._context = CourierContext(
            journal=journal,
            meter=meter,
            now=now,
            wall=wall or now,
            random=random,
            resources=lambda: self._rules.resources,
            keeps=lambda: self._rules.keeps,
            converter=converter,
            idle_s=idle_s,
            objects=objects or ObjectLog(),
            on_sending=on_sending,
            may_send=self._leases.may_send,
        )
        self._opened: Mapping[str, tuple[Peer, Destination]] = {}  # of the rules in force, whoever works on them
        self.members, self.study_members, self._keeper = self._made_for_groups(look_s)
        self._couriers: dict[str, Courier] = {}
        self._running: dict[asyncio.Task[None], Courier] = {}  # couriers that are leaving included
        self._leaving: dict[asyncio.Task[None], Courier] = {}  # each sees to it that its courier ends in time
        self._pausing: dict[str, Courier] = {}  # couriers of paused destinations that finish what is in flight
        self._strays: set[str] = set()  # names of destinations that are owed something and not configured

    def _made_for_groups(self, look_s: float) -> tuple[GroupMembers, StudyMembers, GroupKeeper]:
        members = GroupMembers(self._member_standing, trial_each_s=TRIAL_EACH_S / LOOK_AT_GROUPS_S * look_s)
        studies, groups = StudyMembers(members, self._journal.keep_affinities), lambda: self._rules.groups
        return (
            members,
            studies,
            GroupKeeper(self._journal, members, studies, self._meter, groups, self._moves_from, look_s),
        )

    async def start(self, table: DeliveryPeers) -> None:
        """Begin to deliver to every destination of `table`."""
        self._ended, self._is_draining = asyncio.get_running_loop().create_future(), False
        self._last_standings: dict[str, DestinationStanding] = {}  # of couriers that have ended
        self._journal.subscribe(self._notify)
        self._journal.subscribe_to_operators(self._probe)
        self._leases.subscribe(self._follow)
        self._leases.share(self._standings)
        self.apply(self.prepare(table))
        await self.report_strays()
        self._keeping = asyncio.create_task(self._keeper.run(), name="groups")
        self._keeping.add_done_callback(lambda task: self._note_end("groups", task))

    async def run(self) -> None:
        """Return when drained; raise when a courier died of an error that was not foreseen."""
        assert self._ended is not None, "start first"
        await asyncio.shield(self._ended)

    def prepare(self, table: DeliveryPeers) -> Prepared:
        """Make what a new table needs; nothing that runs is touched.

        Raises:
            ConfigurationError: a destination cannot be made of its settings.
        """
        opened: dict[str, tuple[Peer, Destination]] = {}
        for name, peer in table.peers.items():
            if peer.is_destination:
                before = self._opened.get(name)
                opened[name] = before if before is not None and before[0] == peer else (peer, self._made(peer))
        return Prepared(table.resources, opened, table.groups, keep_by_rule(table.routes))

    def apply(self, prepared: Prepared) -> None:
        """Follow a new table: unchanged peers keep their channels; a destination that is down is tried at once."""
        before, self._opened, self._rules = self._opened, prepared.opened, prepared
        self._leases.want(prepared.opened.keys())
        self._follow(self._leases.own)
        for name, courier in self._couriers.items():
            if name not in before:
                continue
            if before[name] is not prepared.opened[name]:
                courier.replace(*prepared.opened[name])
            else:
                courier.probe_now()

    def _follow(self, own: frozenset[str]) -> None:
        """Couriers run for the destinations `own` of the rules in force, and for no others."""
        lost, self._own = self._own - own, own
        for name in sorted(lost):
            courier = self._couriers.pop(name, None) or self._pausing.pop(name, None)
            if courier is None:
                self._leases.ended(name)
            else:
                self._end(courier)
        for name in sorted(own & self._opened.keys() - self._couriers.keys() - self._pausing.keys()):
            pause = self._pauses.get(name)
            if pause is None or not pause.goes_on:
                resumed_at = None if pause is None else pause.resumed_at
                standing = self._leases.standing_of(name)
                self._begin(Courier(*self._opened[name], self._context, standing, resumed_at))

    def follow_pauses(self, pauses: Sequence[Pause]) -> None:
        """The couriers of paused destinations begin nothing more: what is in flight is finished, what is ready is given
        back. One that is resumed begins anew, when the one before has finished. Other parts go on as ever."""
        self._context.paused.follow(pauses)
        self._pauses = {each.name: each for each in pauses if each.kind == "destination"}
        if self._ended is None or self._is_draining:
            return
        for name in sorted(self._couriers):
            if name in self._pauses and self._pauses[name].goes_on:
                courier = self._pausing[name] = self._couriers.pop(name)
                courier.stop()
        self._follow(self._leases.own)

    def _end(self, courier: Courier) -> None:
        """Let the courier finish what is in flight, as long as its lease allows."""
        courier.stop()
        leaving = asyncio.create_task(self._see_off(courier), name=f"end of courier {courier.name}")
        self._leaving[leaving] = courier
        leaving.add_done_callback(self._seen_off)

    async def _see_off(self, courier: Courier) -> None:
        running = next((task for task, each in self._running.items() if each is courier), None)
        while running is not None and not running.done() and (left_s := self._leases.left_s(courier.name)) > 0:
            await asyncio.wait({running}, timeout=None if left_s == math.inf else min(left_s, LOOK_S))
        if running is not None and not running.done():
            log.warning("courier_aborted", destination=courier.name, reason="its lease ends")
            running.cancel()
            await asyncio.wait({running}, timeout=2 * ABORT_S)
            await _give_back(courier)
        self._leases.ended(courier.name)

    async def drain(self, seconds: float) -> bool:
        """Claim nothing more, finish what is in flight, give back the rest; abort what takes longer.

        True when everything ended in time. A store that takes nothing does not hold up the end: what is not given back
        and not settled then is due again at the next start.
        """
        self._is_draining = True
        self._pausing.clear()
        if self._keeping is not None:
            self._keeping.cancel()
        for leaving in self._leaving:
            leaving.cancel()
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
        await self._leases.release_all()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        return not late

    def status(self) -> tuple[CourierStatus, ...]:
        """One row a destination, by name; those that other nodes work on included."""
        return tuple(map(self._status_of, sorted(self._opened)))

    def groups(self) -> tuple[GroupStatus, ...]:
        """The groups of which one member gets an object, by name."""
        return self._keeper.status()

    def _member_standing(self, name: str) -> DestinationStanding | None:
        """How a destination stands now, here or at the node that works on it; one that no rule has takes nothing."""
        if name not in self._opened:
            return NOT_THERE
        courier = self._couriers.get(name)
        return self._leases.standing_of(name) if courier is None else courier.standing_now()

    def _moves_from(self, name: str) -> bool:
        """Its deliveries are moved here. Those of one that no rule has belong to no node."""
        return name in self._couriers or name not in self._opened

    def _status_of(self, name: str) -> CourierStatus:
        row, pause = self._standing_of(name), self._pauses.get(name)
        if pause is None or not pause.goes_on:
            return row
        return dataclasses.replace(row, paused_since=pause.began_at, paused_by=pause.operator)

    def _standing_of(self, name: str) -> CourierStatus:
        courier, node = self._couriers.get(name) or self._pausing.get(name), self._leases.node_of(name)
        if courier is None:
            is_here = name in self._own
            seen = self._leases.standing_of(name)
            is_up, reason, wait_s = (None, "", 0.0) if seen is None else (seen.is_up, seen.reason, seen.wait_s)
            watch = WindowWatch(self._opened[name][0], self._context.wall, self._meter)
            opens_at, wait_s = watch.opens_at(), max(wait_s, watch.closed_s())
            row = CourierStatus(name, is_up, reason, wait_s, 0, 0, is_here=is_here, node=node, opens_at=opens_at)
            return dataclasses.replace(row, waits_for="window") if opens_at else row
        return dataclasses.replace(courier.status(), node=node)

    def _standings(self) -> Mapping[str, DestinationStanding]:
        """Those of couriers that run, or ran last, here."""
        found = dict(self._last_standings)
        for courier in self._running.values():
            if (standing := courier.standing()) is not None:
                found[courier.name] = standing
        return found

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

    def _begin(self, courier: Courier) -> None:
        self._couriers[courier.name] = courier
        self._last_standings.pop(courier.name, None)
        task = asyncio.create_task(courier.run(), name=f"courier {courier.name}")
        self._running[task] = courier
        task.add_done_callback(self._courier_ended)

    def _courier_ended(self, task: asyncio.Task[None]) -> None:
        courier = self._running.pop(task)
        if (standing := courier.standing()) is not None:
            self._last_standings[courier.name] = standing
        self._note_end(courier.name, task)
        if self._pausing.get(courier.name) is courier:
            del self._pausing[courier.name]
            self._follow(self._leases.own)  # it may be resumed already

    def _seen_off(self, task: asyncio.Task[None]) -> None:
        self._note_end(self._leaving.pop(task).name, task)

    def _note_end(self, name: str, task: asyncio.Task[None]) -> None:
        """An error that was not foreseen ends the service."""
        error = None if task.cancelled() else task.exception()
        if error is None or self._ended is None or self._ended.done():
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.error("courier_died", destination=name, error=type(error).__name__)
        self._ended.set_exception(error)

    def look(self, destinations: Collection[str] | None) -> None:
        """Other nodes accepted deliveries for these destinations; None: for any."""
        for name, courier in self._couriers.items():
            if destinations is None or name in destinations:
                courier.notify()

    def _notify(self, destination: str) -> None:
        courier = self._couriers.get(destination)
        if courier is not None:
            courier.notify()
        elif destination and destination not in self._opened:
            self._stray(destination)

    def _probe(self, destination: str) -> None:
        """An operator who changes the queue wants to see it move: a destination that is down is tried at once, as
        after a reload."""
        courier = self._couriers.get(destination)
        if courier is not None:
            courier.probe_now()
        elif destination and destination not in self._opened:
            self._stray(destination)

    async def report_strays(self) -> dict[str, int]:
        """The number of deliveries to each name that is not configured. They stay pending; logged once, until the name
        comes back."""
        self._strays -= self._opened.keys()
        try:
            depths = await self._journal.depths()
        except Temporary as error:  # only a report: not worth a reload, still less the process
            log.warning("queue_not_counted", error=str(error))
            return {}
        waiting = {row.destination: row.count for row in depths if row.state is DeliveryState.PENDING}
        strays = {name: count for name, count in sorted(waiting.items()) if name not in self._opened}
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
            consequence="they are sent again, after the next start or by another node",
        )
