"""Stopping: the first signal drains, the second aborts; what was acknowledged is kept."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.ports.errors import DestinationDown
from tests.support.caller import Paused, call, data_set, new_uid, store, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StockSCP
from tests.support.processes import until

RULES = {"unmatched": "hold"}
LARGE_BYTES = 3 * 1024 * 1024


def waiting_for(gateway: GatewayProcess, text: str, numbers: list[int]) -> Callable[[], None]:
    """Send the signals and block until the log says so: our own loop stands still meanwhile."""

    def act() -> None:
        for number in numbers:
            gateway.signal(number)
            _block_until(lambda: "gateway_drain_started" in gateway.log)
        _block_until(lambda: text in gateway.log)

    return act


def _block_until(condition: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.005)
    raise TimeoutError("the log does not say it")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_drain_finishes_the_message_in_flight(running: AsyncExitStack, tmp_path: Path, number: int) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES))
    association, idle = await call(gateway.port), await call(gateway.port)
    uid = new_uid()
    body = Paused(data_set(uid, LARGE_BYTES), waiting_for(gateway, "gateway_drain_started", [number]))
    response = await store(association, body, uid)
    assert response.status == 0x0000
    await idle.wait_closed()
    await association.wait_closed()
    assert await gateway.wait() == 0
    assert gateway.events()[-1]["has_ended_in_time"] is True


async def test_no_new_association_while_draining(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES))
    association = await call(gateway.port)
    uid = new_uid()
    body = Paused(data_set(uid, LARGE_BYTES), waiting_for(gateway, "listener_closed", [signal.SIGTERM]))
    storing = asyncio.create_task(store(association, body, uid))
    await until(lambda: "listener_closed" in gateway.log)
    with pytest.raises(DestinationDown):
        await call(gateway.port)
    assert (await storing).status == 0
    assert await gateway.wait() == 0


async def test_a_second_signal_aborts(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES))
    association = await call(gateway.port)
    uid = new_uid()
    body = Paused(data_set(uid, LARGE_BYTES), waiting_for(gateway, "gateway_stopped", [signal.SIGTERM, signal.SIGTERM]))
    with pytest.raises(DestinationDown):
        await store(association, body, uid)
    assert await gateway.wait() == 75


async def test_the_drain_has_a_limit(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES, settings={"drain": "300 ms"}))
    association = await call(gateway.port)
    uid = new_uid()
    body = Paused(data_set(uid, LARGE_BYTES), waiting_for(gateway, "gateway_stopped", [signal.SIGTERM]))
    with pytest.raises(DestinationDown):
        await store(association, body, uid)
    assert await gateway.wait() == 0
    assert gateway.events()[-1]["has_ended_in_time"] is False


async def test_a_drain_finishes_the_send_in_flight_and_keeps_the_rest(running: AsyncExitStack, tmp_path: Path) -> None:
    objects = 20
    slow = await running.enter_async_context(StockSCP(tmp_path / "slow", ae_title="SLOW", delay_s=1.0))
    rules = {
        "peers": {"slow": {"ae_title": "SLOW", "address": f"127.0.0.1:{slow.port}", "delivery": {"associations": 1}}},
        "routes": [{"name": "all", "to": ["slow"]}],
        "unmatched": "hold",
    }
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules))
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    await until(lambda: _channels_open(gateway), what="a send in flight")
    slow.pause()  # the first object is on its way, or the second one, until the end has begun
    for _ in range(objects - 1):
        assert (await store_new(association)).status == 0
    await association.release()
    gateway.signal(signal.SIGTERM)
    await until(lambda: "gateway_drain_started" in gateway.log)
    slow.resume()
    assert await gateway.wait(90.0) == 0
    assert gateway.events()[-1]["has_ended_in_time"] is True
    sent_before = len(slow.files())
    assert sent_before in (1, 2)
    slow.stop()
    quick = await running.enter_async_context(StockSCP(tmp_path / "slow", port=slow.port, ae_title="SLOW"))
    await gateway.restart()
    await gateway.idle()
    assert len(quick.files()) == objects
    assert await gateway.metric("gateway_deliveries_total", outcome="delivered") == objects - sent_before


async def _channels_open(gateway: GatewayProcess) -> bool:
    return await gateway.metric("gateway_associations_open", direction="out", peer="slow") > 0


async def test_a_restart_keeps_what_is_held(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES))
    association = await call(gateway.port)
    uid = new_uid()
    assert (await store(association, MemoryDataSet(data_set(uid, LARGE_BYTES)), uid)).status == 0
    await association.release()
    gateway.kill()
    await gateway.restart()
    assert await gateway.metric("gateway_queue_deliveries", state="held") == 1
