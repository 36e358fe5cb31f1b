"""A full disk: 0xA700 while it lasts, and back by itself."""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import until

GIB = 1024**3


async def test_no_room_is_answered_a700_and_recovers(running: AsyncExitStack, tmp_path: Path) -> None:
    free_bytes = shutil.disk_usage(tmp_path).free
    margin_bytes = min(GIB, free_bytes // 4)
    settings = {"spool": {"path": str(tmp_path / "spool"), "min_free": f"{free_bytes - margin_bytes} B"}}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, {"unmatched": "hold"}, settings=settings))
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    ballast = tmp_path / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * margin_bytes)

    async def answers(status: int) -> bool:
        return (await store_new(association)).status == status

    await until(lambda: answers(0xA700), what="0xA700")
    status, body = await gateway.http("GET", "/readyz")
    assert (status, body.partition(": ")[0]) == (503, "spool_full")
    assert "under the min_free" in body
    assert association.is_open
    ballast.unlink()
    await until(lambda: answers(0x0000), what="0x0000")
    assert (await gateway.http("GET", "/readyz"))[0] == 200
    await association.release()
    refused = await gateway.metric("gateway_received_instances_total", status="0xA700")
    events = [event for event in gateway.events() if event["event"] == "instance_refused"]
    left_out = await gateway.metric("gateway_log_lines_left_out_total", event="instance_refused")
    assert len(events) + left_out == refused >= 1
    assert {(event["status"], event["error"]) for event in events} == {("0xA700", "SpoolFull")}
    assert "under the min_free" in events[0]["reason"]
    assert all(event["sop_instance_uid"] for event in events)
