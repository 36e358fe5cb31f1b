"""Leases of destinations, shared by the nodes of a database: one node at a time works on a destination.

```text
0 s     the lease is renewed; the server ends it 10 s after it was asked to, or later
3 s     it is to be renewed
7 s     nothing more is begun; couriers end
8.5 s   what is in flight is aborted
10 s    another node may take it
```

The times are those of a clock that nobody sets, and that goes on while the machine sleeps, counted from before the
server was asked. So they are over before the lease is, whatever the clock of the server says.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar, cast

import structlog

from gateway.cluster.fair_share import Shares, shares
from gateway.model.node import ClusterView, DestinationStanding, GatewayNode, NodeState
from gateway.ports.destination_leases import NodeTable
from gateway.ports.errors import GatewayError, Temporary

log = structlog.get_logger()

LEASE_S = 10.0
RENEWED_AFTER_S = 3.0
QUIET_AFTER_S = 7.0
ABORTED_AFTER_S = 8.5
"""Channels that are aborted are closed within a second (`gateway.delivery.worker.ABORT_S`)."""
LET_GO_S = 30.0
"""A courier has this long to finish what is in flight when its destination goes to a node that has fewer."""
ROUND_S, LOOK_S = 1.0, 0.25
"""The time between two looks at the database, and at the clock."""
LEAVE_LIMIT_S = 4.0
"""The time that an end waits for the database."""
TIDY_ROUNDS = 60
SOONER_S = 2.0
"""A next try that is so much sooner than it was written is written anew."""

T = TypeVar("T")


def awake_clock_s() -> float:
    """Seconds on a clock that nobody sets, and that does not stand while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class _Held:
    """A lease of ours."""

    token: int
    renewed_at_s: float
    is_leaving: bool = False
    """Its courier is to end, and the lease to be released then."""
    ends_at_s: float = math.inf
    """The time at which its courier is aborted, when the lease is not over before."""
    was_own: bool = False
    """It was among those of `own`, so that a courier may run."""
    is_idle: bool = False
    """Its courier has ended, or never began."""


