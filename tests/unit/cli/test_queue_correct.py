"""`gateway queue correct`: what it shows, asks and refuses."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.rehearsal.rule_tests.compose import compose
from tests.support.queue_folder import fill_with_objects

EXPLICIT = "1.2.840.10008.1.2.1"
DATA = [bytes(compose({"PatientID": name, "PatientName": "A^B"}, EXPLICIT)) for name in ("one", "two")]
HELD = Dispatch("look", "pacs", "", DeliveryState.HELD)


@pytest.fixture(autouse=True)
def _two_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(fill_with_objects(tmp_path, DATA, HELD))


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, ["queue", *arguments], input=answer)


def deliveries(*options: str) -> dict[int, dict[str, Any]]:
    return {each["id"]: each for each in json.loads(run("list", "--format", "json", *options).stdout)}


def operations() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(CliRunner().invoke(main, ["operations", "--format", "json"]).stdout)
    return found


def test_the_difference_is_shown_then_asked_then_done() -> None:
    found = run("correct", "1", "2", "--set", "PatientID=4711", "--why", "mixed up", answer="y\n")
    assert found.exit_code == 0
    assert found.output == (
        "delivery 1 to pacs\n  (0010,0020) PatientID: replaced, 4 bytes → 4 bytes\n"
        "delivery 2 to pacs\n  (0010,0020) PatientID: replaced, 4 bytes → 4 bytes\n"
        "correct and send 2 deliveries? [y/N]: y\n2 deliveries corrected and sent\n"
    )
    listed = deliveries()
    assert {each["state"] for each in listed.values()} == {"pending"}
    (operation,) = operations()
    assert {each["corrected_by"] for each in listed.values()} == {operation["id"]}
    assert listed[1]["actions"] == ["set"], "no value without --show-values"
    assert deliveries("--show-values")[1]["actions"] == [{"set": {"PatientID": "4711"}}]
    assert (operation["verb"], operation["why"], operation["done"]) == ("correct", "mixed up", 2)
    assert operation["filter"] == {"ids": [1, 2], "changes": ["PatientID"]}


def test_values_are_shown_on_demand() -> None:
    found = run("correct", "1", "--set", "PatientID=4711", "--show-values", "--dry-run")
    assert found.output == (
        "delivery 1 to pacs\n  (0010,0020) PatientID: 'one' → '4711'\n"
        "1 delivery would be corrected and sent; nothing was done\n"
    )
    assert found.exit_code == 0
    assert deliveries()[1]["state"] == "held"
    assert operations() == []


def test_no_is_no() -> None:
    assert run("correct", "1", "--set", "PatientID=4711", answer="n\n").exit_code == 1
    assert deliveries()[1]["state"] == "held"
    assert operations() == []


def test_edits_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "edits.yaml").write_text("- set: {PatientID: 0042}\n- remove: [PatientName]\n")
    found = run("correct", "2", "--actions", "edits.yaml", "--yes", "--show-values")
    assert found.exit_code == 0, found.output
    assert "(0010,0010) PatientName: 'A^B' → absent" in found.output
    assert deliveries("--show-values")[2]["actions"] == [{"set": {"PatientID": "0042"}}, {"remove": ["PatientName"]}]


REFUSED: dict[str, tuple[list[str], int, str]] = {
    "no such delivery": (["1", "9", "--set", "PatientID=1"], 1, "there is no delivery 9"),
    "no such attribute": (["1", "--set", "PatientIdd=1"], 1, "--set: [0].set.PatientIdd:"),
    "no value of its kind": (["1", "2", "--set", "PatientBirthDate={{ PatientName }}"], 1, "--show-values says why"),
    "with values": (["1", "--set", "PatientBirthDate={{ PatientName }}", "--show-values"], 1, "not a value of VR DA"),
    "nothing changes": (["1", "--set", "PatientID=one"], 1, "the edits change nothing of its object"),
    "one of two": (["1", "2", "--set", "PatientID=one"], 1, "the edits change nothing of its object"),
    "no edits": (["1"], 2, "say what to correct"),
    "no keyword": (["1", "--set", "4711"], 2, "is not KEYWORD=VALUE"),
    "twice": (["1", "--set", "PatientID=1", "--set", "PatientID=2"], 2, "PatientID is set twice"),
    "no IDs": (["--set", "PatientID=1"], 2, "ID"),
    "a file with mistakes": (["1", "--actions", "broken.yaml"], 1, "broken.yaml:1"),
    "a decision": (["1", "--actions", "hold.yaml"], 1, "`hold` is no edit of an object"),
    "too many": ([*map(str, range(1, 102)), "--set", "PatientID=1"], 2, "at most 100"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_changes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.yaml").write_text("- set: [}\n")
    (tmp_path / "hold.yaml").write_text("- hold\n")
    arguments, code, said = REFUSED[name]
    found = run("correct", *arguments, "--yes")
    assert (found.exit_code, said in found.stderr) == (code, True), found.stderr
    assert {each["state"] for each in deliveries().values()} == {"held"}
    assert operations() == []


def test_what_is_pending_is_refused() -> None:
    assert run("release", "1").exit_code == 0
    found = run("correct", "1", "--set", "PatientID=4711", "--yes")
    assert found.exit_code == 1
    assert "delivery 1: it is pending: `correct` is for those that are held or dead" in found.stderr
