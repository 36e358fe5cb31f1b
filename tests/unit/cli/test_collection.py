"""`gateway collection`: answers and exit codes."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.render import local_time
from gateway.delivery.collection_steps import advance
from gateway.model.collection import CollectionTerms, Membership
from gateway.model.delivery import Dispatch
from gateway.model.expectation import Expectation, ExpectedTerms
from gateway.sqlite.store import SQLiteStore
from tests.support.queue_folder import RULES
from tests.support.samples import NOON, instance

COLLECTING = RULES.replace("to: [pacs]", "to: [pacs], collection: chest") + "collections: {chest: {}, heads: {}}\n"
CHEST = CollectionTerms("chest", quiet_s=60, at_most_s=600, late_for_s=3600)
SERIES = CollectionTerms("series", level="series", quiet_s=90)
PATIENT = "0f" * 16


@pytest.fixture(autouse=True)
def _two_collections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study of two objects and a later series of one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/site.yaml").write_text(COLLECTING)
    (tmp_path / "var").mkdir()
    members = [
        Membership(CHEST, "1.2.3", patient=PATIENT),
        Membership(CHEST, "1.2.3", patient=PATIENT),
        Membership(SERIES, "4.5", "4.5.6", patient=PATIENT),
    ]
    with contextlib.closing(store()) as queue:
        for number, member in enumerate(members):
            with queue.transaction():
                arrival = (instance(number), [Dispatch("all", "pacs", collection=member)])
                queue.deliveries.accept([arrival], NOON + timedelta(seconds=number))


def store() -> SQLiteStore:
    return SQLiteStore(Path("var/gateway.db"), now=lambda: NOON + timedelta(seconds=2))


def step(number: int) -> None:
    """What the keeper of the gateway does."""
    with contextlib.closing(store()) as queue, queue.transaction():
        advance(queue, number, lambda study: False)


def run(*arguments: str) -> Result:
    found = CliRunner().invoke(main, ["collection", *arguments])
    assert PATIENT not in found.output
    return found


def shown(number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("show", str(number), "--format", "json").stdout)
    return found


def operations() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(CliRunner().invoke(main, ["operations", "--format", "json"]).stdout)
    return found


def listed(*arguments: str) -> list[int]:
    return [each["id"] for each in json.loads(run("list", *arguments, "--format", "json").stdout)]


def test_the_list_has_the_last_arrival_first() -> None:
    found = run("list")
    assert (found.exit_code, found.stderr) == (0, "2 collections\n")
    head, *rows = [re.split(r"  +", line.strip()) for line in found.stdout.splitlines()]
    assert head[:9] == [
        *("id", "name", "level", "study", "generation", "state", "instances", "last arrival", "deadline"),
    ]
    arrived, second = local_time(NOON + timedelta(seconds=2)), local_time(NOON + timedelta(seconds=1))
    assert rows[0][:8] == ["2", "series", "series", "4.5", "1", "open", "1", arrived]
    assert rows[1][:8] == ["1", "chest", "study", "1.2.3", "1", "open", "2", second]
    ends = local_time(NOON + timedelta(seconds=92))
    assert re.fullmatch(re.escape(ends) + r" \((in \d+ (s|min)|\d+ \w+ ago)\)", rows[0][8])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [2, 1]),
        (["--name", "chest"], [1]),
        (["--name", "heads"], None),
        (["--study", "4.5"], [2]),
        (["--study", "4.6"], []),
        (["--state", "open"], [2, 1]),
        (["--state", "releasing"], []),
        (["--name", "chest", "--study", "4.5"], []),
        (["--limit", "1"], [2]),
    ],
    ids=lambda value: " ".join(map(str, value)) if value else "all",
)
def test_filters(filters: list[str], expected: list[int] | None) -> None:
    if expected is None:
        assert run("list", *filters).exit_code == 2, "no route collects by it"
    else:
        assert listed(*filters) == expected


def test_a_name_that_a_route_has_is_known_before_anything_came(tmp_path: Path) -> None:
    (tmp_path / "rules/site.yaml").write_text(COLLECTING.replace("collection: chest", "collection: heads"))
    found = run("list", "--name", "heads")
    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "0 collections\n")


def test_a_limit_says_what_it_left_out() -> None:
    assert run("list", "--limit", "1").stderr == "the last 1 of 2 collections; 1 left out, see --limit\n"


def test_closed_ones_are_listed_on_demand() -> None:
    with contextlib.closing(store()) as queue, queue.transaction():
        queue.collections.close(1, NOON + timedelta(days=7))
    assert listed() == [2]
    assert listed("--state", "closed") == [1]


def test_one_is_shown() -> None:
    found = run("show", "1")
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in found.stdout.splitlines() if "  " in line)
    assert (lines["name"], lines["study_instance_uid"], lines["waiting"]) == ("chest", "1.2.3", "2")
    assert lines["opened_at"] == local_time(NOON)
    assert shown(1)["instances"] == 2


BAD = {
    "unknown name": (["list", "--name", "chets"], 2, "did you mean `chest`?"),
    "empty name": (["list", "--name", ""], 2, "it is empty"),
    "no UID": (["list", "--study", "Doe^Jane"], 2, "is no UID"),
    "no state": (["list", "--state", "asking"], 2, "--state"),
    "show of nothing": (["show", "9"], 1, "there is no collection 9; see `gateway collection list`"),
    "complete of nothing": (["complete", "9"], 1, "there is no collection 9"),
    "dry run of nothing": (["complete", "9", "--dry-run"], 1, "there is no collection 9"),
    "extend of nothing": (["extend", "9", "--by", "30min"], 1, "there is no collection 9"),
    "discard of nothing": (["discard", "9", "--yes"], 1, "there is no collection 9"),
    "no ID": (["complete", "chest"], 2, "is not a valid int"),
    "by nothing": (["extend", "1", "--by", "0 s"], 2, "more than 0 s and at most 30 d"),
    "by too much": (["extend", "1", "--by", "31 d"], 2, "more than 0 s and at most 30 d"),
    "by no duration": (["extend", "1", "--by", "long"], 2, "is no duration"),
    "by is missing": (["extend", "1"], 2, "--by"),
    "a reason of two lines": (["complete", "1", "--why", "a\nb"], 2, "write one line"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_changes_nothing(name: str) -> None:
    arguments, code, said = BAD[name]
    before = shown(1)
    found = run(*arguments)
    assert (found.exit_code, said in " ".join(found.stderr.split())) == (code, True), found.output
    assert {**shown(1), "deadline_in_s": 0} == {**before, "deadline_in_s": 0}
    assert operations() == []


def test_one_is_completed_and_its_record_says_so() -> None:
    which = "collection 1 (chest, study 1.2.3)"
    found = run("complete", "1", "--dry-run")
    numbers = "2 instances, 2 deliveries waiting"
    assert (found.exit_code, found.output) == (
        0,
        f"{which} would end now, as forced: {numbers}; nothing was done\n",
    )
    assert (shown(1)["state"], operations()) == ("open", [])
    found = run("complete", "1", "--why", "the device is off")
    assert (found.exit_code, found.output) == (0, f"{which} ends now, as forced: {numbers}\n")
    assert (shown(1)["state"], shown(1)["result"], shown(2)["state"]) == ("releasing", "forced", "open")
    again = run("complete", "1")
    assert again.exit_code == 1
    assert again.stderr == "gateway: collection 1 is releasing: `complete` is for those that are open\n"
    step(1)
    assert (shown(1)["state"], shown(1)["waiting"]) == ("complete", 0)
    (record,) = operations()
    assert (record["verb"], record["why"], record["done"]) == ("complete", "the device is off", 2)
    undone = CliRunner().invoke(main, ["operations", "undo", str(record["id"])])
    assert (undone.exit_code, "`complete`, which cannot be undone" in undone.stderr) == (1, True)
    text = CliRunner().invoke(main, ["operations"]).stdout
    assert "collection=1 name=chest study_instance_uid=1.2.3" in text


def test_one_is_discarded_and_others_stay() -> None:
    which = "collection 1 (chest, study 1.2.3)"
    numbers = "2 instances, 2 deliveries waiting"
    found = run("discard", "1", "--dry-run")
    assert (found.exit_code, found.output) == (0, f"{which} would be discarded: {numbers}; nothing was done\n")
    refused = CliRunner().invoke(main, ["collection", "discard", "1"], input="n\n")
    assert (refused.exit_code, "discard 2 deliveries that wait for collection 1?" in refused.output) == (1, True)
    assert (shown(1)["state"], operations()) == ("open", [])
    found = run("discard", "1", "--why", "a test", "--yes")
    assert (found.exit_code, found.output) == (0, f"{which} is discarded: {numbers}\n")
    step(1)
    assert (shown(1)["state"], shown(1)["result"], shown(1)["waiting"]) == ("closed", "discarded", 0)
    (record,) = operations()
    assert (record["verb"], record["why"], record["done"]) == ("discard collection", "a test", 2)
    undone = CliRunner().invoke(main, ["operations", "undo", str(record["id"])])
    assert (undone.exit_code, "`discard collection`, which cannot be undone" in undone.stderr) == (1, True)
    again = run("discard", "1", "--yes")
    assert (again.exit_code, "`discard` is for those that are open" in again.stderr) == (1, True)
    assert (shown(2)["state"], shown(2)["waiting"]) == ("open", 1)


@pytest.mark.parametrize(
    "verb", [["hold"], ["retry"], ["retarget", "--to", "pacs"], ["discard", "--yes"]], ids=lambda verb: str(verb[0])
)
def test_a_verb_of_the_queue_on_what_waits_names_the_verbs_of_its_collection(verb: list[str]) -> None:
    found = CliRunner().invoke(main, ["queue", verb[0], "1", *verb[1:]])
    assert found.exit_code == 1
    said = " ".join(found.stderr.split())
    assert f"delivery 1 waits for the end of collection 1, which `{verb[0]}` leaves alone" in said
    assert "`gateway collection complete 1` sends it, `extend 1` puts it off, `discard 1` gives it up" in said
    assert (shown(1)["state"], shown(1)["waiting"]) == ("open", 2)


def test_the_end_of_one_is_put_off() -> None:
    arguments = ("extend", "2", "--by", "30 min")
    found = run(*arguments, "--dry-run")
    assert found.exit_code == 0
    assert "collection 2 (series, study 4.5) would not end before " in found.output
    assert (operations(), shown(2)["deadline_at"]) == ([], (NOON + timedelta(seconds=92)).isoformat())
    found = run(*arguments, "--why", "a part is to come")
    assert found.exit_code == 0
    until = shown(2)["deadline_at"]
    expected = f"does not end before {local_time(until)}: 1 instance, 1 delivery waiting\n"
    assert found.output == f"collection 2 (series, study 4.5) {expected}"
    assert until >= (NOON + timedelta(seconds=92 + 1800)).isoformat()
    (record,) = operations()
    assert (record["verb"], record["filter"]["collection"], record["why"]) == ("extend", 2, "a part is to come")


def test_rules_with_mistakes_do_not_hinder_it(tmp_path: Path) -> None:
    (tmp_path / "rules/site.yaml").write_text(COLLECTING.replace("to: [pacs]", "to: [pax]"))
    assert listed("--name", "chest") == [1]
    found = run("list", "--name", "heads")
    assert "cannot be looked up in rules with errors" in " ".join(found.stderr.split())
    assert run("complete", "1").exit_code == 0


def test_one_that_another_version_wrote_is_said_and_an_operator_ends_it() -> None:
    with contextlib.closing(store()) as queue, queue.transaction():
        queue.connection.execute('UPDATE collection SET terms = \'{"name":"chest","later":1}\' WHERE collection_id = 1')
    found = run("list")
    assert found.exit_code == 0
    assert "collection 1 was written by another version, which is to decide it: terms: later" in found.stderr
    assert "terms: later" in run("show", "1").stdout
    assert "unreadable" not in run("show", "2").stdout
    refused = run("extend", "1", "--by", "1h")
    assert (refused.exit_code != 0, "cannot be read by this version (terms: later)" in refused.stderr) == (True, True)
    assert run("complete", "1").exit_code == 0
    step(1)
    assert shown(1)["state"] == "complete"


def test_what_is_expected_and_missing_is_shown_and_why() -> None:
    expect, uid = ExpectedTerms("vna"), "1.2.840.7"
    asking = CollectionTerms("asking", expect=expect)
    counting = CollectionTerms("counting", expect=ExpectedTerms(number=3))
    with contextlib.closing(store()) as queue, queue.transaction():
        for number, terms in enumerate((asking, counting), 10):
            member = Membership(terms, f"9.{number}", patient=PATIENT)
            queue.deliveries.accept([(instance(number), [Dispatch("all", "pacs", collection=member)])], NOON)
    assert [shown(3)[name] for name in ("expected", "missing", "questions")] == [None, None, 0]
    assert shown(3)["why"] == "`vna` is asked when nothing comes any more"
    assert [shown(4)[name] for name in ("instances", "expected", "missing")] == [1, 3, 2]
    assert shown(4)["why"] == "1 of 3 instances are here"
    assert "source" not in shown(4)
    with contextlib.closing(store()) as queue, queue.transaction():
        asked = Expectation().querying(expect, NOON, NOON).answered(expect, "a", 2, [uid], NOON)
        queue.collections.expect(3, asked)
    found = shown(3)
    assert [found[name] for name in ("source", "questions", "expected", "missing")] == ["vna", 1, 2, 1]
    assert (found["missing_uids"], found["is_waiting_for_an_answer"]) == ([uid], False)
    assert uid in run("show", "3").stdout
    listed_rows = run("list").stdout
    assert "1 of the 2 instances of `vna` are missing" in listed_rows
    assert "1 of 3 instances are here" in listed_rows
