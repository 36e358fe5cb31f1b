"""Gateways under load that are killed again and again: what they acknowledged arrives, with its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess
from tests.support.processes import GUARD_S, until

SMALL, LARGE = sample(8192), sample(1_500_000)  # in a segment; in a file of its own
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700

Kill = Callable[[GatewayProcess, int], Awaitable[None]]
"""Kills by the number of the kill, and returns when the gateway is ready again."""


def rules(*sinks: Sink) -> dict[str, object]:
    """Everything goes to each sink."""
    retry = {"first": "100 ms", "max": "1 s", "give_up_after": "10 min"}
    peers = {
        f"sink_{number}": {
            "ae_title": sink.ae_title,
            "address": f"127.0.0.1:{sink.port}",
            "delivery": {"associations": 2, "retry": retry},
        }
        for number, sink in enumerate(sinks)
    }
    return {
        "peers": peers,
        "routes": [{"name": "everything to each sink", "to": [*peers]}],
        "unmatched": "reject",
    }


async def send_while_killing(
    ports: Sequence[int], kills: int, chance: Random, kill: Callable[[int], Awaitable[None]], *, associations: int = 4
) -> list[Load]:
    """Small and large objects are sent to each of `ports` while `kill` is called `kills` times at random moments, and
    until some of each were acknowledged after the last one. The loads, which have ended."""
    loads = [
        Load(Target(port, timeout_s=GUARD_S), what=what, associations=number, seconds=1e9, reconnect=True)
        for port in ports
        for what, number in ((SMALL, associations), (LARGE, 1))
    ]
    threads = ThreadPoolExecutor(len(loads))  # of their own: the loop's few are needed for the kills
    senders = [asyncio.get_running_loop().run_in_executor(threads, load.run) for load in loads]
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
        threads.shutdown()
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
            loads = await send_while_killing([gateway.port], kills, chance, lambda number: kill(gateway, number))
            await gateway.idle()
            check_arrivals(loads, [sink], kills, statuses, gateway.log)
        finally:
            gateway.stop()


def check_arrivals(
    loads: Sequence[Load], sinks: Sequence[Sink], kills: int, statuses: frozenset[int], gateway_log: str
) -> None:
    """Prints the counts. Raises AssertionError when an acknowledged object is not at each sink with its bytes, or a
    response had another status than one of `statuses`."""
    for load in loads:
        assert set(load.report.statuses) <= statuses, load.report.summary()
    assert sum(load.report.connections - load.associations for load in loads) > 0, "no association was ever lost"
    acknowledged = {uid: load.what.digest(uid) for load in loads for uid in load.report.acknowledged}
    refused = sum(load.report.statuses.get(OUT_OF_RESOURCES, 0) for load in loads)
    everywhere: list[dict[str, list[str]]] = [sink.ask("objects")["objects"] for sink in sinks]
    twice = sum(len(digests) > 1 for arrived in everywhere for digests in arrived.values())
    lost = [uid for arrived in everywhere for uid in acknowledged.keys() - arrived.keys()]
    counts = f"kills {kills}, acknowledged {len(acknowledged)}, refused {refused}, twice {twice}, lost {len(lost)}"
    print(counts)
    assert not lost, f"{counts}\n{lost[:20]}\n{gateway_log[-4000:]}"
    changed = [uid for arrived in everywhere for uid, digest in acknowledged.items() if set(arrived[uid]) != {digest}]
    assert not changed, f"{len(changed)} objects arrived with other bytes"
