"""Starting: ready or a clear end, with its exit code."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.caller import call, store_new
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import free_port

RULES = {"unmatched": "hold"}


@pytest.mark.quick
async def test_ready_serves_and_leaves_no_pid_behind(running: AsyncExitStack, tmp_path: Path) -> None:
    pid_path = tmp_path / "run" / "gateway.pid"
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES, settings={"pid_file": str(pid_path)}))
    assert int(pid_path.read_text()) == gateway.pid
    assert (await gateway.http("GET", "/livez"))[0] == 200
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    await association.release()
    assert os.stat(gateway.spool_folder).st_mode & 0o777 == 0o700
    assert await gateway.drain() == 0
    assert not pid_path.exists()


async def ended(gateway: GatewayProcess) -> int:
    gateway.launch()
    try:
        return await gateway.wait()
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"routes": [{"name": "a", "to": ["nobody"]}], "unmatched": "hold"}, "nobody"),
        ({}, "unmatched"),
        ("unmatched: [hold\n", "10-site.yaml:2:1"),
    ],
    ids=["unknown destination", "nothing says what unmatched does", "no YAML"],
)
async def test_a_bad_configuration_ends_with_78(tmp_path: Path, rules: Mapping[str, Any] | str, expected: str) -> None:
    gateway = GatewayProcess(tmp_path, rules)
    assert await ended(gateway) == 78
    assert expected in gateway.log
    assert "gateway_not_started" in gateway.log


async def test_missing_rules_end_with_78(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, RULES)
    gateway.rules_folder = tmp_path / "elsewhere"
    assert await ended(gateway) == 78
    assert "elsewhere" in gateway.log


@pytest.mark.parametrize("what", ["listener", "http"])
async def test_a_taken_port_ends_with_78_and_names_it(tmp_path: Path, what: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        settings = {"http": {"address": f"127.0.0.1:{port}"}} if what == "http" else {}
        gateway = GatewayProcess(tmp_path, RULES, settings=settings, port=port if what == "listener" else 0)
        assert await ended(gateway) == 78
    assert f"127.0.0.1:{port}" in gateway.log


async def test_a_second_gateway_on_the_same_spool_refuses(running: AsyncExitStack, tmp_path: Path) -> None:
    first = await running.enter_async_context(GatewayProcess(tmp_path / "first", RULES))
    settings = {"spool": {"path": str(first.spool_folder), "min_free": "64 MiB"}}
    second = GatewayProcess(tmp_path / "second", RULES, settings=settings)
    assert await ended(second) == 78
    assert f"process {first.pid}" in second.log
    assert (await first.http("GET", "/readyz"))[0] == 200


async def test_the_log_is_json_without_patients(running: AsyncExitStack, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "run", "--log-format", "json", "--log-level", "debug"]
    gateway = GatewayProcess(tmp_path, RULES, command=command)
    await running.enter_async_context(gateway)
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    await association.release()
    assert await gateway.drain() == 0
    names = [event["event"] for event in gateway.events()]
    assert names[-1] == "gateway_stopped"
    assert "instance_unmatched" in names
    assert len(names) == len(gateway.log.splitlines())
    assert "Nobody" not in gateway.log
