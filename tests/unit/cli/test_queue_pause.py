"""`gateway queue pause` and `resume`: answers and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.support.queue_folder import RULES, fill_queue_folder
from tests.support.samples import TO_PACS


@pytest.fixture(autouse=True)
def _two_deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill_queue_folder(tmp_path, 2)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["queue", *arguments])


def operations() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(CliRunner().invoke(main, ["operations", "--format", "json"]).stdout)
    return found


def test_pause_and_resume_say_what_waits() -> None:
    paused = run("pause", "--destination", "pacs", "--why", "it moves")
    assert (paused.exit_code, paused.output) == (
        0,
        "pacs paused; 2 deliveries wait for it, and what arrives for it is kept\n",
    )
    again = run("pause", "--destination", "pacs")
    assert again.exit_code == 1
    assert "gateway: pacs is paused already, since " in again.stderr
    resumed = run("resume", "--destination", "pacs")
    assert (resumed.exit_code, resumed.output) == (0, "pacs resumed; 2 deliveries wait for it\n")
    twice = run("resume", "--destination", "pacs")
    assert (twice.exit_code, twice.output) == (1, "gateway: pacs is not paused (paused of this kind: none)\n")
    assert [(each["verb"], each["why"], each["meant"]) for each in operations()] == [
        ("resume", "", 2),
        ("pause", "it moves", 2),
    ]


def test_a_peer_that_nothing_waits_for_is_paused() -> None:
    assert run("pause", "--destination", "vna").output.startswith("vna paused; 0 deliveries wait for it")


def test_a_sender_is_paused_by_its_name_or_title() -> None:
    for name in ("pacs", "PACS", "STRANGER"):  # `admit: any`
        words = f"{name} would be paused; nothing was done\n"
        assert run("pause", "--sender", name, "--dry-run").output == words
        found = run("pause", "--sender", name, "--why", "it floods")
        words = f"{name} paused; what it sends is refused with 0xA700 until it is resumed\n"
        assert (found.exit_code, found.output) == (0, words)
    assert run("pause", "--sender", "pacs").exit_code == 1
    other = run("resume", "--destination", "pacs")
    assert (other.exit_code, other.output) == (1, "gateway: pacs is not paused (paused of this kind: none)\n")
    unknown = run("resume", "--sender", "ct1")
    names = "PACS, STRANGER, pacs"
    assert (unknown.exit_code, unknown.output) == (1, f"gateway: ct1 is not paused (paused of this kind: {names})\n")
    assert run("resume", "--sender", "pacs", "--dry-run").output == "pacs would be resumed; nothing was done\n"
    assert run("resume", "--sender", "pacs").output == "pacs resumed\n"
    assert [(each["verb"], each["filter"]) for each in operations()] == [
        ("resume", {"sender": "pacs"}),
        *[("pause", {"sender": name}) for name in ("STRANGER", "PACS", "pacs")],
    ]


def test_a_rule_is_paused_with_what_waits_though_it_is_gone() -> None:
    name = TO_PACS.rule
    found = run("pause", "--rule", name)
    words = f"{name} paused; 2 deliveries wait for it, and what it wants is kept\n"
    assert (found.exit_code, found.output) == (0, words)
    listed = json.loads(run("list", "--format", "json").stdout)
    assert [row["reason"].partition(" since ")[0] for row in listed] == ["its rule is paused"] * 2
    assert run("resume", "--rule", name, "--dry-run").output.startswith(
        f"{name} would be resumed; 2 deliveries wait for it"
    )
    assert run("resume", "--rule", name).output == f"{name} resumed; 2 deliveries wait for it\n"


def test_a_route_is_paused() -> None:
    words = "all paused; 0 deliveries wait for it, and what it wants is kept\n"
    assert run("pause", "--rule", "all").output == words


def test_no_stranger_is_paused_where_none_may_send(tmp_path: Path) -> None:
    (tmp_path / "rules/site.yaml").write_text(RULES.replace("any", "known"))
    found = run("pause", "--sender", "vnna")
    assert found.exit_code == 2
    for words in ("'vnna' is no peer and no AE title of one", "did you mean `vna`?", "(known: PACS, VNA, pacs, vna)"):
        assert words in " ".join(found.stderr.split())
    assert operations() == []


BAD = {
    "unknown": (["pause", "--destination", "pacz"], "did you mean `pacs`?"),
    "empty": (["pause", "--destination", ""], "it is empty"),
    "none": (["pause"], "name one of --destination, --sender, --rule"),
    "two": (["pause", "--destination", "pacs", "--sender", "pacs"], "name one of --destination, --sender, --rule"),
    "no route": (["pause", "--rule", "al"], "did you mean `all`?) (known: all)"),
    "in place of a route": (["pause", "--rule", "unmatched"], "is no route"),
    "no title": (["pause", "--sender", "a title of too many"], "is no peer and no AE title of one"),
    "a reason of two lines": (["pause", "--destination", "pacs", "--why", "a\nb"], "write one line"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_changes_nothing(name: str) -> None:
    arguments, said = BAD[name]
    found = run(*arguments)
    assert found.exit_code == 2
    assert said in " ".join(found.stderr.split())
    assert operations() == []


def test_a_dry_run_does_nothing() -> None:
    found = run("pause", "--destination", "pacs", "--dry-run")
    assert (found.exit_code, found.output) == (
        0,
        "pacs would be paused, and 2 deliveries wait for it; nothing was done\n",
    )
    assert run("resume", "--destination", "pacs", "--dry-run").exit_code == 1
    assert operations() == []
    assert run("pause", "--destination", "pacs").exit_code == 0
    assert run("pause", "--destination", "pacs", "--dry-run").exit_code == 1
    resumed = run("resume", "--destination", "pacs", "--dry-run")
    assert resumed.output == "pacs would be resumed; 2 deliveries wait for it; nothing was done\n"
    assert len(operations()) == 1


def test_a_pause_of_a_peer_that_is_gone_can_be_ended(tmp_path: Path) -> None:
    assert run("pause", "--destination", "vna").exit_code == 0
    (tmp_path / "rules/site.yaml").write_text(RULES.replace("vna", "other"))
    assert run("resume", "--destination", "vna").exit_code == 0


def test_rules_with_mistakes_do_not_hinder_it(tmp_path: Path) -> None:
    (tmp_path / "rules/site.yaml").write_text(RULES.replace("to: [pacs]", "to: [pax]"))
    assert run("pause", "--destination", "pacs").exit_code == 0
