"""Nodes as processes: one is stopped by a signal for longer than its leases last, or killed, while objects come in."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from gateway.common.steady_clock import utc_now
from gateway.model.delivery import Dispatch
from gateway.postgresql.store import PostgreSQLStore
from tests.support.delivering_nodes import sinks
from tests.support.postgresql_server import shared_server
from tests.support.samples import instance

pytestmark = pytest.mark.postgresql

NAMES = ("pacs", "vna")
GUARD_S = 240.0
HOLDER = """
SELECT instance FROM destination_lease
WHERE destination = %s AND until > extract(epoch FROM clock_timestamp()) * 1000000
"""


class Cluster:
    """Node processes and their database."""

    def __init__(self, url: str, destinations: list[str]) -> None:
        self.url = url
        self._destinations = destinations
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.accepted: dict[str, list[str]] = {name: [] for name in NAMES}
        self._numbers = itertools.count()
        self._store = PostgreSQLStore(url)
        self._connection = psycopg.connect(url, autocommit=True)

    async def start(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.support.delivering_nodes", self.url, name, *self._destinations]
        self.processes[name] = await asyncio.create_subprocess_exec(*command)

    def holder(self, destination: str) -> str:
        """The node that works on it now; empty when none does."""
        row = self._connection.execute(HOLDER.encode(), (destination,)).fetchone()
        return str(row[0]).removesuffix("-run") if row else ""

    def live(self) -> set[str]:
        """Nodes that were seen within two seconds."""
        since = "SELECT name FROM node WHERE seen_at > (extract(epoch FROM clock_timestamp()) - 2) * 1e6"
        return {str(name) for (name,) in self._connection.execute(since.encode())}

    def accept(self) -> None:
        """Some more objects for each destination."""
        for name in NAMES:
            arrivals = [instance(next(self._numbers)) for _ in range(5)]
            with self._store.transaction():
                self._store.deliveries.accept([(each, [Dispatch("all", name)]) for each in arrivals], utc_now())
            self.accepted[name] += [each.sop_instance_uid for each in arrivals]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Objects come in until it holds."""
        async with asyncio.timeout(GUARD_S):
            while not condition():
                self.accept()
                await asyncio.sleep(0.05)

    def attempts(self) -> Counter[int]:
        """How often deliveries were settled → how many of them."""
        rows = self._connection.execute("SELECT count(*) FROM attempt GROUP BY delivery_id").fetchall()
        return Counter(int(number) for (number,) in rows)

    def close(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        self._connection.close()
        self._store.close()


@pytest.fixture
def url() -> Iterator[str]:
    made = shared_server().new_schema()
    with closing(PostgreSQLStore(made)):
        yield made


@contextlib.asynccontextmanager
async def two_nodes(url: str, destinations: list[str]) -> AsyncIterator[Cluster]:
    with closing(Cluster(url, destinations)) as cluster:
        for name in ("north", "south"):
            await cluster.start(name)
        await cluster.until(lambda: {cluster.holder(name) for name in NAMES} == {"north", "south"})
        yield cluster


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
async def test_a_node_that_stands_still_or_dies_is_followed_and_sends_and_settles_nothing_late(
    url: str, number: signal.Signals
) -> None:
    async with sinks(NAMES) as (there, peers):
        destinations = [f"{peer.name}={peer.port}" for peer in peers]
        async with two_nodes(url, destinations) as cluster:
            await cluster.until(lambda: len(there["pacs"].taken) > 20)
            lost = cluster.holder("pacs")
            cluster.processes[lost].send_signal(number)
            await cluster.until(lambda: cluster.holder("pacs") not in ("", lost))
            taken = len(there["pacs"].taken)
            await cluster.until(lambda: len(there["pacs"].taken) > taken + 20)
            if number == signal.SIGSTOP:
                cluster.processes[lost].send_signal(signal.SIGCONT)
            else:
                await cluster.processes[lost].wait()
                await cluster.start(lost)
            await cluster.until(lambda: cluster.live() == {"north", "south"})
            await cluster.until(lambda: {cluster.holder(name) for name in NAMES} == {"north", "south"})
            async with asyncio.timeout(GUARD_S):
                while any(set(there[name].taken) != set(cluster.accepted[name]) for name in NAMES):
                    await asyncio.sleep(0.05)
                for process in cluster.processes.values():
                    process.terminate()
                    assert await process.wait() == 0
            assert cluster.attempts() == {1: sum(map(len, cluster.accepted.values()))}, "each was settled once"
            assert cluster.live() == set()
    for name, sink in there.items():
        assert sink.faults == [], "nothing came over an association of before"
        assert [*dict.fromkeys(sink.taken)] == cluster.accepted[name]