class SharedDestinationLeases:
    """The `DestinationLeases` port among nodes.

    Args:
        open_table: opens the table of nodes, whose steps run in a thread of this object.
        node: this one.
        configuration: the version of the rules in force.
        clock_s: see `awake_clock_s`.
        random: spreads the looks of nodes.
    """

    def __init__(
        self,
        open_table: Callable[[], NodeTable],
        node: GatewayNode,
        configuration: Callable[[], str],
        *,
        clock_s: Callable[[], float] = awake_clock_s,
        random: Random,
    ) -> None:
        self._open_table = open_table
        self._table: NodeTable | None = None
        self._node = node
        self._configuration = configuration
        self._clock_s = clock_s
        self._random = random
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="node-leases")
        self._state: NodeState = "running"
        self._wanted: frozenset[str] = frozenset()
        self._held: dict[str, _Held] = {}
        self._on_change: Callable[[frozenset[str]], None] = lambda own: None
        self._soon = asyncio.Event()
        self._round = asyncio.Lock()
        self._rounds = 0
        self._is_over = False
        self._are_alike = True
        self._problem = ""
        self._standings: Callable[[], Mapping[str, DestinationStanding]] = dict
        self._written: dict[str, tuple[DestinationStanding, float]] = {}
        """As they were written last, and when that was."""
        self._taken: dict[str, tuple[DestinationStanding, float]] = {}
        """Destinations of ours → how each stood when it was taken, and when that was."""
        self._viewed_at_s = 0.0
        self.own: frozenset[str] = frozenset()
        self.view = ClusterView()
        """Nodes and leases as they were seen last."""

    @property
    def instance(self) -> str:
        """This run of the node."""
        return self._node.instance

    # --- for couriers -------------------------------------------------------------------------------------------

    def subscribe(self, on_change: Callable[[frozenset[str]], None]) -> None:
        self._on_change = on_change

    def want(self, destinations: Collection[str]) -> None:
        self._wanted = frozenset(destinations)
        self._let_go(self._held.keys() - self._wanted)
        self._set_own()
        self._soon.set()

    def may_send(self, destination: str) -> bool:
        held = self._held.get(destination)
        return held is not None and self._clock_s() - held.renewed_at_s < QUIET_AFTER_S

    def left_s(self, destination: str) -> float:
        held = self._held.get(destination)
        if held is None:
            return 0.0
        return max(min(held.renewed_at_s + ABORTED_AFTER_S, held.ends_at_s) - self._clock_s(), 0.0)

    def share(self, standings: Callable[[], Mapping[str, DestinationStanding]]) -> None:
        self._standings = standings

    def standing_of(self, destination: str) -> DestinationStanding | None:
        if destination in self._held:
            found = self._taken.get(destination)
        else:
            standing = self.view.standings.get(destination)
            found = None if standing is None else (standing, self._viewed_at_s)
        return None if found is None else self._by_now(*found)

    def _by_now(self, standing: DestinationStanding, at_s: float) -> DestinationStanding:
        """The standing of that time, with the wait that is left."""
        passed_s = self._clock_s() - at_s
        down_s = 0.0 if standing.is_up else standing.down_s + passed_s
        return replace(standing, wait_s=max(standing.wait_s - passed_s, 0.0), down_s=down_s)

    def ended(self, destination: str) -> None:
        held = self._held.get(destination)
        if held is not None:
            held.is_idle = True
            self._soon.set()

    def tokens(self) -> Mapping[str, int]:
        """Destination → the fencing token of its lease, until its courier has ended. Any thread."""
        return {destination: held.token for destination, held in self._held.copy().items()}

    def node_of(self, destination: str) -> str:
        if destination in self._held:
            return self._node.name
        names = {seen.node.instance: seen.node.name for seen in self.view.nodes}
        for lease in self.view.leases:
            if lease.destination == destination and not lease.is_over and lease.instance != self._node.instance:
                return names.get(lease.instance, "")
        return ""

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold leases until `release_all`."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch())
            while not self._is_over:
                self._soon.clear()
                await self.round()
                try:
                    async with asyncio.timeout(ROUND_S * self._random.uniform(0.8, 1.0)):
                        await self._soon.wait()
                except TimeoutError:
                    continue
            watch.cancel()

    async def _watch(self) -> None:
        """Notice by the clock alone that leases are about to end: the database may not answer."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def begin_drain(self) -> None:
        """Hand the destinations over to other nodes, where there are any."""
        self._state = "draining"
        self._soon.set()

    async def release_all(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._soon.set()
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S), self._round:
                if self._table is not None:
                    changed = self._changed_standings()
                    await self._in_thread(lambda table: _leave(table, changed, self._node.instance))
        except (TimeoutError, GatewayError) as error:
            log.warning("leases_not_released", reason=str(error), consequence=f"they end within {LEASE_S:.0f} s")
        self._held.clear()
        self.own = frozenset()
        if self._table is not None:
            self._table.close()
        self._thread.shutdown(wait=False)

    # --- rounds -------------------------------------------------------------------------------------------------

    async def round(self) -> None:
        """Say that this node lives, look at the others; renew, release and take leases."""
        async with self._round:
            if self._is_over:
                return
            try:
                await self._look_round()
            except GatewayError as error:
                if not self._problem and not self._is_over:
                    log.warning("leases_not_renewed", reason=str(error))
                self._problem = str(error)
            else:
                self._problem = ""
            self.look()

    async def _look_round(self) -> None:
        node, wanted, state = self._node, self._wanted, self._state
        self.view = await self._step(lambda table: table.beat(node, state, self._configuration(), wanted))
        self._viewed_at_s = self._clock_s()
        self._compare_nodes()
        if self._rounds % TIDY_ROUNDS == 0:
            await self._step(lambda table: table.tidy())
        self._rounds += 1
        await self._renew()
        self.look()
        await self._write_standings()
        await self._release()
        step = self._shares()
        self._let_go(step.let_go)
        self.look()
        await self._take(step.take)

    def _compare_nodes(self) -> None:
        """Log once when nodes do not run alike, and once when they do again."""
        if self.view.are_alike is not self._are_alike:
            self._are_alike = self.view.are_alike
            nodes = {seen.node.name: "/".join(seen.kind) for seen in self.view.live}
            (log.info if self._are_alike else log.warning)("nodes_compared", are_alike=self._are_alike, nodes=nodes)

    async def _renew(self) -> None:
        sent_at_s = self._clock_s()
        due = {
            destination: held.token
            for destination, held in self._held.items()
            if not held.is_idle and sent_at_s - held.renewed_at_s >= RENEWED_AFTER_S
        }
        if not due:
            return
        renewed = await self._step(lambda table: table.renew(due, LEASE_S))
        for destination in due:
            held = self._held[destination]
            if destination in renewed:
                held.renewed_at_s = sent_at_s
            else:
                held.renewed_at_s = -math.inf
                log.warning("destination_lease_lost", destination=destination)

    def _changed_standings(self) -> Mapping[str, tuple[int, DestinationStanding]]:
        """Those that are not as they were written last; a wait that only goes by is no change. Where no courier ran
        under the present lease, its last one here knows less than the node that wrote last."""
        return {
            destination: (self._held[destination].token, standing)
            for destination, standing in self._standings().items()
            if destination in self._held and self._held[destination].was_own and self._is_news(destination, standing)
        }

    def _is_news(self, destination: str, standing: DestinationStanding) -> bool:
        found = self._written.get(destination)
        if found is None:
            return True
        written = self._by_now(*found)
        is_sooner = standing.wait_s + SOONER_S < written.wait_s
        return is_sooner or replace(standing, wait_s=0.0, down_s=0.0) != replace(written, wait_s=0.0, down_s=0.0)

    async def _write_standings(self) -> None:
        """Once a round at most, and what has changed alone."""
        changed = self._changed_standings()
        if changed:
            await self._step(lambda table: table.write_standings(changed))
            written_at_s = self._clock_s()
            self._written |= {destination: (standing, written_at_s) for destination, (_, standing) in changed.items()}

    async def _release(self) -> None:
        idle = {destination: held.token for destination, held in self._held.items() if held.is_idle}
        if not idle:
            return
        await self._step(lambda table: table.release(idle))
        for destination in idle:
            del self._held[destination]
            self._written.pop(destination, None)
            self._taken.pop(destination, None)

    async def _take(self, destinations: Collection[str]) -> None:
        if not destinations:
            return
        sent_at_s = self._clock_s()
        taken = await self._step(lambda table: table.take(self._node.instance, destinations, LEASE_S))
        standings = await self._step(lambda table: table.read_standings(taken)) if taken else {}
        found = {destination: (standing, self._clock_s()) for destination, standing in standings.items()}
        self._taken |= found
        self._written |= found
        for destination, token in taken.items():
            self._held[destination] = _Held(token, sent_at_s)
        self._let_go(taken.keys() - self._wanted)  # rules may have been loaded meanwhile
        if taken:
            log.info("destinations_taken", destinations=sorted(taken))

    async def _step(self, step: Callable[[NodeTable], T]) -> T:
        found = None if self._is_over else await self._in_thread(step)
        if self._is_over:
            raise Temporary("the node ends")
        return cast(T, found)

    async def _in_thread(self, step: Callable[[NodeTable], T]) -> T:
        def stepped() -> T:
            if self._table is None:
                self._table = self._open_table()
            return step(self._table)

        return await asyncio.get_running_loop().run_in_executor(self._thread, stepped)

    # --- what follows -------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Let go of leases that are about to end, and tell of every change."""
        now_s = self._clock_s()
        for held in self._held.values():
            if not held.is_leaving and now_s - held.renewed_at_s >= QUIET_AFTER_S:
                held.is_leaving, held.ends_at_s = True, now_s + LET_GO_S
        if self._set_own():
            self._on_change(self.own)

    def _set_own(self) -> bool:
        """True when it changed."""
        before, self.own = self.own, frozenset(name for name, held in self._held.items() if not held.is_leaving)
        for held in self._held.values():
            held.was_own |= not held.is_leaving
            held.is_idle |= not held.was_own
        return self.own != before

    def _shares(self) -> Shares:
        live = self.view.live
        eligible = [seen for seen in live if seen.state == "running"] or [*live]
        holders = {
            # one that the database says is ours, and we do not know, ends by itself: its answer was lost
            lease.destination: lease.instance if lease.instance != self._node.instance else ""
            for lease in self.view.leases
            if not lease.is_over
        }
        holders |= dict.fromkeys(self._held, self._node.instance)
        leaving = [destination for destination, held in self._held.items() if held.is_leaving]
        nodes = {seen.node.instance: seen.destinations for seen in eligible}
        if self._node.instance in nodes:
            nodes[self._node.instance] = self._wanted
        return shares(self._node.instance, nodes, holders, leaving)

    def _let_go(self, destinations: Collection[str]) -> None:
        """Their couriers are to end; the leases are released when they have."""
        going = sorted(destination for destination in destinations if not self._held[destination].is_leaving)
        for destination in going:
            held = self._held[destination]
            held.is_leaving, held.ends_at_s = True, self._clock_s() + LET_GO_S
        if going:
            log.info("destinations_left", destinations=going)


def _leave(table: NodeTable, standings: Mapping[str, tuple[int, DestinationStanding]], instance: str) -> None:
    if standings:
        table.write_standings(standings)
    table.leave(instance)
