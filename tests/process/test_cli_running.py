"""Commands as real processes, against a running gateway and real peers."""

from __future__ import annotations

import json
import re
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.dataset.part10 import read_dicom_file
from tests.support.caller import call, new_uid, store_new, write_file
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import StockSCP, StoreSCP
from tests.support.processes import Daemon, Finished, free_port, run, until

HOLD = {"unmatched": "hold"}


async def command(*arguments: object, rules: Path | None = None) -> Finished:
    """`gateway …` in a process of its own."""
    environment = {"GATEWAY_RULES": str(rules)} if rules else {}
    return await run([sys.executable, "-m", "gateway", *map(str, arguments)], environment=environment)


async def test_echo(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, HOLD))
    done = await command("echo", f"127.0.0.1:{gateway.port}", "--called-ae", "GATEWAY")
    assert (done.returncode, "0x0000" in done.output) == (0, True), done.output
    refused = await command("echo", f"127.0.0.1:{gateway.port}", "--called-ae", "OTHER")
    assert refused.returncode == 1
    assert "rejected" in refused.output


@pytest.mark.peers
async def test_send_files_and_folders_as_they_are(running: AsyncExitStack, tmp_path: Path) -> None:
    peer = await running.enter_async_context(StoreSCP(tmp_path / "storescp", ae_title="STORESCP"))
    objects = tmp_path / "objects" / "deep"
    objects.mkdir(parents=True)
    paths = [write_file(objects, new_uid()) for _ in range(5)]
    (objects / "readme.txt").write_text("no DICOM file")
    done = await command("send", f"127.0.0.1:{peer.port}", objects.parent, paths[0], "--associations", "2")
    assert done.returncode == 0, done.output
    assert "6 objects stored" in done.output
    received = {_body(path) for path in peer.files()}
    assert received == {_body(path) for path in paths}


def _body(path: Path) -> bytes:
    return path.read_bytes()[read_dicom_file(path).offset_bytes :]


async def test_send_reports_each_failure_and_exits_1(running: AsyncExitStack, tmp_path: Path) -> None:
    peer = await running.enter_async_context(StockSCP(tmp_path / "stock", status=0xA900))
    image = write_file(tmp_path, new_uid())
    junk = tmp_path / "junk.dcm"
    junk.write_bytes(b"no DICOM file")
    done = await command("send", f"127.0.0.1:{peer.port}", image, junk)
    assert done.returncode == 1
    assert f"failed: {image}: 0xA900" in done.output
    assert f"not sent: {junk}" in done.output


async def test_send_counts_warnings_as_stored(running: AsyncExitStack, tmp_path: Path) -> None:
    peer = await running.enter_async_context(StockSCP(tmp_path / "stock", status=0xB000))
    done = await command("send", f"127.0.0.1:{peer.port}", write_file(tmp_path, new_uid()))
    assert done.returncode == 0
    assert "stored with a warning" in done.output
    assert "1 object stored" in done.output


async def test_send_to_a_peer_of_the_rules_under_its_names(running: AsyncExitStack, tmp_path: Path) -> None:
    target = await running.enter_async_context(GatewayProcess(tmp_path / "target", {**HOLD}, ae_title="TARGET"))
    gateway = GatewayProcess(
        tmp_path / "own",
        {**HOLD, "peers": {"target": {"ae_title": "TARGET", "address": f"127.0.0.1:{target.port}"}}},
        ae_title="OWNTITLE",
    )
    done = await command("send", "target", write_file(tmp_path, new_uid()), rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    (event,) = [event for event in target.events() if event["event"] == "instance_unmatched"]
    assert event["calling_ae_title"] == "OWNTITLE"


async def test_status_reports_what_runs(running: AsyncExitStack, tmp_path: Path) -> None:
    rules = {
        "peers": {
            "gone": {
                "ae_title": "GONE",
                "address": f"127.0.0.1:{free_port()}",
                "delivery": {"retry": {"first": "10 min"}},
            }
        },
        "routes": [{"name": "all", "to": ["gone"]}],
        "unmatched": "hold",
    }
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules))
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0
    await until(lambda: "destination_failed" in gateway.log)
    done = await command("status", "--format", "json", rules=gateway.rules_folder)
    assert done.returncode == 0, done.output
    found = json.loads(done.output)
    assert (found["state"], found["associations"]) == ("running", {"(stranger)": 1})
    assert found["listeners"][0]["port"] == gateway.port
    assert [(row["destination"], row["is_up"]) for row in found["destinations"]] == [("gone", False)]
    assert [(row["destination"], row["state"], row["count"]) for row in found["queue"]] == [("gone", "pending", 1)]
    text = await command("status", rules=gateway.rules_folder)
    assert "gone" in text.output
    assert re.search(r"gone +down +in \d+ min ", text.output)
    await association.release()


@pytest.mark.parametrize("way", ["http", "pid file"])
async def test_reload_waits_and_reports(running: AsyncExitStack, tmp_path: Path, way: str) -> None:
    settings = {"pid_file": str(tmp_path / "gateway.pid")}
    gateway = WithoutHTTP(tmp_path, HOLD, settings=settings) if way == "pid file" else GatewayProcess(tmp_path, HOLD)
    await running.enter_async_context(gateway)
    gateway.write_rules({"unmatched": "reject"})
    done = await command("reload", rules=gateway.rules_folder)
    assert (done.returncode, done.output.startswith("applied")) == (0, True), done.output
    association = await call(gateway.port)
    assert (await store_new(association)).status == 0x0124
    await association.release()
    gateway.settings = {**gateway.settings, "drain": "3 s"}
    gateway.write_rules({"unmatched": "hold"})
    refused = await command("reload", rules=gateway.rules_folder)
    assert refused.returncode == 1
    assert "gateway.drain" in refused.output
    gateway.write_rules({"unmatched": "sometimes"})
    broken = await command("reload", rules=gateway.rules_folder)
    assert broken.returncode == 1
    assert "10-site.yaml:1:" in broken.output
    assert "refused; in force: " in broken.output, "the gateway was asked, and said no"
    if way == "http":
        asked = await command("reload", "--http", f"127.0.0.1:{gateway.http_port}")
        assert (asked.returncode, "10-site.yaml:1:" in asked.output) == (1, True), asked.output
        assert await gateway.metric("gateway_config_last_reload_successful") == 0


