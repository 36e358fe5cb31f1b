"""SIGHUP under load: two valid rule sets and a broken one by turns, and each object is routed wholly by one of the two.

GATEWAY_RELOADS=100 makes it the full campaign.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.load.generator import Load, Target
from tests.support.load.sink import Sink
from tests.support.peers import GatewayProcess, until

RELOADS = int(os.environ.get("GATEWAY_RELOADS", "20"))
OBJECTS_EACH = 5
"""So many objects at least are sent under each table."""
MARKS = {"a": "TABLE-A", "b": "TABLE-B", "broken": "TABLE-C"}


def rules(table: str, sinks: dict[str, Sink]) -> dict[str, Any]:
    """Table `a` tags with its mark and sends to a1 and a2; `b` likewise; the broken one would send to all."""
    peers = {
        name: {"ae_title": sink.ae_title, "address": f"127.0.0.1:{sink.port}", "delivery": {"associations": 1}}
        for name, sink in sinks.items()
    }
    members = [name for name in sinks if table == "broken" or name.startswith(table)]
    routes = [{"name": f"to {name}", "to": [name]} for name in members]
    if table == "broken":
        routes.append({"name": "nowhere", "to": ["no-such-peer"]})
    return {
        "peers": peers,
        "coercions": [{"then": [{"set": {"InstitutionName": MARKS[table]}}]}],
        "routes": routes,
        "unmatched": "reject",
    }


async def reloads(gateway: GatewayProcess, result: str) -> float:
    return await gateway.metric("gateway_config_reloads_total", result=result)


async def alternate(gateway: GatewayProcess, sinks: dict[str, Sink]) -> Counter[str]:
    """Reload `RELOADS` times; each must be reported as what it is. The results."""
    expected: Counter[str] = Counter()
    for number in range(RELOADS):
        table = ("b", "broken", "a", "broken")[number % 4] if number % 8 < 4 else ("b", "a", "broken", "b")[number % 4]
        result = "refused" if table == "broken" else "applied"
        gateway.write_rules(rules(table, sinks))
        before = await reloads(gateway, result)
        gateway.reload()

        async def is_reported(result: str = result, before: float = before) -> bool:
            return await reloads(gateway, result) == before + 1

        await until(is_reported, what=f"report of reload {number}")
        assert await gateway.metric("gateway_config_last_reload_successful") == (result == "applied")
        expected[result] += 1
        taken = await gateway.metric("gateway_received_instances_total")

        async def are_more_taken(taken: float = taken) -> bool:
            return await gateway.metric("gateway_received_instances_total") >= taken + OBJECTS_EACH

        await until(are_more_taken, what=f"objects under table {number}")
    return expected


@pytest.mark.timeout(600 + 5 * RELOADS)
async def test_reload_under_load(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        sinks = {
            name: await stack.enter_async_context(
                Sink(tmp_path / f"{name}.log", ae_title=name.upper(), marks=tuple(MARKS.values()))
            )
            for name in ("a1", "a2", "b1", "b2")
        }
        gateway = await stack.enter_async_context(GatewayProcess(tmp_path / "gateway", rules("a", sinks)))
        load = Load(Target(gateway.port), associations=4, seconds=1e9, objects_per_association=5)
        sender = asyncio.create_task(asyncio.to_thread(load.run))
        try:
            expected = await alternate(gateway, sinks)
        finally:
            load.stop()
            report = await sender
        await gateway.idle()
        arrived = {name: sink.ask("objects")["objects"] for name, sink in sinks.items()}
        applied = await gateway.times_logged("config_reloaded")
        refused = await gateway.times_logged("config_reload_refused")
    assert set(report.statuses) == {0x0000}, report.summary()
    assert not report.unanswered
    assert (applied, refused) == (expected["applied"], expected["refused"])
    routed = Counter(_table_of(uid, arrived) for uid in report.acknowledged)
    print(f"reloads {dict(expected)}, objects {len(report.acknowledged)}, by table {dict(routed)}")
    assert set(routed) == {"a", "b"}, routed


def _table_of(uid: str, arrived: dict[str, dict[str, list[str]]]) -> str:
    """The one table that an object was routed by; what it looks like when there is no such table."""
    where = {name: objects[uid] for name, objects in arrived.items() if uid in objects}
    for table in ("a", "b"):
        if where == {f"{table}1": [MARKS[table]], f"{table}2": [MARKS[table]]}:
            return table
    return f"torn: {where}"
