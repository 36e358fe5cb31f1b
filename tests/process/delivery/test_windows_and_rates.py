"""A gateway with delivery windows and rates, and real receivers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.status import status_text
from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.load.sink import Sink
from tests.support.peers import StoreSCP
from tests.support.processes import until

NEVER_NOW = {
    "window": [f"{datetime.now(UTC) + timedelta(days=3):%a}"],
    "time_zone": "UTC",
}
"""Closed today and tomorrow."""
CRAWL = {"rate": "1 B/h"}


def rules(peer: dict[str, Any], delivery: dict[str, Any]) -> dict[str, Any]:
    return {
        "peers": {"pacs": {**peer, "delivery": delivery}},
        "routes": [{"name": "all", "to": ["pacs"]}],
        "unmatched": "reject",
    }


async def send(gateway: GatewayProcess, objects: int) -> None:
    association = await call(gateway.port)
    for _ in range(objects):
        assert (await store_new(association)).status == 0x0000
    await association.release()


async def destination(gateway: GatewayProcess) -> dict[str, Any]:
    [row] = json.loads((await gateway.http("GET", "/status"))[1])["destinations"]
    return dict(row)


async def waits_for(gateway: GatewayProcess, what: str) -> None:
    async def does() -> bool:
        return bool((await destination(gateway))["waits_for"] == what)

    await until(does, what=f"a destination that waits for a {what}")


def times_logged(gateway: GatewayProcess, event: str) -> int:
    return sum(line["event"] == event for line in gateway.events())


@pytest.mark.peers
async def test_a_closed_window_keeps_everything_over_a_kill_until_a_reload_opens_it(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    receiver = await running.enter_async_context(StoreSCP(tmp_path / "received"))
    peer = {"ae_title": "STORESCP", "address": f"127.0.0.1:{receiver.port}"}
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules(peer, NEVER_NOW)))
    await send(gateway, 3)
    await waits_for(gateway, "window")
    assert await gateway.metric("gateway_destination_window_open", destination="pacs") == 0
    gateway.kill()
    await gateway.wait()
    await gateway.restart()
    await send(gateway, 2)
    await waits_for(gateway, "window")
    row = await destination(gateway)
    assert (row["is_up"], row["in_hand"], row["reason"]) == (None, 0, "")
    assert datetime.fromisoformat(row["opens_at"]) > datetime.now(UTC) + timedelta(days=1)
    text = status_text(json.loads((await gateway.http("GET", "/status"))[1]))
    assert re.search(r"^pacs +closed +in \S+.* its window is closed$", text, re.MULTILINE), text
    assert await gateway.metric("gateway_queue_deliveries", state="pending") == 5
    assert receiver.files() == []
    gateway.write_rules(rules(peer, {}))
    gateway.reload()
    await receiver.received(5)
    await gateway.idle()
    assert len(receiver.files()) == 5
    assert await gateway.metric("gateway_delivery_attempts_total", outcome="deferred") == 0
    assert times_logged(gateway, "destination_window_opened") == 1
    assert times_logged(gateway, "destination_window_closed") == 2, "once for each start"


@pytest.mark.parametrize("delivery", [NEVER_NOW, CRAWL], ids=["window", "rate"])
async def test_a_stop_ends_a_wait_and_nothing_is_lost_or_sent_twice(
    running: AsyncExitStack, tmp_path: Path, delivery: dict[str, Any]
) -> None:
    sink = await running.enter_async_context(Sink(tmp_path / "sink.log"))
    peer = {"ae_title": "SINK", "address": f"127.0.0.1:{sink.port}"}
    settings = {"drain": "1 h"}
    gateway = GatewayProcess(tmp_path / "gateway", rules(peer, delivery), settings=settings)
    await running.enter_async_context(gateway)
    await send(gateway, 4)
    await waits_for(gateway, "rate" if "rate" in delivery else "window")
    assert await gateway.drain() == 0
    gateway.write_rules(rules(peer, {"rate": "1 GB/s", "objects": "1000/s"}))
    await gateway.restart()
    await sink.received(4)
    await gateway.idle()
    assert (await sink.received(4))["total"] == 4


def test_a_machine_without_a_database_of_time_zones_says_so(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "gateway: {ae_title: GATEWAY, listeners: [{port: 0}], admit: any}\n"
        "unmatched: hold\n"
        "peers: {pacs: {ae_title: PACS, address: 'pacs:104', delivery: {window: Sa, time_zone: Europe/Berlin}}}\n"
        "routes: [{name: all, to: [pacs]}]\n"
    )
    without = "import sys; sys.modules['tzdata'] = None; import gateway.__main__ as m; m.main()"
    command = [sys.executable, "-c", without, "validate", str(tmp_path)]
    done = subprocess.run(command, env={"PYTHONTZPATH": ""}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done
    assert "unknown-time-zone: this machine has no database of time zones; install" in done.stdout + done.stderr
