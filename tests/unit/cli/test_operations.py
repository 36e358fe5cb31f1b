"""`gateway operations`, and what verbs of `gateway queue` leave in it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.model.delivery import DeliveryState
from gateway.sqlite.store import SQLiteStore
from tests.support.queue_folder import fill_queue_folder
from tests.support.samples import NOON, settlement


@pytest.fixture(autouse=True)
def _three_deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill_queue_folder(tmp_path, 3)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def operations() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("operations", "--format", "json").stdout)
    return found


def test_nothing_was_done() -> None:
    found = run("operations")
    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "nothing was done\n")


def test_a_verb_is_recorded() -> None:
    assert run("queue", "hold", "--destination", "pacs", "--why", "the archive moves").exit_code == 0
    assert run("queue", "release", "1", "--to", "vna").exit_code == 0
    release, hold = operations()
    assert (hold["verb"], hold["filter"], hold["why"]) == ("hold", {"destination": "pacs"}, "the archive moves")
    assert (hold["meant"], hold["done"], hold["stayed"], hold["state"]) == (3, 3, 0, "complete")
    assert str(os.getuid()) in str(hold["operator"])
    assert (release["to"], release["filter"], release["done"]) == ("vna", {"ids": [1]}, 1)
    shown = run("operations").stdout
    assert "the archive moves" in shown
    assert "destination=pacs" in shown
    assert len(run("operations", "--limit", "1").stdout.splitlines()) == 2


DRY_RUNS = {
    "hold": (["hold", "--all"], "3 deliveries would be held; nothing was done\n"),
    "retry": (["retry", "2"], "1 delivery would be retried; nothing was done\n"),
    "discard, without a question": (["discard", "--all"], "3 deliveries would be discarded; nothing was done\n"),
    "release": (["release", "--all", "--to", "vna"], "0 deliveries would be released\n"),
}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", DRY_RUNS)
def test_a_dry_run_says_the_number_and_does_nothing(tmp_path: Path, name: str) -> None:
    arguments, said = DRY_RUNS[name]
    before, files = run("queue", "list", "--format", "json").stdout, contents(tmp_path)
    found = run("queue", *arguments, "--dry-run")
    assert (found.exit_code, found.stdout) == (0, said)
    assert contents(tmp_path) == files, "the store is opened for reading alone"
    assert run("queue", "list", "--format", "json").stdout == before
    assert operations() == []


def test_a_dry_run_names_what_it_would_not_be_done_to() -> None:
    found = run("queue", "hold", "1", "99", "--dry-run")
    assert (found.exit_code, found.stdout) == (1, "1 delivery would be held; nothing was done\n")
    assert "there is no delivery 99" in found.stderr


def test_deliveries_go_elsewhere_and_again() -> None:
    found = run("queue", "retarget", "--destination", "pacs", "--to", "vna", "--dry-run")
    assert found.stdout == "3 deliveries would be re-targeted to vna; nothing was done\n"
    found = run("queue", "retarget", "--destination", "pacs", "--to", "vna", "--why", "pacs is down")
    assert (found.exit_code, found.stdout) == (0, "3 deliveries re-targeted to vna\n")
    assert run("queue", "send-again", "--all").stdout == "0 deliveries sent again\n"
    with contextlib.closing(SQLiteStore("var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        claimed = queue.deliveries.claim("vna", 2, 60.0, NOON + timedelta(days=9999))
        assert queue.deliveries.settle([settlement(each) for each in claimed]) == [True, True]
    dry = run("queue", "send-again", "--study-instance-uid", "1.2.3.4", "--to", "pacs", "--dry-run")
    assert dry.stdout == "2 deliveries would be sent again to pacs; nothing was done\n"
    found = run("queue", "send-again", "--destination", "vna", "--to", "pacs")
    assert (found.exit_code, found.stdout) == (0, "2 deliveries sent again to pacs\n")
    twice = run("queue", "send-again", "--destination", "vna", "--to", "pacs")
    assert (twice.exit_code, twice.stdout) == (0, "0 deliveries sent again to pacs\n")
    assert "2 deliveries stayed: equal ones are still owed" in twice.stderr
    assert [each["verb"] for each in operations()] == ["send-again", "send-again", "retarget"]


def test_what_is_kept_is_shown_and_sent_again_until_its_time_is_over() -> None:
    week = timedelta(days=7)
    with contextlib.closing(SQLiteStore("var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        claimed = queue.deliveries.claim("pacs", 2, 60.0, NOON + timedelta(days=9999))
        ends = [dataclasses.replace(settlement(each), kept_until=NOON + week) for each in claimed]
        assert queue.deliveries.settle(ends) == [True, True]
    first = str(claimed[0].delivery_id)
    assert json.loads(run("queue", "show", first, "--format", "json").stdout)["kept_until"]
    assert run("queue", "send-again", first).stdout == "1 delivery sent again\n"
    assert json.loads(run("queue", "show", first, "--format", "json").stdout)["kept_until"] is None, "it is owed"
    with contextlib.closing(SQLiteStore("var/gateway.db", now=lambda: NOON + 2 * week)) as queue:
        with queue.transaction():
            assert queue.kept.end_kept(NOON + week, 10) == 1
        with queue.transaction():
            assert queue.deliveries.forget(NOON + week, 10) == 1
    second = str(claimed[1].delivery_id)
    over = run("queue", "send-again", second)
    assert (over.exit_code, over.stdout) == (1, "")
    assert f"there is no delivery {second}; what was delivered can be sent again while its copy is here" in over.stderr
    nothing = run("queue", "send-again", "--sop-instance-uid", claimed[1].instance.sop_instance_uid)
    assert (nothing.exit_code, nothing.stdout) == (0, "0 deliveries sent again\n")
    assert "nothing fits: what was delivered can be sent again while its copy is here" in nothing.stderr


def test_what_a_destination_may_have_is_sent_elsewhere_on_demand_alone() -> None:
    with contextlib.closing(SQLiteStore("var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        first = queue.deliveries.claim("pacs", 1, 60.0, NOON + timedelta(days=9999))[0]
        doubtful = settlement(first, DeliveryState.PENDING, is_doubtful=True)
        assert queue.deliveries.settle([doubtful]) == [True]
    found = run("queue", "retarget", str(first.delivery_id), "--to", "vna")
    assert (found.exit_code, found.stdout) == (0, "0 deliveries re-targeted to vna\n")
    assert "1 delivery stayed: " in found.stderr
    assert "--even-if-doubtful" in found.stderr
    found = run("queue", "retarget", str(first.delivery_id), "--to", "vna", "--even-if-doubtful")
    assert (found.stdout, "stayed: " in found.stderr) == ("1 delivery re-targeted to vna\n", False)
    assert [each["filter"] for each in operations()] == [{"ids": [1], "even_if_doubtful": True}, {"ids": [1]}]


def test_what_is_held_and_a_destination_may_have_is_released_elsewhere_on_demand_only() -> None:
    with contextlib.closing(SQLiteStore("var/gateway.db", now=lambda: NOON)) as queue, queue.transaction():
        claimed = queue.deliveries.claim("pacs", 1, 60.0, NOON + timedelta(days=9999))
        ends = [settlement(each, DeliveryState.PENDING, is_doubtful=True) for each in claimed]
        assert queue.deliveries.settle(ends) == [True]
    run("queue", "hold", "--destination", "pacs")
    found = run("queue", "release", "--destination", "pacs", "--to", "vna")
    assert found.stdout.startswith("2 deliveries released to vna")
    assert "1 delivery stayed: they were sent, and no response came" in found.stderr
    found = run("queue", "release", "--destination", "pacs", "--to", "vna", "--even-if-doubtful")
    assert (found.stdout.split(" (")[0], "may have them" in found.stderr) == ("1 delivery released to vna", False)


BAD_TARGETS = {
    "none": (["retarget", "--all"], "--to"),
    "unknown": (["retarget", "--all", "--to", "vnaa"], "did you mean `vna`?"),
    "the same": (["retarget", "--destination", "pacs", "--to", "pacs"], "they are for pacs already"),
    "unknown, again": (["send-again", "--all", "--to", "pax"], "is no destination"),
    "no filter": (["send-again"], "say which"),
    "a state that was not sent": (["send-again", "--state", "dead"], "--state"),
}


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_bad_targets_change_nothing(name: str) -> None:
    arguments, said = BAD_TARGETS[name]
    found = run("queue", *arguments)
    assert found.exit_code == 2
    assert said in found.stderr
    assert operations() == []


BAD_REASONS = {"empty": " ", "two lines": "a\nb", "long": "x" * 201, "controls a terminal": "\x1b[2J"}


@pytest.mark.parametrize("name", BAD_REASONS)
def test_a_reason_is_one_short_line(name: str) -> None:
    found = run("queue", "hold", "--all", "--why", BAD_REASONS[name])
    assert found.exit_code == 2
    assert "--why" in found.stderr
    assert operations() == []


def test_a_verb_that_means_nothing_is_not_recorded() -> None:
    assert run("queue", "hold", "--sop-instance-uid", "9.9.9").exit_code == 0
    assert operations() == []
