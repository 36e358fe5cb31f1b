"""`gateway operations undo`: answers and exit codes."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.model.delivery import DeliveryState
from gateway.operations import undoing
from gateway.sqlite.store import SQLiteStore
from tests.support.queue_folder import fill_queue_folder
from tests.support.samples import NOON, settlement


@pytest.fixture(autouse=True)
def _three_deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(undoing, "UNDONE_WITHIN", timedelta(hours=1))
    fill_queue_folder(tmp_path, 3)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def states() -> list[str]:
    return [each["state"] for each in json.loads(run("queue", "list", "--format", "json").stdout)]


def operations() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("operations", "--format", "json").stdout)
    return found


def test_a_verb_is_undone_once() -> None:
    assert run("queue", "hold", "--all").exit_code == 0
    dry = run("operations", "undo", "1", "--dry-run")
    assert (dry.exit_code, dry.output) == (0, "3 deliveries would be put back as before `hold` of operation 1\n")
    assert states() == ["held"] * 3
    found = run("operations", "undo", "1", "--why", "the wrong peer")
    assert (found.exit_code, found.output) == (0, "3 deliveries put back as before `hold` of operation 1\n")
    assert states() == ["pending"] * 3
    again = run("operations", "undo", "1")
    assert (again.exit_code, again.output) == (1, "gateway: operation 1 was undone already, by operation 2\n")
    assert [(each["verb"], each["filter"], each["done"], each["why"]) for each in operations()] == [
        ("undo", {"operation": 1}, 3, "the wrong peer"),
        ("hold", {}, 3, ""),
    ]


def test_what_is_not_undone_is_counted_with_its_reason(tmp_path: Path) -> None:
    assert run("queue", "retarget", "--all", "--to", "vna").exit_code == 0
    with contextlib.closing(SQLiteStore(tmp_path / "var/gateway.db", now=lambda: NOON + timedelta(days=9999))) as queue:
        with queue.transaction():
            (claimed,) = queue.deliveries.claim("vna", 1, 60.0, queue.administration.now())
        with queue.transaction():
            queue.deliveries.settle([settlement(claimed, DeliveryState.DELIVERED)])
    found = run("operations", "undo", "1")
    assert found.exit_code == 1
    assert found.stdout == "2 deliveries put back as before `retarget` of operation 1\n"
    assert found.stderr == "gateway: 1 delivery not undone: sent, or changed by somebody, since then\n"


def test_what_was_discarded_comes_back() -> None:
    assert run("queue", "discard", "--all", "--yes").exit_code == 0
    assert states() == []
    assert run("operations", "undo", "1").exit_code == 0
    assert states() == ["pending"] * 3


def test_a_pause_is_undone() -> None:
    assert run("queue", "pause", "--destination", "pacs").exit_code == 0
    dry = run("operations", "undo", "1", "--dry-run")
    assert dry.output == "`pause` of operation 1 would be undone\n"
    found = run("operations", "undo", "1")
    assert (found.exit_code, found.output) == (0, "`pause` of operation 1 undone\n")
    assert run("queue", "resume", "--destination", "pacs").exit_code == 1


@pytest.mark.parametrize(("number", "code", "said"), [("9", 1, "there is no operation 9"), ("x", 2, "ID")])
def test_bad_input_is_answered(number: str, code: int, said: str) -> None:
    found = run("operations", "undo", number)
    assert (found.exit_code, said in found.stderr) == (code, True)
