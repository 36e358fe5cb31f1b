"""`gateway run --workers` as its users run it: one port, several nodes, one supervisor."""

from __future__ import annotations

import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import free_ports, run

HOLD = {"unmatched": "hold"}


async def command(*words: object) -> tuple[int, str]:
    done = await run([sys.executable, "-m", "gateway", *map(str, words)])
    return done.returncode, done.output


@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "sharing it"])
async def test_a_port_that_others_have_is_refused(tmp_path: Path, is_shared: bool) -> None:
    (tmp_path / "objects").mkdir()
    store = {"postgresql": "postgresql://127.0.0.1:1/gateway", "objects": {"folder": str(tmp_path / "objects")}}
    gateway = GatewayProcess(tmp_path, HOLD, settings={"store": store})
    gateway.http_port = free_ports(4)
    gateway.write_rules(HOLD)
    with socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(is_shared))
        theirs.bind(("127.0.0.1", gateway.port))
        theirs.listen()
        code, output = await command("run", gateway.rules_folder, "--workers", 3)
    assert code == 78
    assert f"cannot listen on 127.0.0.1:{gateway.port}: Address already in use" in output
    assert "worker_launched" not in output


async def test_payloads_that_others_cannot_read_refuse_several_and_not_one(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    alone = GatewayProcess(tmp_path, HOLD)
    code, output = await command("run", alone.rules_folder, "--workers", 2)
    assert code == 78
    assert "several processes need `gateway.store.objects`" in output
    alone._command = [*alone._command, "--workers", "1"]
    await running.enter_async_context(alone)
    assert (tmp_path / "spool").is_dir()
    assert await alone.drain() == 0
