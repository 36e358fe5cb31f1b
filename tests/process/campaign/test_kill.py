"""Kill -9 at random times under load: what was acknowledged arrives, with its bytes.

GATEWAY_KILLS=50 makes it the full campaign.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess

KILLS = int(os.environ.get("GATEWAY_KILLS", "5"))
SMALL, LARGE = sample(8192), sample(1_500_000)  # in a segment; in a file of its own


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


@pytest.mark.timeout(600 + 30 * KILLS)
async def test_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    async with Sink(tmp_path / "sink.log", digest=True) as sink:
        gateway = GatewayProcess(tmp_path / "gateway", rules(sink))
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
                    gateway.kill()
                    gateway.launch()
                    if number % 5 == 4:  # once in a while it dies while it recovers
                        await asyncio.sleep(chance.uniform(0.3, 0.8))
                        gateway.kill()
                        gateway.launch()
                    await gateway.wait_ready()
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
                assert set(report.statuses) <= {0x0000}, report.summary()
                assert report.acknowledged, "nothing was sent"
            assert sum(report.connections for report in reports) > 5, "no association was ever lost"
            await gateway.idle()
            arrived: dict[str, list[str]] = sink.ask("objects")["objects"]
        finally:
            gateway.stop()
    lost = acknowledged.keys() - arrived.keys()
    unanswered = sum(len(report.unanswered) for report in reports)
    print(f"kills {KILLS}, acknowledged {len(acknowledged)}, unanswered {unanswered}, lost {len(lost)}")
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged objects were lost\n{gateway.log[-4000:]}"
    changed = [uid for uid, digest in acknowledged.items() if set(arrived[uid]) != {digest}]
    assert not changed, f"{len(changed)} objects arrived with other bytes"
