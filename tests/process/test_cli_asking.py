"""`explain`, `test` and `config show` as real processes: exit codes, and stored objects beside a running gateway."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.dimse.protocol.memory import MemoryDataSet
from tests.support.caller import call, data_set, new_uid, store, write_file
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import REPOSITORY, Finished, run, until

SITE = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112, address: 127.0.0.1}], admit: any}
peers: {pacs: {ae_title: PACS, address: "127.0.0.1:1"}}
routes: [{name: images, when: {modality: [MR]}, to: [pacs]}]
unmatched: hold
"""
PASSES = "tests: [{name: a, attributes: {Modality: MR}, expect: {destinations: [pacs]}}]\n"
FAILS = PASSES.replace("[pacs]", "[]")


OURS = {"PYTHONPATH": str(REPOSITORY), "GATEWAY_RULES": ""}


async def command(folder: Path, *arguments: object) -> Finished:
    """`gateway …` in a process of its own, in `folder`."""
    return await run([sys.executable, "-m", "gateway", *map(str, arguments)], environment=OURS, folder=folder)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "site.yaml").write_text(SITE)
    for name, text in {"passes": PASSES, "fails": FAILS, "wrong": PASSES.replace("expect", "expct")}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "site.yaml").write_text(SITE)
        (folder / "site.test.yaml").write_text(text)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "site.yaml").write_text(SITE.replace("to: [pacs]", "to: [pax]"))
    (tmp_path / "broken" / "site.test.yaml").write_text(PASSES)
    write_file(tmp_path, "1.2.3")
    (tmp_path / "text.dcm").write_text("no DICOM")
    return tmp_path


async def test_exit_codes(site: Path) -> None:
    """One of each; the others stand in `tests/unit/cli/test_asking.py`."""
    rows: list[tuple[tuple[str, ...], int]] = [
        (("test", "passes"), 0),
        (("test", "fails", "--format", "junit"), 1),
        (("test", "broken"), 78),
        (("config", "show", "broken"), 78),
        (("explain", "1.2.3.dcm", "--calling-ae", "MR1", "--verify", ""), 1),
        (("explain", "1.2.3.dcm"), 2),
    ]
    limit = asyncio.Semaphore(2)

    async def code(arguments: tuple[str, ...]) -> int | None:
        async with limit:
            return (await command(site, *arguments)).returncode

    found = await asyncio.gather(*(code(arguments) for arguments, _ in rows))
    assert dict(zip((row[0] for row in rows), found, strict=True)) == dict(rows)


RULES = {
    "peers": {name: {"ae_title": name.upper(), "address": "127.0.0.1:1"} for name in ("old", "new")},
    "coercions": [{"name": "station", "then": [{"set": {"StationName": "X"}}]}],
    "routes": [
        {"name": "before", "to": ["old"], "then": [{"set": {"PatientName": "Anonymous"}}]},
    ],
    "unmatched": "hold",
}


async def test_stored_objects_beside_a_running_gateway(running: AsyncExitStack, tmp_path: Path) -> None:
    gateway = await running.enter_async_context(GatewayProcess(tmp_path, RULES))
    uid, large = new_uid(), new_uid()
    caller = await call(gateway.port, calling="MR1")
    for one, size_bytes in ((uid, 1000), (large, 3 * 1024**2)):
        await store(caller, MemoryDataSet(data_set(one, size_bytes)), one)
    await caller.release()
    gateway.write_rules({**RULES, "routes": [{"name": "now", "to": ["new"]}]})

    async def explained(*arguments: object) -> dict[str, Any]:
        done = await command(tmp_path, "explain", "--rules", gateway.rules_folder, "--format", "json", *arguments)
        assert done.returncode == 0, done.output
        (found,) = json.loads(done.output)["objects"]
        return dict(found)

    for number, name in ((1, uid), (2, large)):
        by_delivery = await explained("--delivery", number)
        assert by_delivery == await explained("--sop-instance-uid", name) == await explained("--instance", number)
        assert (by_delivery["sop_instance_uid"], by_delivery["destinations"]) == (name, ["new"])
        assert by_delivery["coercions"] == []
        (owed,) = by_delivery["owed"]
        assert (owed["delivery"], owed["destination"], owed["rule"]) == (number, "old", "before")
        assert [change["path"] for change in owed["changes"]] == ["PatientName"]
        assert by_delivery["association"]["calling_ae_title"] == "MR1"
    nothing = await command(tmp_path, "explain", "--rules", gateway.rules_folder, "--delivery", 99)
    assert (nothing.returncode, "there is no such object" in nothing.output) == (1, True)

    async def is_pending() -> bool:
        return await gateway.metric("gateway_queue_deliveries", destination="old") == 2

    await until(is_pending, what="two deliveries that nobody touched")
    assert await gateway.drain() == 0