class WithoutHTTP(GatewayProcess):
    """Ready when its log says so."""

    def gateway_section(self) -> dict[str, object]:
        section = super().gateway_section()
        del section["http"]
        return section

    async def is_ready(self) -> bool:
        return "gateway_started" in self.log


async def test_queue_commands_reach_a_running_gateway(running: AsyncExitStack, tmp_path: Path) -> None:
    rules = {
        "peers": {"files": {"folder": {"path": f"{tmp_path}/files/{{{{ SOPInstanceUID }}}}.dcm"}}},
        "unmatched": "hold",
    }
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules))
    association = await call(gateway.port)
    for _ in range(3):
        assert (await store_new(association)).status == 0
    await association.release()
    listed = await command("queue", "list", "--state", "held", rules=gateway.rules_folder)
    assert len(listed.output.splitlines()) == 5, "heads, three deliveries, and how many there are"
    done = await command("queue", "release", "1", "2", "--to", "files", rules=gateway.rules_folder)
    assert "2 deliveries released" in done.output
    await until(lambda: len(list((tmp_path / "files").glob("*.dcm"))) == 2)
    done = await command("queue", "discard", "--state", "held", "--yes", rules=gateway.rules_folder)
    assert "1 delivery discarded" in done.output
    await gateway.idle()
    assert await gateway.metric("gateway_queue_deliveries") == 0


async def test_what_a_template_sends_nowhere_waits_for_an_operator(running: AsyncExitStack, tmp_path: Path) -> None:
    rules = {
        "peers": {"files": {"folder": {"path": f"{tmp_path}/files/{{{{ SOPInstanceUID }}}}.dcm"}}},
        "routes": [
            {"name": "by title", "to": ["{{ 'files' if association.called_ae_title == 'FILES' else Modality }}"]}
        ],
        "unmatched": "reject",
    }
    gateway = await running.enter_async_context(
        GatewayProcess(tmp_path, rules, settings={"called_ae_titles": ["FILES"]})
    )
    for called in ("FILES", "GATEWAY"):
        association = await call(gateway.port, called=called)
        assert (await store_new(association)).status == 0
        await association.release()
    await until(lambda: len(list((tmp_path / "files").glob("*.dcm"))) == 1)
    shown = await command("queue", "list", "--state", "held", "--format", "json", rules=gateway.rules_folder)
    assert '"rule": "by title"' in shown.output
    assert re.search(r"held by by title: its `to` \(.*10-site.yaml:\d+\) gives a name that no", shown.output)
    done = await command("queue", "release", "--rule", "by title", "--to", "files", rules=gateway.rules_folder)
    assert "1 delivery released" in done.output
    await until(lambda: len(list((tmp_path / "files").glob("*.dcm"))) == 2)


@pytest.mark.peers
async def test_queue_retry_has_a_destination_that_was_down_probed_at_once(
    running: AsyncExitStack, tmp_path: Path
) -> None:
    port = free_port()
    rules = {
        "peers": {
            "pacs": {"ae_title": "PACS", "address": f"127.0.0.1:{port}", "delivery": {"retry": {"first": "10 min"}}}
        },
        "routes": [{"name": "all", "to": ["pacs"]}],
        "unmatched": "hold",
    }
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, rules))
    association = await call(gateway.port)
    for _ in range(3):
        assert (await store_new(association)).status == 0
    await association.release()
    await until(lambda: "destination_failed" in gateway.log)
    peer = await running.enter_async_context(StoreSCP(tmp_path / "storescp", ae_title="PACS", port=port))
    done = await command("queue", "retry", "1", rules=gateway.rules_folder)
    assert "1 delivery retried" in done.output
    await until(lambda: len(peer.files()) == 3)


async def test_demo_shows_what_went_where() -> None:
    done = await command("demo", "--explain")
    assert done.returncode == 0, done.output
    rows = [line.split() for line in done.output.splitlines()]
    table = {(row[0], row[3]) for row in rows if len(row) > 4 and row[2:3] == ["0x0000"]}
    assert table == {
        ("CT_small.dcm", "archive"),
        ("MR_small.dcm", "archive"),
        ("693_J2KI.dcm", "archive"),
        ("rtdose.dcm", "files"),
        ("test-SR.dcm", "nobody"),
    }
    assert "byte for byte" in done.output
    assert "edited" in done.output
    assert "nothing arrived" not in done.output


class Demo(Daemon):
    name = "demo"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "gateway", "demo", "--keep"]

    async def is_ready(self) -> bool:
        return "Ctrl-C ends it" in self.log


async def test_demo_keeps_running_until_it_is_stopped(running: AsyncExitStack, tmp_path: Path) -> None:
    demo = await running.enter_async_context(Demo(tmp_path / "demo.log"))
    port = int(demo.log.split("listened on 127.0.0.1:")[1].split(".")[0])
    association = await call(port)
    assert (await store_new(association)).status == 0
    await association.release()
    demo.signal(signal.SIGINT)
    assert await demo.wait() == 0
