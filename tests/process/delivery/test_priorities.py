"""A gateway with deliveries of each priority, and a real receiver that has one association."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.priority import EACH
from tests.support.caller import EXPLICIT, MR, call, data_set, new_uid
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StockSCP
from tests.support.processes import until

MEDIUM, HIGH, LOW = 0, 1, 2
"""Values of Priority (0000,0700), PS3.7 §E.1."""
CLOSED = {"window": [f"{datetime.now(UTC) + timedelta(days=3):%a}"], "time_zone": "UTC"}


def rules(receiver: StockSCP, delivery: dict[str, Any], *, pass_window: bool = False) -> dict[str, Any]:
    peer = {"ae_title": "STOCK", "address": f"127.0.0.1:{receiver.port}"}
    route = {"name": "all", "to": ["pacs"], "priority": "from sender", "pass_window": pass_window}
    return {
        "peers": {"pacs": {**peer, "delivery": {"associations": 1, **delivery}}},
        "routes": [route],
        "unmatched": "reject",
    }


async def send(gateway: GatewayProcess, *priorities: int) -> list[str]:
    """One object each, in this order; their SOP Instance UIDs."""
    association, uids = await call(gateway.port), [new_uid() for _ in priorities]
    for uid, priority in zip(uids, priorities, strict=True):
        body = MemoryDataSet(data_set(uid))
        response = await association.c_store(
            sop_class_uid=MR, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT, body=body, priority=priority
        )
        assert response.status == 0x0000
    await association.release()
    return uids


def arrived(receiver: StockSCP) -> list[str]:
    """SOP Instance UIDs in the order in which the receiver got them."""
    numbered = sorted((int(path.name.split(".")[-2]), path) for path in receiver.files())
    return [path.name.rsplit(".", 2)[0] for _, path in numbered]


async def until_waiting(gateway: GatewayProcess) -> None:
    async def is_waiting() -> bool:
        [row] = json.loads((await gateway.http("GET", "/status"))[1])["destinations"]
        return bool(row["waits_for"] == "window")

    await until(is_waiting, what="a destination that waits for its window")


@pytest.mark.peers
async def test_after_a_kill_urgent_objects_still_go_first_and_low_ones_get_each_eighth_place(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    receiver = await running.enter_async_context(StockSCP(tmp_path / "received"))
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules(receiver, CLOSED)))
    low, *medium = await send(gateway, LOW, *[MEDIUM] * 12)
    high = await send(gateway, HIGH, HIGH, HIGH)
    gateway.kill()
    await gateway.wait()
    await gateway.restart()
    await until_waiting(gateway)
    gateway.write_rules(rules(receiver, {}))
    gateway.reload()
    await receiver.received(16)
    await gateway.idle()
    first = EACH - 1 - len(high)
    assert arrived(receiver) == [*high, *medium[:first], low, *medium[first:]]


@pytest.mark.peers
async def test_what_is_urgent_passes_a_closed_window(running: AsyncExitStack, tmp_path: Path) -> None:
    receiver = await running.enter_async_context(StockSCP(tmp_path / "received"))
    closed = rules(receiver, CLOSED, pass_window=True)
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", closed))
    medium = await send(gateway, MEDIUM, MEDIUM)
    await until_waiting(gateway)
    high = await send(gateway, HIGH)
    await receiver.received(1)
    await until_waiting(gateway)
    assert arrived(receiver) == high

    async def is_counted() -> bool:
        return await gateway.metric("gateway_queue_deliveries", state="pending") == 2

    await until(is_counted, what="a queue of the two that wait")
    gateway.write_rules(rules(receiver, {}))
    gateway.reload()
    await receiver.received(3)
    await gateway.idle()
    assert arrived(receiver) == [*high, *medium]
