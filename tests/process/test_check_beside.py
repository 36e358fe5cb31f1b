"""`gateway check` beside a gateway under load: what comes and goes meanwhile is no problem, and nobody is held up."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.support.campaigns.kills import rules
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink

CHECKS = 4


def check(gateway: GatewayProcess) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "check", str(gateway.rules_folder), "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=gateway.folder)


async def test_a_check_beside_a_gateway_under_load_finds_nothing(running: AsyncExitStack, tmp_path: Path) -> None:
    sink = await running.enter_async_context(Sink(tmp_path / "sink.log"))
    settings = {
        "spool": {"path": str(tmp_path / "gateway" / "spool"), "min_free": "64 MiB", "retention": "1 s"},
    }
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules(sink), settings=settings))
    loads = [
        Load(Target(gateway.port), what=what, associations=associations, seconds=1e9)
        for what, associations in ((sample(8192), 4), (sample(1_500_000), 1))
    ]
    senders = [asyncio.create_task(asyncio.to_thread(load.run)) for load in loads]
    try:
        answers = [await asyncio.to_thread(check, gateway) for _ in range(CHECKS)]
    finally:
        for load in loads:
            load.stop()
        reports = await asyncio.gather(*senders)
    for answer in answers:
        assert answer.stdout, answer.stderr
        found = json.loads(answer.stdout)
        assert (found["problems"], found["is_running"]) == ([], True), answer.stderr
        assert answer.returncode == 0
    for report in reports:
        assert set(report.statuses) == {0x0000}, report.summary()
    await gateway.idle()
    assert await gateway.drain() == 0
    answer = await asyncio.to_thread(check, gateway)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert json.loads(answer.stdout)["is_running"] is False
