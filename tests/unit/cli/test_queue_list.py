"""`gateway queue list` as operators read it, and who may."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.operations import delivery_listing
from gateway.operations.delivery_listing import FIELDS, STUDY_FIELDS
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import NOON, instance, settlement

RULES = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
peers: {pacs: {ae_title: PACS, address: "127.0.0.1:104"}}
routes: [{name: all, to: [pacs]}]
unmatched: hold
"""
LONG_RULE = "a rule with a name that says everything that there is to say of it, and then some"
LONG_REASON = "the peer said no, at length: " + "no " * 60


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve deliveries, one a minute; the first one is dead for a long reason."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "var").mkdir()
    with contextlib.closing(SQLiteStore(tmp_path / "var/gateway.db", now=lambda: NOON)) as queue:
        for number in range(12):
            with queue.transaction():
                at = NOON + timedelta(minutes=number)
                dispatch = Dispatch(LONG_RULE if number else "=1+1", "pacs")
                queue.deliveries.accept([(replace(instance(number), received_at=at), [dispatch])], at)
        with queue.transaction():
            (first,) = queue.deliveries.claim("pacs", 1, 60.0, NOON)
            queue.deliveries.settle([settlement(first, DeliveryState.DEAD, reason=LONG_REASON)])
    return tmp_path / "rules.yaml"


def listed(rules: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["queue", "list", "--rules", str(rules), *options])


def test_lines_fit_and_nothing_is_lost_with_wide(rules: Path) -> None:
    narrow, wide = listed(rules), listed(rules, "--wide")
    assert max(map(len, narrow.stdout.splitlines())) <= 120
    assert LONG_RULE not in narrow.stdout
    assert "a rule with a name …" in narrow.stdout
    assert LONG_RULE in wide.stdout
    assert LONG_REASON.strip() in wide.stdout


