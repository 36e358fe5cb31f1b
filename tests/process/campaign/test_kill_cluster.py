"""Kill -9 of nodes and PostgreSQL server at random times under load: what any node acknowledged arrives at each
destination, with its bytes.

GATEWAY_KILLS=40 makes it the full campaign.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.campaigns.kills import OUT_OF_RESOURCES, SUCCESS, check_arrivals, rules, send_while_killing
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess
from tests.support.postgresql_server import PostgreSQLServer

pytestmark = pytest.mark.postgresql

KILLS = int(os.environ.get("GATEWAY_KILLS", "6"))
NODES = ("n1", "n2", "n3")
KINDS = ("node", "server", "both")
LONG_AWAY = 10
"""Of so many kills, the last one keeps what was killed away for longer than leases last."""


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    made = PostgreSQLServer(fsync="on")
    made.start()
    yield made
    made.stop()


async def killed(nodes: list[GatewayProcess], server: PostgreSQLServer, number: int, chance: random.Random) -> None:
    """One of them, or both; returns when all are ready again."""
    kind, node = KINDS[number % len(KINDS)], chance.choice(nodes)
    away_s = chance.uniform(12.0, 18.0) if number % LONG_AWAY == LONG_AWAY - 1 else chance.uniform(0.0, 1.5)
    if kind != "server":
        node.kill()
    if kind != "node":
        server.kill()
    await asyncio.sleep(away_s)  # how long it is away is what this is about
    if kind != "node":
        await asyncio.to_thread(server.start)
    if kind != "server":
        node.launch()
    for each in nodes:
        await each.wait_ready()


@pytest.mark.timeout(900 + 60 * KILLS)
async def test_kills_of_nodes_and_database_lose_nothing_acknowledged(tmp_path: Path, server: PostgreSQLServer) -> None:
    chance = random.Random(20261130)
    (tmp_path / "objects").mkdir()
    store = {"postgresql": server.new_database(), "objects": {"folder": str(tmp_path / "objects")}}
    async with AsyncExitStack() as stack:
        sinks = [
            await stack.enter_async_context(Sink(tmp_path / f"{title}.log", digest=True, ae_title=title))
            for title in ("PACS", "VNA")
        ]
        nodes = [
            GatewayProcess(tmp_path / name, rules(*sinks), settings={"store": {**store, "node": name}})
            for name in NODES
        ]
        for node in nodes:
            await stack.enter_async_context(node)
        ports = [node.port for node in nodes]
        loads = await send_while_killing(
            ports, KILLS, chance, lambda number: killed(nodes, server, number, chance), associations=2
        )
        for load in loads:
            assert load.report.acknowledged, "each node took small and large objects"
        for node in nodes:
            await node.idle(300.0 + 10 * KILLS)
        statuses = frozenset({SUCCESS, OUT_OF_RESOURCES})
        check_arrivals(loads, sinks, KILLS, statuses, "".join(node.log[-4000:] for node in nodes))
