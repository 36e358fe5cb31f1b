"""`gateway run --workers` as its users run it: one port, several nodes, one supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.caller import call, store_new
from tests.support.campaigns.kills import rules
from tests.support.gateway_process import GatewayProcess
from tests.support.load.generator import Load, Target
from tests.support.load.objects import sample
from tests.support.load.sink import Sink
from tests.support.postgresql_server import shared_server
from tests.support.processes import free_port, run, until
from tests.support.workers import WorkersProcess

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(300)]

HOLD = {"unmatched": "hold"}


@pytest.fixture
def url() -> str:
    return shared_server().new_database()


async def command(*words: object) -> tuple[int, str]:
    done = await run([sys.executable, "-m", "gateway", *map(str, words)])
    return done.returncode, done.output


async def sent(load: Load) -> None:
    await asyncio.to_thread(load.run)


async def test_all_workers_take_associations_of_one_port_and_each_object_arrives_once(
    running: AsyncExitStack, tmp_path: Path, url: str
) -> None:
    sink = await running.enter_async_context(Sink(tmp_path / "sink.log", digest=True))
    gateway = await running.enter_async_context(WorkersProcess(tmp_path / "gateway", rules(sink), url))
    load = Load(Target(gateway.port), what=sample(8192), associations=60, objects=600)
    await sent(load)
    assert len(load.report.acknowledged) == 600, load.report.summary()
    await sink.received(600)
    await gateway.idle()
    arrived = sink.ask("objects")["objects"]
    assert arrived == {uid: [load.what.digest(uid)] for uid in load.report.acknowledged}
    for number in gateway.numbers:
        found = await gateway.metrics_of(number)
        taken = [value for labels, value in found["gateway_associations_total"] if labels["direction"] == "in"]
        assert sum(taken) > 0, f"worker {number}"
    status, text = await gateway.http("GET", "/metrics")
    assert (status, "this port plus N" in text) == (404, True)
    code, output = await command("status", "--rules", gateway.rules_folder)
    assert code == 0, output
    assert "its own pages: 127.0.0.1:" in output
    assert all(f"north-{number}" in output for number in gateway.numbers)
    assert await gateway.drain() == 0, gateway.log
    await gateway.all_gone()
    stopped = [event["worker"] for event in gateway.events() if event["event"] == "gateway_stopped"]
    assert sorted(stopped) == [1, 2, 3]


async def test_a_worker_that_is_killed_loses_nothing_and_is_started_again(
    running: AsyncExitStack, tmp_path: Path, url: str
) -> None:
    sink = await running.enter_async_context(Sink(tmp_path / "sink.log", digest=True))
    gateway = await running.enter_async_context(WorkersProcess(tmp_path / "gateway", rules(sink), url))
    load = Load(Target(gateway.port), what=sample(8192), associations=12, seconds=1e9, reconnect=True)
    sending = asyncio.create_task(sent(load))
    try:
        for number in gateway.numbers:
            before, acknowledged = gateway.pids(), len(load.report.acknowledged)
            await until(lambda at=acknowledged: len(load.report.acknowledged) > at + 50, what="objects")  # type: ignore[misc]
            os.kill(before[number], signal.SIGKILL)
            await until(lambda: gateway.pids()[number] != before[number], what="another process")  # noqa: B023
            await gateway.wait_ready()
            assert {other: pid for other, pid in gateway.pids().items() if other != number} == {
                other: pid for other, pid in before.items() if other != number
            }
    finally:
        load.stop()
        await sending
    assert set(load.report.statuses) == {0x0000}
    assert load.report.connections > 12
    await sink.received(len(set(load.report.acknowledged)), 120.0)
    await gateway.idle()
    arrived = sink.ask("objects")["objects"]
    wrong = [uid for uid in load.report.acknowledged if set(arrived.get(uid, ())) != {load.what.digest(uid)}]
    assert wrong == []
    ends = [event for event in gateway.events() if event["event"] == "worker_ended"]
    assert [(event["worker"], event["signal"]) for event in ends] == [(1, "SIGKILL"), (2, "SIGKILL"), (3, "SIGKILL")]


async def test_a_reload_is_one_of_all_workers_and_has_one_result(
    running: AsyncExitStack, tmp_path: Path, url: str
) -> None:
    settings = {"pid_file": str(tmp_path / "run" / "gateway.pid")}
    gateway = await running.enter_async_context(WorkersProcess(tmp_path, HOLD, url, workers=2, settings=settings))
    assert (tmp_path / "run" / "gateway.pid").read_text() == f"{gateway.pid}\n"

    async def versions() -> set[str]:
        pages = [json.loads((await gateway.worker(number).http("GET", "/status"))[1]) for number in gateway.numbers]
        return {page["config"] for page in pages}

    (began,) = await versions()
    gateway.write_rules({"unmatched": "discard"})
    code, output = await command("reload", "--rules", gateway.rules_folder)
    assert (code, output.startswith("applied; in force: ")) == (0, True), output
    (second,) = await versions()
    assert second != began
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0x0000
    await association.release()
    await all_refuse_a_paused_sender(gateway)
    gateway.write_rules({"unmatched": "nothing"})
    gateway.reload()  # SIGHUP
    result = tmp_path / "run" / "gateway.pid.reload.json"
    await until(lambda: result.exists() and json.loads(result.read_text())["result"] == "refused", what="the result")
    assert await versions() == {second}
    code, output = await command("reload", "--rules", gateway.rules_folder)
    assert code == 1
    assert "refused" in output
    refused = [event for event in gateway.events() if event["event"] == "config_reload_refused"]
    assert refused == []  # no worker was asked


async def all_refuse_a_paused_sender(gateway: WorkersProcess) -> None:
    """One command pauses it for all workers, whichever takes its association."""

    async def are_paused() -> list[bool]:
        found = [await gateway.metrics_of(number) for number in gateway.numbers]
        return [bool(each.get("gateway_paused_seconds")) for each in found]

    async def statuses() -> set[int]:
        found = set()
        for _ in range(6):
            association = await call(gateway.port)
            found.add((await store_new(association)).status)
            await association.release()
        return found

    code, output = await command("queue", "pause", "--sender", "CALLER", "--rules", gateway.rules_folder)
    assert code == 0, output
    async with asyncio.timeout(60):
        while not all(await are_paused()):
            await asyncio.sleep(0.1)
    assert await statuses() == {0xA700}
    code, output = await command("queue", "resume", "--sender", "CALLER", "--rules", gateway.rules_folder)
    assert code == 0, output
    async with asyncio.timeout(60):
        while any(await are_paused()):
            await asyncio.sleep(0.1)
    assert await statuses() == {0x0000}


async def test_a_service_manager_that_signals_all_processes_drains_all(
    running: AsyncExitStack, tmp_path: Path, url: str
) -> None:
    gateway = await running.enter_async_context(WorkersProcess(tmp_path, HOLD, url, workers=2))
    association = await call(gateway.port)
    os.killpg(gateway.pid, signal.SIGTERM)
    await association.release()
    assert await gateway.wait(90.0) == 0, gateway.log
    stopped = [event for event in gateway.events() if event["event"] == "gateway_stopped"]
    assert [event["has_ended_in_time"] for event in stopped] == [True, True]
    await gateway.all_gone()


async def test_a_supervisor_that_is_killed_leaves_no_process(running: AsyncExitStack, tmp_path: Path, url: str) -> None:
    gateway = await running.enter_async_context(WorkersProcess(tmp_path, HOLD, url, workers=2))
    os.kill(gateway.pid, signal.SIGKILL)  # not its session
    assert await gateway.wait() == -signal.SIGKILL
    await gateway.all_gone()
    stopped = [event for event in gateway.events() if event["event"] == "gateway_stopped"]
    assert [event["has_ended_in_time"] for event in stopped] == [True, True]
    await gateway.start()
    assert await gateway.drain() == 0


@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "sharing it"])
async def test_a_port_that_others_have_is_refused(tmp_path: Path, url: str, is_shared: bool) -> None:
    gateway = WorkersProcess(tmp_path, HOLD, url)
    with socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(is_shared))
        theirs.bind(("127.0.0.1", gateway.port))
        theirs.listen()
        code, output = await command("run", gateway.rules_folder, "--workers", 3)
    assert code == 78
    assert f"cannot listen on 127.0.0.1:{gateway.port}: Address already in use" in output
    assert "worker_launched" not in output


async def test_neither_workers_nor_a_gateway_alone_are_started_beside_workers(
    running: AsyncExitStack, tmp_path: Path, url: str
) -> None:
    gateway = await running.enter_async_context(WorkersProcess(tmp_path / "one", HOLD, url, workers=2))
    listeners = {"listeners": [{"port": gateway.port, "address": "127.0.0.1"}]}
    alone = GatewayProcess(tmp_path / "alone", HOLD, settings=listeners)
    others = WorkersProcess(tmp_path / "others", HOLD, url, workers=2, settings=listeners)
    for words in ((alone.rules_folder,), (others.rules_folder, "--workers", 2)):
        code, output = await command("run", *words)
        assert code == 78
        assert "Address already in use" in output
    assert await gateway.drain() == 0


async def test_a_new_port_that_others_have_refuses_the_reload_of_all(
    running: AsyncExitStack, tmp_path: Path, url: str
) -> None:
    gateway = await running.enter_async_context(WorkersProcess(tmp_path, HOLD, url, workers=2))
    with socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = free_port()  # which no connection of others takes when it is given back
        theirs.bind(("127.0.0.1", port))
        theirs.listen()
        before = gateway.settings
        one = {"port": gateway.port, "address": "127.0.0.1"}
        gateway.settings = {**before, "listeners": [one, {"name": "more", "port": port, "address": "127.0.0.1"}]}
        gateway.write_rules(HOLD)
        code, output = await command("reload", "--rules", gateway.rules_folder)
        assert code == 1
        assert f"127.0.0.1:{port}: Address already in use" in output
    code, output = await command("reload", "--rules", gateway.rules_folder)
    assert code == 0, output
    for number in gateway.numbers:
        assert (await gateway.metrics_of(number))["gateway_listeners"] == [({}, 2.0)]


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
