"""A full disk: 0xA700 while it lasts, and back by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.mounts import CAN_MOUNT, GatewayInNamespace, MountNamespace
from tests.support.processes import until

GIB = 1024**3


RULES = {"unmatched": "hold"}
Act = Callable[[], object]


async def on_a_disk_of_its_own(running: AsyncExitStack, folder: Path) -> tuple[GatewayProcess, Act, Act]:
    """A gateway, what takes the room of its spool, and what gives it back."""
    namespace = await running.enter_async_context(MountNamespace())
    volume = folder / "volume"
    namespace.mount(volume, "16m")
    settings = {"spool": {"path": str(volume / "spool"), "min_free": "4 MiB"}}
    gateway = GatewayInNamespace(folder, RULES, settings=settings)
    gateway.namespace = namespace
    return gateway, lambda: namespace.fill(volume), lambda: namespace.free(volume)


def on_the_disk_of_all(folder: Path) -> tuple[GatewayProcess, Act, Act]:
    """The same, for whom may not mount; others use the disk as well, by less than the margin."""
    free_bytes = shutil.disk_usage(folder).free
    margin_bytes = min(GIB, free_bytes // 4)
    settings = {"spool": {"path": str(folder / "spool"), "min_free": f"{free_bytes - margin_bytes} B"}}
    ballast = folder / "ballast"

    def fill() -> None:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * margin_bytes)

    return GatewayProcess(folder, RULES, settings=settings), fill, ballast.unlink


async def test_no_room_is_answered_a700_and_recovers(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway, fill, free = await on_a_disk_of_its_own(running, tmp_path) if CAN_MOUNT else on_the_disk_of_all(tmp_path)
    await running.enter_async_context(gateway)
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    fill()

    async def answers(status: int) -> bool:
        return (await store_new(association)).status == status

    await until(lambda: answers(0xA700), what="0xA700")
    status, body = await gateway.http("GET", "/readyz")
    assert (status, body.partition(": ")[0]) == (503, "spool_full")
    assert "under the min_free" in body
    assert association.is_open
    free()
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
