"""Dead destinations beside a healthy one: it gets everything, at once, and what the dead ones are owed is kept.

`python -m benchmarks.dead_peer` measures the rates.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.load.black_hole import BlackHole, rules
from tests.support.load.generator import Load, Target
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess, free_port

OBJECTS = 300


async def test_dead_peers_hurt_nobody_else(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(Sink(tmp_path / "healthy.log"))
        silent = await stack.enter_async_context(Sink(tmp_path / "silent.log", silent=True))
        black_hole = stack.enter_context(BlackHole())
        ports = {"refusing": free_port(), "black-holed": black_hole.port, "silent": silent.port}
        site = rules(healthy.port, ports)
        for peer in site["peers"].values():
            peer["timers"] = {"connect": "10 min", "association": "10 min", "dimse": "10 min"}
        gateway = GatewayProcess(tmp_path / "gateway", site)
        await stack.enter_async_context(gateway)
        load = Load(Target(gateway.port), associations=2, objects=OBJECTS)
        report = await asyncio.to_thread(load.run)
        assert report.statuses == {0x0000: OBJECTS}
        await healthy.received(OBJECTS)  # it waits less long than the dead ones are waited for
        assert healthy.ask()["total"] == OBJECTS, "an object was sent twice"

        for name in ports:
            owed = await gateway.metric("gateway_queue_deliveries", destination=name, state="pending")
            assert owed == OBJECTS, f"{name}: {owed} deliveries pending"
        assert silent.ask()["total"] == 0


async def test_a_peer_that_comes_back_gets_everything(tmp_path: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(Sink(tmp_path / "healthy.log"))
        gateway = GatewayProcess(tmp_path / "gateway", rules(healthy.port, {"refusing": port}))
        await stack.enter_async_context(gateway)
        load = Load(Target(gateway.port), associations=2, objects=50)
        report = await asyncio.to_thread(load.run)
        await healthy.received(50)
        back = await stack.enter_async_context(Sink(tmp_path / "back.log", port=port))
        await back.received(50)
        assert sorted(back.ask("objects")["objects"]) == sorted(report.acknowledged)
