"""Kill -9 at random times under load: what was acknowledged arrives, with its bytes.

GATEWAY_KILLS=50 makes it the full campaign.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.support.campaigns.kills import check_that_kills_lose_nothing
from tests.support.peers import GatewayProcess

KILLS = int(os.environ.get("GATEWAY_KILLS", "5"))


@pytest.mark.timeout(600 + 30 * KILLS)
async def test_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(20261121)

    async def kill(gateway: GatewayProcess, number: int) -> None:
        gateway.kill()
        gateway.launch()
        if number % 5 == 4:  # once in a while it dies while it recovers
            await asyncio.sleep(chance.uniform(0.3, 0.8))
            gateway.kill()
            gateway.launch()
        await gateway.wait_ready()

    await check_that_kills_lose_nothing(tmp_path, KILLS, chance, kill)
