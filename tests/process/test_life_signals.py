"""Signals at any time: from the first line that the process runs to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.processes import REPOSITORY, until

HOLD = {"unmatched": "hold"}
STARTED = "gateway_started"
SCRIPT = Path(sys.executable).with_name("gateway")
ENTRIES = {
    "module": [sys.executable, "-m", "gateway", "run", "--log-format", "json"],
    "script": [str(SCRIPT), "run", "--log-format", "json"],
}


def is_held(pid: int, number: int) -> bool:
    """As the kernel says. Before that the interpreter itself is starting, and no code of ours has run."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Sig")
    )
    return bool(int(fields["SigBlk"], 16) >> (number - 1) & 1)


async def hung_up_from(gateway: GatewayProcess, begun: int, *, repeats: int = 400) -> int:
    """SIGHUP again and again until it is ready, and a while longer; how often before it was ready."""
    before_ready = 0
    is_ready = False
    for number in range(begun, repeats):
        if not gateway.is_running:
            break
        gateway.signal(signal.SIGHUP)
        is_ready = is_ready or await gateway.is_ready()
        before_ready += not is_ready
        if is_ready and number > before_ready + 20:
            break
        await asyncio.sleep(0.01)
    return before_ready


async def stopped_in_its_start(gateway: GatewayProcess) -> None:
    """It has run its first line and is not ready; one that came so far before we looked is started again."""
    while True:
        gateway.launch()
        await until(
            lambda: is_held(gateway.pid, signal.SIGHUP) or STARTED in gateway.log, what="the first line of ours"
        )
        gateway.pause()
        if STARTED not in gateway.log:
            return
        gateway.stop()
        gateway.log_path.unlink()


@pytest.mark.parametrize("entry", ENTRIES)
async def test_hangups_from_the_first_line_on_end_in_a_reload(
    running: AsyncExitStack, tmp_path: Path, entry: str
) -> None:
    gateway = GatewayProcess(tmp_path, HOLD, command=ENTRIES[entry])
    running.callback(gateway.stop)
    await stopped_in_its_start(gateway)
    gateway.signal(signal.SIGHUP)
    gateway.resume()
    await hung_up_from(gateway, 0)
    await gateway.wait_ready()
    await until(lambda: "config_reloaded" in gateway.log, what="the reload that was asked for during the start")
    assert await gateway.drain() == 0, gateway.log


async def test_hangups_from_the_fork_on_where_the_parent_holds_them(running: AsyncExitStack, tmp_path: Path) -> None:
    """A parent that blocks SIGHUP covers the interpreter's own start too: the mask is inherited."""
    gateway = GatewayProcess(tmp_path, HOLD)
    running.callback(gateway.stop)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        gateway.launch()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    assert await hung_up_from(gateway, 0) > 0
    await gateway.wait_ready()
    await until(lambda: "config_reloaded" in gateway.log, what="the reload")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_an_early_end_is_an_orderly_one(running: AsyncExitStack, tmp_path: Path, number: int) -> None:
    gateway = GatewayProcess(tmp_path, HOLD)
    running.callback(gateway.stop)
    gateway.launch()
    await until(lambda: is_held(gateway.pid, number), what="the first line of ours")
    gateway.signal(number)
    assert await gateway.wait() == 0, gateway.log
    assert "Traceback" not in gateway.log


@pytest.mark.parametrize("attempt", range(4))
async def test_hangups_while_it_ends_do_not_kill(running: AsyncExitStack, tmp_path: Path, attempt: int) -> None:
    """Whichever of its threads is given them, to the last moment."""
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, HOLD))
    gateway.signal(signal.SIGTERM)
    while gateway.is_running:
        try:
            gateway.signal(signal.SIGHUP)
        except ProcessLookupError:
            break
        await asyncio.sleep(0.001)
    assert await gateway.wait() == 0, gateway.log


def test_other_commands_end_by_a_signal_as_programs_do() -> None:
    """A terminal that closes ends them."""
    code = (
        "import sys; sys.argv = ['gateway', 'queue', 'list']\n"
        "import runpy, signal\n"
        "from gateway.common import early_signals\n"
        "early_signals.hold(sys.argv[1:])\n"
        "print(sorted(early_signals.blocked()))\n"
        "early_signals.hold(['run'])\n"
        "print(len(early_signals.blocked()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == ["[]", "3"]
    assert os.path.exists(SCRIPT)
