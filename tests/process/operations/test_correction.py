"""`gateway queue correct` beside a gateway that runs, and killed between any two of its steps."""

from __future__ import annotations

import contextlib
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydicom import dcmread

from gateway.dimse.protocol.memory import MemoryDataSet
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.rehearsal.rule_tests.compose import compose
from gateway.sqlite.store import SQLiteStore
from tests.support.caller import call, data_set, new_uid, store
from tests.support.gateway_process import GatewayProcess
from tests.support.killed_command import LIMIT_S, copy_of
from tests.support.processes import run, until
from tests.support.queue_folder import fill_with_objects
from tests.support.store_rig import ANY

EXPLICIT = "1.2.840.10008.1.2.1"
HELD = Dispatch("look", "pacs", "", DeliveryState.HELD)
FoundState = tuple[list[tuple[str, str, int]], list[tuple[str, int, str]]]
"""State, actions and correction of each delivery; verb, number and state of each operation."""
BEFORE: FoundState = ([("held", "", 0)] * 2, [])
AFTER: FoundState = ([("pending", '[{"set":{"PatientID":"4711"}}]', 1)] * 2, [("correct", 2, "complete")])


def rules(folder: Path) -> dict[str, Any]:
    return {
        "peers": {"files": {"folder": {"root": str(folder), "path": f"{folder}/{{{{ SOPInstanceUID }}}}.dcm"}}},
        "routes": [{"name": "look at each", "to": ["files"], "then": [{"set": {"InstitutionName": "NORTH"}}, "hold"]}],
        "unmatched": "reject",
    }


async def test_the_corrected_object_goes_and_the_original_stays(running: AsyncExitStack, tmp_path: Path) -> None:
    out = tmp_path / "out"
    gateway = await running.enter_async_context(GatewayProcess(tmp_path / "gateway", rules(out)))
    association = await call(gateway.port)
    uid = new_uid()
    data = data_set(uid)
    assert (await store(association, MemoryDataSet(data), uid)).status == 0x0000
    await association.release()
    queue = [sys.executable, "-m", "gateway", "queue"]
    at = ["--rules", str(gateway.rules_folder)]

    async def is_held() -> bool:
        return '"held"' in (await run([*queue, "list", "--format", "json", *at])).output

    await until(is_held, what="a held delivery")
    corrected = await run([*queue, "correct", "1", "--set", "PatientID=4711", "--yes", *at])
    assert corrected.returncode == 0, corrected.output
    await until(lambda: (out / f"{uid}.dcm").is_file(), what="the corrected file")
    sent = dcmread(out / f"{uid}.dcm")
    assert (sent.PatientID, sent.InstitutionName) == ("4711", "NORTH")
    exported = await run([*queue, "export", "1", "--to", str(tmp_path / "original.dcm"), *at])
    assert exported.returncode == 0, exported.output
    assert (tmp_path / "original.dcm").read_bytes().endswith(data)


def found(folder: Path) -> FoundState:
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db")) as queue:
        rows = [(each.state.value, each.actions_json, each.corrected_by) for each in queue.administration.list(ANY, 9)]
        noted = [(each.verb, each.done, each.state.value) for each in queue.operations.last_operations(9)]
    return rows, noted


async def test_a_kill_between_any_two_steps_leaves_it_before_or_after(tmp_path: Path) -> None:
    contents = [bytes(compose({"PatientID": name}, EXPLICIT)) for name in ("one", "two")]
    folder = tmp_path / "site"
    folder.mkdir()
    await fill_with_objects(folder, contents, HELD)
    script = [sys.executable, "-m", "tests.support.killed_command", str(folder), "gateway.cli.queue_correct"]
    ended = await run([*script, "queue", "correct", "1", "2", "--set", "PatientID=4711", "--yes"], timeout_s=LIMIT_S)
    assert ended.returncode == 0, ended.output
    tries = int(ended.output.split()[-1])
    is_after = [found(copy_of(folder, number)) == AFTER for number in range(1, tries + 1)]
    assert all(is_after[place] or found(copy_of(folder, place + 1)) == BEFORE for place in range(tries))
    assert (is_after[0], is_after[-1]) == (False, True)
    assert is_after == sorted(is_after), "once it is after, it stays"
