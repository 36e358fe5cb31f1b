"""`gateway queue` by priority, and the verb that changes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.support.queue_folder import fill_queue_folder


@pytest.fixture(autouse=True)
def _three_deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill_queue_folder(tmp_path, 3)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def priorities() -> list[str]:
    return [row["priority"] for row in json.loads(run("queue", "list", "--format", "json").stdout)]


def test_an_operator_gives_deliveries_another_priority_and_finds_them_by_it() -> None:
    done = run("queue", "priority", "2", "--set", "urgent", "--why", "the surgeon waits")
    assert (done.exit_code, done.stdout) == (0, "1 delivery made urgent\n")
    assert priorities() == ["normal", "urgent", "normal"]
    found = json.loads(run("queue", "list", "--priority", "urgent", "--format", "json").stdout)
    assert [(row["id"], row["passes_window"]) for row in found] == [(2, False)]
    assert "pending, urgent" in run("queue", "list").stdout
    assert "urgent" in run("queue", "show", "2").stdout
    (operation,) = json.loads(run("operations", "--format", "json").stdout)
    assert (operation["verb"], operation["filter"]) == ("priority", {"ids": [2], "set": "urgent"})
    assert (operation["why"], operation["done"]) == ("the surgeon waits", 1)
    assert run("queue", "priority", "--priority", "urgent", "--set", "low").stdout == "1 delivery made low\n"
    (operation, _) = json.loads(run("operations", "--format", "json").stdout)
    assert operation["filter"] == {"priority": "urgent", "set": "low"}


def test_a_dry_run_changes_nothing() -> None:
    done = run("queue", "priority", "--all", "--set", "low", "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "3 deliveries would be made low; nothing was done\n")
    assert priorities() == ["normal"] * 3


@pytest.mark.parametrize("arguments", [["--all"], ["--all", "--set", "soon"], ["--set", "low"]])
def test_what_does_not_say_which_or_what_is_wrong_usage(arguments: list[str]) -> None:
    assert run("queue", "priority", *arguments).exit_code == 2
    assert priorities() == ["normal"] * 3
