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

from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess
from tests.support.postgresql_server import PostgreSQLServer

pytestmark = pytest.mark.postgresql

KILLS = int(os.environ.get("GATEWAY_KILLS", "6"))
SMALL, LARGE = sample(8192), sample(1_500_000)  # in a segment; in a file of its own
KINDS = ("gateway", "server", "both")
REFUSED = 0xA700


@pytest.fixture
def server() -> Iterator[PostgreSQLServer]:
    made = PostgreSQLServer(fsync="on")
    made.start()
    yield made
    made.stop()


def rules(sink: Sink) -> dict[str, object]:
    retry = {"first": "100 ms", "max": "1 s", "give_up_after": "10 min"}
    peer = {
        "ae_title": sink.ae_title,
        "address": f"127.0.0.1:{sink.port}",
        "delivery": {"associations": 2, "retry": retry},
    }
    return {
        "peers": {"sink": peer},
        "routes": [{"name": "everything to the sink", "to": ["sink"]}],
        "unmatched": "reject",
    }


async def kill(kind: str, gateway: GatewayProcess, server: PostgreSQLServer, chance: random.Random) -> None:
    """Kill one or both, and start what was killed again; the server stays away for a while."""
    if kind != "server":
        gateway.kill()
    if kind != "gateway":
        server.kill()
        await asyncio.sleep(chance.uniform(0.0, 1.5))
        await asyncio.to_thread(server.start)
    if kind != "server":
        gateway.launch()
    await gateway.wait_ready()


@pytest.mark.timeout(600 + 30 * KILLS)
async def test_kills_of_both_lose_nothing_acknowledged(tmp_path: Path, server: PostgreSQLServer) -> None:
    chance = random.Random(20261130)
    settings = {"store": {"postgresql": server.new_database()}}
    async with Sink(tmp_path / "sink.log", digest=True) as sink:
        gateway = GatewayProcess(tmp_path / "gateway", rules(sink), settings=settings)
        try:
            await gateway.start()
            loads = [
                Load(Target(gateway.port), what=SMALL, associations=4, seconds=1e9, reconnect=True),
                Load(Target(gateway.port), what=LARGE, associations=1, seconds=1e9, reconnect=True),
            ]
            senders = [asyncio.create_task(asyncio.to_thread(load.run)) for load in loads]
            try:
                for number in range(KILLS):
                    await asyncio.sleep(chance.uniform(0.05, 1.0))  # when it dies is what this is about
                    await kill(KINDS[number % len(KINDS)], gateway, server, chance)
                await asyncio.sleep(0.5)
            finally:
                for load in loads:
                    load.stop()
                reports = await asyncio.gather(*senders)
            acknowledged = {
                uid: load.what.digest(uid)
                for load, report in zip(loads, reports, strict=True)
                for uid in report.acknowledged
            }
            for report in reports:
                assert set(report.statuses) <= {0x0000, REFUSED}, report.summary()
                assert report.acknowledged, "nothing was sent"
            await gateway.idle()
            arrived: dict[str, list[str]] = sink.ask("objects")["objects"]
        finally:
            gateway.stop()
    lost = acknowledged.keys() - arrived.keys()
    refused = sum(report.statuses.get(REFUSED, 0) for report in reports)
    twice = sum(len(digests) > 1 for digests in arrived.values())
    counts = f"kills {KILLS}, acknowledged {len(acknowledged)}, refused {refused}, twice {twice}, lost {len(lost)}"
    print(counts)
    assert not lost, f"{counts}\n{gateway.log[-4000:]}"
    changed = [uid for uid, digest in acknowledged.items() if set(arrived[uid]) != {digest}]
    assert not changed, f"{len(changed)} objects arrived with other bytes"
