"""Operators' verbs over HTTP on a gateway that runs, with the record that the command line reads."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.processes import GUARD_S, free_port, run, until

NUMBER = 40
TOKEN = "a token that is long enough for this"


def rules() -> dict[str, Any]:
    def down(title: str) -> dict[str, Any]:
        return {
            "ae_title": title,
            "address": f"127.0.0.1:{free_port()}",
            "delivery": {"retry": {"first": "1 h", "max": "1 h"}},
        }

    return {
        "peers": {"down": down("DOWN"), "other": down("OTHER")},
        "routes": [{"name": "all", "to": ["down"]}],
        "unmatched": "reject",
    }


def token_beside(gateway: GatewayProcess) -> None:
    """The token in a file of its own, as the settings name it."""
    (gateway.rules_folder / "night").write_text(f"{TOKEN}\n")
    (gateway.rules_folder / "night").chmod(0o600)


async def test_verbs_of_a_gateway_that_runs(running: AsyncExitStack, tmp_path: Path) -> None:
    http = {"address": f"127.0.0.1:{free_port()}", "operators": {"night-shift": "${file:night}"}}
    gateway = GatewayProcess(tmp_path / "gateway", rules(), settings={"http": http})
    gateway.http_port = int(str(http["address"]).rpartition(":")[2])
    token_beside(gateway)
    await running.enter_async_context(gateway)
    report = await asyncio.to_thread(Load(Target(gateway.port), objects=NUMBER).run)
    assert len(report.acknowledged) == NUMBER
    session = await running.enter_async_context(
        aiohttp.ClientSession(f"http://{http['address']}", headers={"Authorization": f"Bearer {TOKEN}"})
    )

    async def are_there() -> bool:
        return await gateway.metric("gateway_queue_deliveries", destination="down", state="pending") == NUMBER

    await until(are_there, GUARD_S, "all of them in the queue")
    body = {"filter": {"destination": "down"}, "to": "other", "why": "down is away until Monday"}
    async with session.post("/-/queue/retarget", json=body | {"dry_run": True}) as answer:
        assert (answer.status, (await answer.json())["meant"]) == (200, NUMBER)
    async with session.post("/-/queue/retarget", json=body) as answer:
        assert answer.status == 202
        operation = (await answer.json())["operation"]

    async def is_complete() -> bool:
        async with session.get(f"/-/operations/{operation}") as answer:
            found = await answer.json()
            return bool(found["state"] == "complete" and found["done"] + found["stayed"] == NUMBER)

    await until(is_complete, GUARD_S, "the end of the verb")
    command = [sys.executable, "-m", "gateway", "operations", "--format", "json", "--rules", str(gateway.rules_folder)]
    listed = await run(command, timeout_s=GUARD_S)
    (found, *_) = json.JSONDecoder().raw_decode(listed.output)[0]
    assert (found["operator"], found["verb"], found["to"]) == ("night-shift (HTTP)", "retarget", "other")
    assert found["why"] == body["why"]
    assert TOKEN not in gateway.log
