"""Small attacks beside a configured peer: its requests succeed, and neither memory nor the log grows.

`python -m benchmarks.attacks` runs them at full size and measures times. Here an attack goes on until the peer has had
so many answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.attacks.catalogue import ATTACKS, run
from tests.support.attacks.honest import Honest
from tests.support.attacks.line import Target
from tests.support.campaigns.attacks import Log, Watch, site
from tests.support.gateway_process import GatewayProcess
from tests.support.load.sink import Sink
from tests.support.processes import GUARD_S, until

SIZES = {
    "idle-sockets": 0.05,
    "strangers": 0.05,
    "strangers-from-many-hosts": 0.05,
    "role-items": 1,
    "different-contexts": 0.05,
    "empty-pdvs": 1,
    "one-byte-pdvs": 1,
    "pipelined-echo": 1,
    "tiny-elements": 0.05,
    "deflate-bombs": 0.03,
    "fine-deflate-bombs": 0.03,
    "slow-pdus": 0.1,
    "bytes-after-abort": 1,
    "slow-http": 0.01,
    "reload-loops": 0.25,
    "many-keys": 0.02,
    "no-message-id": 1,
}
"""Attack → how large it is, compared with what did harm."""
ECHOES, STORES = 12, 6
MEMORY_BYTES = 300_000_000


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with Sink(tmp_path / "sink.log") as sink, GatewayProcess(tmp_path / "gateway", site(sink.port)) as process:
        yield process


async def answered(peer: Honest, echoes: int, stores: int) -> None:
    """Let it send until it has had so many answers, or one request has failed."""
    sending = asyncio.create_task(peer.run())
    try:
        await until(
            lambda: peer.failures or (len(peer.echoes_s) >= echoes and len(peer.stores_s) >= stores),
            4 * GUARD_S,
            "honest requests answered",
        )
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("name", SIZES)
async def test_a_configured_peer_is_served_beside(gateway: GatewayProcess, name: str) -> None:
    await answered(Honest(Target(gateway.port, gateway.http_port)), 1, 1)
    watch, log = Watch(gateway.pid), Log(gateway.log_path)
    before_bytes = watch.look()
    target = Target(gateway.port, gateway.http_port, SIZES[name], seconds=5 * GUARD_S)
    attacking = asyncio.create_task(run(ATTACKS[name], target))
    watching = asyncio.create_task(watch.run())
    await until(lambda: target.counts["connections"], what="the attack has begun")
    peer = Honest(Target(gateway.port, gateway.http_port))

    await answered(peer, ECHOES, STORES)

    attacking.cancel()
    watching.cancel()
    await asyncio.gather(attacking, return_exceptions=True)
    assert peer.failures == []
    lines, tracebacks = log.count()
    assert tracebacks == 0, gateway.log
    assert lines <= 200, gateway.log
    assert watch.peak_bytes - before_bytes < MEMORY_BYTES
    assert gateway.is_running
