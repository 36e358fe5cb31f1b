"""Kill -9 of gateway and PostgreSQL server at random times under load: what was acknowledged arrives, with its bytes.

GATEWAY_KILLS=50 makes it the full campaign.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.campaigns.kills import OUT_OF_RESOURCES, SUCCESS, check_that_kills_lose_nothing
from tests.support.peers import GatewayProcess
from tests.support.postgresql_server import PostgreSQLServer

pytestmark = pytest.mark.postgresql

KILLS = int(os.environ.get("GATEWAY_KILLS", "6"))
KINDS = ("gateway", "server", "both")


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    made = PostgreSQLServer(fsync="on")
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("is_node", [False, True], ids=["alone", "a node"])
@pytest.mark.timeout(600 + 30 * KILLS)
async def test_kills_of_both_lose_nothing_acknowledged(
    tmp_path: Path, server: PostgreSQLServer, *, is_node: bool
) -> None:
    chance = random.Random(20261130)

    async def kill(gateway: GatewayProcess, number: int) -> None:
        """Kill one or both, and start what was killed again; the server stays away for a while."""
        kind = KINDS[number % len(KINDS)]
        if kind != "server":
            gateway.kill()
        if kind != "gateway":
            server.kill()
            await asyncio.sleep(chance.uniform(0.0, 1.5))
            await asyncio.to_thread(server.start)
        if kind != "server":
            gateway.launch()
        await gateway.wait_ready()

    store: dict[str, object] = {"postgresql": server.new_database()}
    if is_node:
        (tmp_path / "objects").mkdir()
        store |= {"objects": {"folder": str(tmp_path / "objects")}, "node": "north"}
    settings = {"store": store}
    statuses = frozenset({SUCCESS, OUT_OF_RESOURCES})
    await check_that_kills_lose_nothing(tmp_path, KILLS, chance, kill, statuses=statuses, settings=settings)
