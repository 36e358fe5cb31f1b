"""Several nodes deliver from one database to real sinks: one of them sends to a destination at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from gateway.delivery import service
from gateway.model.peer import Peer, Retry
from tests.support.delivering_nodes import CountingSink, DeliveringNode, sinks, started
from tests.support.dimse.rig import TIMERS
from tests.support.node_rig import ClusterClock
from tests.support.samples import instance

pytestmark = pytest.mark.postgresql

NAMES = ["pacs", "vna", "research", "backup"]
GUARD_S = 120.0
EVENTS = ["", "", "", "kill", "stop", "freeze", "wake", "cut", "mend"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterClock]:
    monkeypatch.setattr(service, "LOOK_S", 0.005)  # its clock runs fast here
    with closing(ClusterClock()) as made:
        yield made


class Bench:
    """Nodes, sinks, and what was accepted for each destination."""

    def __init__(self, clock: ClusterClock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.nodes: list[DeliveringNode] = []
        self.accepted: dict[str, list[str]] = {name: [] for name in NAMES}
        self.numbers = 0

    async def accept(self, destination: str, count: int) -> None:
        """One of the nodes takes objects in, and all are told."""
        numbers = range(self.numbers, self.numbers + count)
        self.numbers += count
        await self.nodes[0].journal.accept(numbers, destination)
        self.accepted[destination] += [instance(number).sop_instance_uid for number in numbers]
        for node in self.nodes:
            node.journal.notify(destination)

    async def second(self) -> None:
        """A second passes. What has to end in it has the time to."""
        self.clock.advance(1.0)
        for node in self.random.sample(self.nodes, len(self.nodes)):
            await node.step()
        async with asyncio.timeout(GUARD_S):
            while any(node.leases.overdue for node in self.nodes):
                await asyncio.sleep(0.002)

    def is_done(self, there: dict[str, CountingSink]) -> bool:
        return all(set(there[name].taken) == set(self.accepted[name]) for name in NAMES)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_nodes_each_object_arrives_in_order_and_one_node_sends_at_a_time(
    clock: ClusterClock, seed: int
) -> None:
    random = Random(seed)
    bench, started_nodes, mishaps = Bench(clock, random), 0, 0
    async with sinks(NAMES) as (there, peers):

        async def begin() -> None:
            nonlocal started_nodes
            started_nodes += 1
            bench.nodes.append(await started(f"node-{started_nodes}", clock, peers))

        for _ in range(3):
            await begin()
        for _ in range(40):
            await bench.accept(random.choice(NAMES), random.randint(1, 12))
            event, node = random.choice(EVENTS), random.choice(bench.nodes)
            if event == "kill" or (event == "stop" and not node.is_frozen and not node.table.is_cut):
                mishaps += event == "kill"
                bench.nodes.remove(node)
                await (node.kill() if event == "kill" else node.stop())
                await begin()
            elif event in ("freeze", "wake"):
                mishaps += event == "freeze"
                node.is_frozen = event == "freeze"
            elif event in ("cut", "mend"):
                mishaps += event == "cut"
                node.table.is_cut = event == "cut"
            await bench.second()
        for node in bench.nodes:
            node.is_frozen = node.table.is_cut = False
        async with asyncio.timeout(GUARD_S):
            while not bench.is_done(there):
                await bench.second()
        for node in bench.nodes:
            await node.stop()
    twice = 0
    for name, sink in there.items():
        assert sink.faults == []
        assert [*dict.fromkeys(sink.taken)] == bench.accepted[name], "in the order of their arrival"
        twice += sum(Counter(sink.taken).values()) - len(bench.accepted[name])
    assert twice <= mishaps * len(NAMES), "what was in flight at a mishap, one object a destination"


async def test_leases_that_move_without_mishap_double_nothing(clock: ClusterClock) -> None:
    random = Random(11)
    bench = Bench(clock, random)
    async with sinks(NAMES) as (there, peers):
        bench.nodes = [await started("node-0", clock, peers)]
        for number in range(1, 9):
            for name in NAMES:
                await bench.accept(name, 10)
            if number % 2:
                bench.nodes.append(await started(f"node-{number}", clock, peers))
            else:
                await bench.nodes.pop(0).stop()
            for _ in range(3):
                await bench.second()
        async with asyncio.timeout(GUARD_S):
            while not bench.is_done(there):
                await bench.second()
        for node in bench.nodes:
            await node.stop()
    for name, sink in there.items():
        assert sink.faults == []
        assert sink.taken == bench.accepted[name], "each once, in order"


async def test_a_node_that_takes_a_dead_destination_over_tries_it_once(clock: ClusterClock) -> None:
    attempts = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    def down(node: DeliveringNode) -> bool:
        (status,) = node.service.status()
        return status.is_up is False

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        dead = Peer("pacs", "SINK", "127.0.0.1", port, timers=TIMERS, retry=Retry(first_delay_s=3600.0, jitter=0.0))
        first, second = [await started(name, clock, [dead]) for name in ("one", "two")]
        bench = Bench(clock, Random(1))
        bench.nodes = [first]
        await bench.second()
        await bench.accept("pacs", 3)
        async with asyncio.timeout(GUARD_S):
            while not down(first):
                await asyncio.sleep(0.002)
        bench.nodes = [first, second]
        await bench.second()
        assert attempts == 1
        await bench.second()
        assert down(second), "any node shows it"
        await first.kill()
        bench.nodes = [second]
        async with asyncio.timeout(GUARD_S):
            while not second.leases.own:
                await bench.second()
        async with asyncio.timeout(GUARD_S):
            while not second.service.status()[0].wait_s:
                await asyncio.sleep(0.002)
        (status,) = second.service.status()
        assert (status.is_here, status.is_up) == (True, False)
        assert status.reason
        second.journal.notify("pacs")
        second.service.look(None)
        await second.stop()
    assert attempts == 2