def test_the_summary_says_how_many_there_are(rules: Path) -> None:
    assert "12 deliveries; times are" in listed(rules).stderr
    assert "5 of 12 deliveries, oldest first; see --limit" in listed(rules, "--limit", "5").stderr
    assert (
        "1 of 11 deliveries, newest" in listed(rules, "--limit", "1", "--sort", "newest", "--state", "pending").stderr
    )
    assert listed(rules, "--state", "held").stderr == "nothing\n"


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_a_total_that_stopped_says_so_in_each_form(rules: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(delivery_listing, "LOOKED_AT", 6)
    listing = ("--limit", "2", "--format", form)
    said = listed(rules, "--rule", LONG_RULE, *listing)
    assert "2 of at least 5 deliveries (counting stopped there), oldest first; see --limit" in said.stderr
    assert "2 of 12 deliveries" not in said.stderr
    assert "2 of 11 deliveries" in listed(rules, "--state", "pending", *listing).stderr, "counted without a look"
    monkeypatch.setattr(delivery_listing, "LOOKED_AT", 1)
    few = listed(rules, "--rule", LONG_RULE, *listing)
    assert "2 of at least 2 deliveries (counting stopped there), oldest first" in few.stderr


@pytest.mark.parametrize(("sort", "ids"), [("oldest", [1, 2, 3]), ("newest", [12, 11, 10])])
def test_the_order_is_that_of_arrival(rules: Path, sort: str, ids: list[int]) -> None:
    shown = json.loads(listed(rules, "--sort", sort, "--limit", "3", "--format", "json").stdout)
    assert [row["id"] for row in shown] == ids


@pytest.fixture
def mixed(rules: Path) -> Path:
    """Another object, which is large and arrived last, of another study and another route's."""
    with contextlib.closing(SQLiteStore(rules.parent / "var/gateway.db", now=lambda: NOON)) as queue:
        arriving = instance(20, study_instance_uid="1.9")
        at, payload = NOON + timedelta(hours=1), replace(arriving.payload, length_bytes=3 * 1024**2)
        with queue.transaction():
            route = Dispatch("all", "pacs", state=DeliveryState.HELD, reason="held by all (rules.yaml:3): not yet")
            queue.deliveries.accept([(replace(arriving, received_at=at, payload=payload), [route])], at)
    return rules


@pytest.mark.parametrize(
    ("sort", "first", "said"), [("size", 13, "largest first"), ("attempts", 1, "most tried first")]
)
def test_the_largest_and_the_most_tried_come_first(mixed: Path, sort: str, first: int, said: str) -> None:
    result = listed(mixed, "--sort", sort, "--limit", "2", "--columns", "id", "--format", "csv")
    assert result.stdout.splitlines()[:2] == ["id", str(first)]
    assert f"2 of 13 deliveries, {said}; see --limit" in result.stderr


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_columns_are_those_that_were_asked_for_in_their_order(mixed: Path, form: str) -> None:
    result = listed(mixed, "--columns", "state, id,size_bytes", "--state", "held", "--format", form)
    expected = {
        "text": "state  id  size_bytes\nheld   13  3.0 MiB\n",
        "csv": "state,id,size_bytes\nheld,13,3145728\n",
        "json": json.dumps([{"state": "held", "id": 13, "size_bytes": 3 * 1024**2}], indent=2) + "\n",
    }
    assert result.stdout == expected[form]


def test_an_unknown_column_is_wrong_usage(rules: Path) -> None:
    result = listed(rules, "--columns", "id,stat")
    assert result.exit_code == 2
    assert "'stat' is no column" in result.stderr
    assert "did you mean `state`?" in result.stderr
    of_studies = listed(rules, "--by-study", "--columns", "id")
    assert of_studies.exit_code == 2
    assert "(known: study_instance_uid, destination," in of_studies.stderr


def test_a_study_is_one_line_a_destination(mixed: Path) -> None:
    result = listed(mixed, "--by-study", "--sort", "newest", "--format", "json")
    newest, oldest = json.loads(result.stdout)
    assert list(newest) == list(STUDY_FIELDS)
    assert (newest["study_instance_uid"], newest["held"], newest["size_bytes"]) == ("1.9", 1, 3 * 1024**2)
    assert (oldest["dead"], oldest["pending"], oldest["most_attempts"]) == (1, 11, 1)
    assert oldest["first_received_at"] == "2026-03-01T12:00:00+00:00"
    assert oldest["last_received_at"] == "2026-03-01T12:11:00+00:00"
    assert result.stderr == "2 studies\n"
    table = listed(mixed, "--by-study", "--limit", "1").stdout.splitlines()
    assert table[0].split() == list(STUDY_FIELDS)
    assert len(table) == 2
    assert listed(mixed, "--by-study", "--limit", "1").stderr.startswith("1 study, oldest first; there may be more")
    assert listed(mixed, "--by-study", "--state", "delivered").stderr == "nothing\n"


@pytest.mark.parametrize("sort", ["size", "attempts"])
def test_studies_are_in_the_order_of_arrival_alone(rules: Path, sort: str) -> None:
    result = listed(rules, "--by-study", "--sort", sort)
    assert result.exit_code == 2
    assert f"--sort {sort} is for deliveries" in result.stderr


def test_why_it_is_held_stands_in_its_row(mixed: Path) -> None:
    assert "held by all (rules.yaml:3): not yet" in listed(mixed, "--state", "held", "--wide").stdout


@pytest.mark.process
def test_times_are_those_of_the_machine_in_tables_and_utc_elsewhere(rules: Path) -> None:
    command = [sys.executable, "-m", "gateway", "queue", "list", "--rules", str(rules), "--limit", "1"]
    done = subprocess.run(command, env={**os.environ, "TZ": "Asia/Kolkata"}, capture_output=True, text=True, check=True)
    assert datetime(2026, 3, 1, 12, tzinfo=UTC) == NOON
    assert "2026-03-01 17:30" in done.stdout
    assert "times are IST" in done.stderr
    (row,) = json.loads(listed(rules, "--limit", "1", "--format", "json").stdout)
    assert row["created_at"] == "2026-03-01T12:00:00+00:00"


def test_csv_has_all_fields_and_no_formulas(rules: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(listed(rules, "--format", "csv").stdout)))
    described = json.loads(listed(rules, "--format", "json").stdout)
    assert list(rows[0]) == list(described[0]) == list(FIELDS)
    assert len(rows) == 12
    assert rows[0]["rule"] == "'=1+1"
    assert rows[1]["rule"] == LONG_RULE
    assert rows[0]["reason"] == described[0]["reason"]
    empty = listed(rules, "--format", "csv", "--state", "held").stdout
    assert empty.strip().split(",") == list(FIELDS)


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (RULES, "did you mean `pacs`?"),
        (RULES.replace("to: [pacs]", "to: [nobody]"), "cannot be looked up in rules with errors"),
    ],
    ids=["good rules", "rules with errors"],
)
def test_an_unknown_destination_is_wrong_usage(rules: Path, site: str, expected: str) -> None:
    rules.write_text(site)
    result = listed(rules, "--destination", "pacz")
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert "(known: pacs)" in result.stderr


@pytest.mark.parametrize(
    ("verb", "state"),
    [("retry", "delivered"), ("retry", "held"), ("hold", "held"), ("release", "dead"), ("discard", "delivered")],
)
def test_states_that_never_fit_are_not_offered(rules: Path, verb: str, state: str) -> None:
    result = CliRunner().invoke(main, ["queue", verb, "--rules", str(rules), "--state", state])
    assert result.exit_code == 2
    assert f"'{state}' is not" in result.stderr


@pytest.mark.process
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="becoming another user needs root")
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["closed folder", "open folder"])
def test_another_user_is_reported_so(rules: Path, mode: int) -> None:
    (rules.parent / "var").chmod(mode)
    site = Path("/tmp") / f"another-user-{os.getpid()}"
    shutil.copytree(rules.parent, site)
    site.chmod(0o755)
    (site / "rules.yaml").chmod(0o644)
    try:
        command = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-m", "gateway"]
        arguments = ["queue", "retry", "1", "--rules", str(site / "rules.yaml")]
        done = subprocess.run([*command, *arguments], cwd=site, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(site)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 78
    assert "run the command as the gateway's user" in done.stderr
