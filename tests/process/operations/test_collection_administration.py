"""A study that an operator completes while the gateway runs: its keeper lets it go."""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.dimse.protocol.memory import MemoryDataSet
from tests.support.caller import EXPLICIT, MR, call, data_set, new_uid
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import Finished, run, until

LIMIT_S = 120.0


def rules(folder: Path) -> dict[str, Any]:
    return {
        "peers": {"disk": {"folder": {"path": f"{folder}/{{{{ SOPInstanceUID }}}}.dcm"}}},
        "collections": {"chest": {"quiet": "6 h", "at_most": "12 h"}},
        "routes": [{"name": "studies", "collection": "chest", "to": ["disk"]}],
        "unmatched": "reject",
    }


async def send(gateway: GatewayProcess, number: int) -> None:
    association = await call(gateway.port)
    for uid in [new_uid() for _ in range(number)]:
        response = await association.c_store(
            sop_class_uid=MR,
            sop_instance_uid=uid,
            transfer_syntax_uid=EXPLICIT,
            body=MemoryDataSet(data_set(uid)),
        )
        assert response.status == 0x0000
    await association.release()


async def collection(gateway: GatewayProcess, *arguments: str) -> Finished:
    """What `gateway collection` says in a process of its own."""
    command = [sys.executable, "-m", "gateway", "collection", *arguments, "--rules", str(gateway.rules_folder)]
    ended = await run(command, timeout_s=LIMIT_S)
    assert ended.returncode == 0, ended.output
    assert "Nobody" not in ended.output
    return ended


def as_json(ended: Finished) -> Any:
    """What stands on standard output, before standard error."""
    return json.JSONDecoder().raw_decode(ended.output)[0]


async def test_the_running_gateway_sends_what_an_operator_completes(running: AsyncExitStack, tmp_path: Path) -> None:
    received = tmp_path / "received"
    received.mkdir()
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules(received)))
    await send(gateway, 3)

    async def is_recorded() -> bool:
        shown = as_json(await collection(gateway, "list", "--state", "open", "--format", "json"))
        return [each["instances"] for each in shown] == [3]

    await until(is_recorded, LIMIT_S, "three objects in the store")
    assert "does not end before" in (await collection(gateway, "extend", "1", "--by", "30min")).output
    assert list(received.rglob("*.dcm")) == []
    said = (await collection(gateway, "complete", "1", "--why", "the device is off")).output
    assert "ends now, as forced: 3 instances, 3 deliveries waiting" in said

    def completed() -> list[dict[str, Any]]:
        return [event for event in gateway.events() if event.get("event") == "collection_completed"]

    await until(completed, LIMIT_S, "the end of the collection in the log")
    (event,) = completed()
    assert (event["collection_id"], event["instances"], event["result"], event["outcome"]) == (1, 3, "forced", "send")
    await gateway.idle()
    assert len(list(received.rglob("*.dcm"))) == 3
    shown = as_json(await collection(gateway, "show", "1", "--format", "json"))
    assert (shown["state"], shown["result"], shown["waiting"]) == ("complete", "forced", 0)
