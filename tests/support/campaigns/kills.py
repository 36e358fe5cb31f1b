"""A gateway under load that is killed again and again: what it acknowledged arrives, with its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess
from tests.support.processes import until

SMALL, LARGE = sample(8192), sample(1_500_000)  # in a segment; in a file of its own
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700

Kill = Callable[[GatewayProcess, int], Awaitable[None]]
"""Kills by the number of the kill, and returns when the gateway is ready again."""


def rules(sink: Sink) -> dict[str, object]:
    """Everything goes to the sink."""
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


async def send_while_killing(
    port: int, kills: int, chance: Random, kill: Callable[[int], Awaitable[None]]
) -> list[Load]:
    """Small and large objects are sent to `port` while `kill` is called `kills` times at random moments, and until
    some of each were acknowledged after the last one. The loads, which have ended."""
    loads = [
        Load(Target(port), what=SMALL, associations=4, seconds=1e9, reconnect=True),
        Load(Target(port), what=LARGE, associations=1, seconds=1e9, reconnect=True),
    ]
    senders = [asyncio.create_task(asyncio.to_thread(load.run)) for load in loads]
    try:
        for number in range(kills):
            await asyncio.sleep(chance.uniform(0.05, 1.0))  # when it dies is what this is about
            await kill(number)
        before = [len(load.report.acknowledged) for load in loads]
        await until(
            lambda: (
                any(sender.done() for sender in senders)
                or all(len(load.report.acknowledged) > number for load, number in zip(loads, before, strict=True))
            ),
            what="an acknowledgement of each load after the last kill",
        )
    finally:
        for load in loads:
            load.stop()
        await asyncio.gather(*senders)
    return loads


async def check_that_kills_lose_nothing(
    folder: Path,
    kills: int,
    chance: Random,
    kill: Kill,
    *,
    statuses: frozenset[int] = frozenset({SUCCESS}),
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Raises AssertionError when an acknowledged object is lost or changed, or a response has another status than one
    of `statuses`."""
    async with Sink(folder / "sink.log", digest=True) as sink:
        gateway = GatewayProcess(folder / "gateway", rules(sink), settings=settings)
        try:
            await gateway.start()
            loads = await send_while_killing(gateway.port, kills, chance, lambda number: kill(gateway, number))
            await gateway.idle()
            arrived: dict[str, list[str]] = sink.ask("objects")["objects"]
        finally:
            gateway.stop()
    for load in loads:
        assert set(load.report.statuses) <= statuses, load.report.summary()
    assert sum(load.report.connections for load in loads) > 5, "no association was ever lost"
    acknowledged = {uid: load.what.digest(uid) for load in loads for uid in load.report.acknowledged}
    lost = acknowledged.keys() - arrived.keys()
    refused = sum(load.report.statuses.get(OUT_OF_RESOURCES, 0) for load in loads)
    twice = sum(len(digests) > 1 for digests in arrived.values())
    counts = f"kills {kills}, acknowledged {len(acknowledged)}, refused {refused}, twice {twice}, lost {len(lost)}"
    print(counts)
    assert not lost, f"{counts}\n{gateway.log[-4000:]}"
    changed = [uid for uid, digest in acknowledged.items() if set(arrived[uid]) != {digest}]
    assert not changed, f"{len(changed)} objects arrived with other bytes"
