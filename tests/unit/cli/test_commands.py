"""Commands that need no running gateway: output and exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from gateway import __version__
from gateway.cli import main
from gateway.identity.password_file import PasswordFileVerifier, parse
from gateway.identity.values import OfferedIdentity
from gateway.model.association import AssociationFacts
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.instance import Instance, PayloadRef
from gateway.sqlite.store import SQLiteStore
from tests.support.caller import write_file

Invoke = Callable[..., Result]

GOOD = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112, address: 127.0.0.1}]
  spool: {path: spool}
  queue: {sqlite: queue.db}
  admit: known
peers:
  mr1: {ae_title: MR1, may: [store], hosts: [10.0.0.0/8]}
  finder: {ae_title: FINDER, may: [echo]}
  pacs: {ae_title: PACS, address: "127.0.0.1:104"}
routes:
  - name: heads
    when: {all: [{modality: [MR]}, {attribute: {select: PatientName, matches: "^Nobody"}}]}
    to: [pacs]
unmatched: hold
"""
WARNS = GOOD + "groups:\n  unused: {all: [pacs]}\n"
BAD = GOOD.replace("to: [pacs]", "to: [pax]").replace("unmatched: hold", "unmatched: maybe")
SITES = {GOOD: "good", WARNS: "warns", BAD: "bad"}


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run `gateway …` in a folder of its own; `rules` is written to ./rules first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_RULES", raising=False)

    def run(*arguments: str, rules: str = GOOD, answer: str = "") -> Result:
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules" / "site.yaml").write_text(rules)
        return CliRunner().invoke(main, [*arguments], input=answer)

    return run


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("arguments", "rules", "expected"),
    [
        (["validate"], GOOD, 0),
        (["validate"], WARNS, 0),
        (["validate", "--strict"], GOOD, 0),
        (["validate", "--strict"], WARNS, 3),
        (["validate"], BAD, 1),
        (["validate", "--strict"], BAD, 1),
        (["validate", "nowhere"], GOOD, 1),
        (["validate", "--nonsense"], GOOD, 2),
        (["schema", "validate"], BAD, 1),
        (["schema", "validate", "--strict"], WARNS, 3),
        (["schema"], GOOD, 0),
        (["schema", "show"], GOOD, 0),
        (["run", "nowhere"], GOOD, 78),
        (["run"], BAD, 78),
        (["run", "--workers", "2"], BAD, 78),
        (["run", "--workers", "2"], GOOD, 78),
        (["run", "--workers", "0"], GOOD, 2),
        (["run", "--workers", "65"], GOOD, 2),
        (["queue", "list"], BAD, 78),
        (["queue", "list"], GOOD, 78),
        (["queue", "retry"], GOOD, 2),
        (["queue", "retry", "--older-than", "soon"], GOOD, 2),
        (["queue", "release", "1", "--to", "mr1"], GOOD, 2),
        (["reload"], BAD, 1),
        (["reload"], GOOD, 1),
        (["status"], GOOD, 1),
        (["status"], BAD, 1),
        (["status", "--http", "127.0.0.1:1"], BAD, 1),
        (["status", "--http", "here"], GOOD, 2),
        (["echo", "nobody"], GOOD, 2),
        (["echo", "mr1"], GOOD, 2),
        (["echo", "127.0.0.1:1"], GOOD, 1),
        (["echo", "127.0.0.1:99999"], GOOD, 2),
        (["echo", "127.0.0.1:0"], GOOD, 2),
        (["echo", "[::1]:1"], GOOD, 1),
        (["send", "127.0.0.1:65536", "rules"], GOOD, 2),
        (["status", "--http", "127.0.0.1:99999"], GOOD, 2),
        (["send", "127.0.0.1:1", "rules"], GOOD, 1),
        (["send", "127.0.0.1:1", "nowhere"], GOOD, 2),
        (["explain", "rules/site.yaml", "--calling-ae", "MR1"], GOOD, 1),
        (["nonsense"], GOOD, 2),
    ],
    ids=lambda value: SITES.get(value) if isinstance(value, str) else str(value),
)
def test_exit_codes(invoke: Invoke, arguments: list[str], rules: str, expected: int) -> None:
    result = invoke(*arguments, rules=rules)
    assert result.exit_code == expected, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_validate_prints_every_problem_with_its_place(invoke: Invoke) -> None:
    result = invoke("validate", rules=BAD)
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("rules/site.yaml:") and ": error: " in line for line in lines)
    assert "2 errors" in result.stderr


def test_validate_as_json(invoke: Invoke) -> None:
    problems = json.loads(invoke("validate", "--format", "json", rules=BAD).stdout)
    assert [set(problem) for problem in problems] == [{"file", "line", "column", "severity", "code", "message"}] * 2
    assert json.loads(invoke("validate", "--format", "json").stdout) == []


def test_rules_come_from_the_environment(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.yaml").write_text(BAD)
    monkeypatch.setenv("GATEWAY_RULES", str(tmp_path / "other.yaml"))
    assert invoke("validate").exit_code == 1


def test_the_schema_is_json_schema(invoke: Invoke) -> None:
    assert "gateway" in json.loads(invoke("schema").stdout)["properties"]


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").output.strip() == f"gateway, version {__version__}"


@pytest.mark.parametrize("command", [*main.commands, "queue list", "queue discard", "schema validate"])
def test_every_command_has_help(invoke: Invoke, command: str) -> None:
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4


# --- explain ----------------------------------------------------------------------------------------------------


def test_explain_says_what_is_wrong_with_a_file(invoke: Invoke) -> None:
    result = invoke("explain", "rules/site.yaml", "--calling-ae", "MR1")
    assert result.stderr == "gateway: rules/site.yaml: is no DICOM file: no DICM after the preamble\n"


def test_explain_says_why(invoke: Invoke, tmp_path: Path) -> None:
    image = write_file(tmp_path, "1.2.3")
    result = invoke("explain", str(image), "--calling-ae", "MR1", "--host", "10.1.1.1")
    assert result.exit_code == 0, result.output
    assert "admitted as peer mr1" in result.output
    assert "route 'heads' [rules/site.yaml:13]: applies" in result.output
    assert "=> to pacs (heads)" in result.output
    assert "127.0.0.1:104" in result.output
    assert "Nobody" not in result.output


def test_explain_shows_values_when_asked(invoke: Invoke, tmp_path: Path) -> None:
    image = write_file(tmp_path, "1.2.3")
    result = invoke("explain", str(image), "--calling-ae", "MR1", "--host", "10.1.1.1", "--show-values")
    assert "PatientName 'Nobody^At^All'" in result.output


@pytest.mark.parametrize(
    ("calling", "host", "expected"),
    [
        ("MR1", "192.168.0.1", "association rejected: calling AE title 'MR1': not from 192.168.0.1"),
        ("WHO", "10.1.1.1", "association rejected"),
        ("FINDER", "10.1.1.1", "which may not store"),
    ],
)
def test_explain_knows_admission(invoke: Invoke, tmp_path: Path, calling: str, host: str, expected: str) -> None:
    image = write_file(tmp_path, "1.2.3")
    assert expected in invoke("explain", str(image), "--calling-ae", calling, "--host", host).output


def test_explain_as_json(invoke: Invoke, tmp_path: Path) -> None:
    images = [str(write_file(tmp_path, "1.2.3")), str(write_file(tmp_path, "1.2.4", modality="CT"))]
    result = invoke("explain", *images, "--calling-ae", "MR1", "--host", "10.1.1.1", "--format", "json")
    first, second = json.loads(result.stdout)["objects"]
    assert [(one["destination"], one["rule"]) for one in first["deliveries"]] == [("pacs", "heads")]
    assert (second["fate"], second["destinations"], second["status"]) == ("held", [], "0x0000")
    (reason,) = second["routes"][0]["reasons"]
    assert (reason["path"], reason["holds"]) == (["all", 0, "modality"], False)


# --- queue ------------------------------------------------------------------------------------------------------


@pytest.fixture
def deliveries(tmp_path: Path) -> Path:
    """A queue with: 1 and 2 held without destination, 3 pending at pacs, 4 pending at old."""
    path = tmp_path / "queue.db"
    found = SQLiteStore(path)
    held = Dispatch("unmatched", "", "", DeliveryState.HELD)
    with found.transaction():
        for number, dispatch in enumerate([held, held, Dispatch("heads", "pacs"), Dispatch("heads", "old")], 1):
            found.deliveries.accept([(_instance(f"1.2.{number}"), [dispatch])], datetime.now(UTC))
    found.close()
    return path


def _instance(uid: str) -> Instance:
    facts = AssociationFacts("MR1", "GATEWAY", "10.0.0.7")
    payload = PayloadRef("segment", 0, 10, uid.encode().ljust(32, b"\0"))
    return Instance(
        "1.2.840.10008.5.1.4.1.1.4", uid, "1.2.840.10008.1.2", "1.2.3", "1.2.4", facts, payload, datetime.now(UTC)
    )


def states(invoke: Invoke) -> dict[int, tuple[str, str]]:
    rows = json.loads(invoke("queue", "list", "--format", "json").stdout)
    return {row["id"]: (row["state"], row["destination"]) for row in rows}


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize(
    ("arguments", "said", "expected"),
    [
        (["hold", "3"], "1 delivery held", {3: ("held", "pacs")}),
        (["hold", "--destination", "old"], "1 delivery held", {4: ("held", "old")}),
        (["release", "1", "--to", "pacs"], "1 delivery released", {1: ("pending", "pacs")}),
        (["release", "1"], "0 deliveries released", {}),
        (
            ["release", "--state", "held", "--to", "pacs"],
            "2 deliveries",
            {1: ("pending", "pacs"), 2: ("pending", "pacs")},
        ),
        (["discard", "--destination", "old", "--yes"], "1 delivery discarded", {4: None}),
        (["discard", "--all", "--yes"], "4 deliveries discarded", {1: None, 2: None, 3: None, 4: None}),
        (["discard", "--older-than", "1 h", "--yes"], "0 deliveries discarded", {}),
        (["retry", "--rule", "heads"], "2 deliveries retried", {}),
        (["retry", "--sop-instance-uid", "1.2.3"], "1 delivery retried", {}),
    ],
    ids=str,
)
def test_queue_changes(
    invoke: Invoke, arguments: list[str], said: str, expected: dict[int, tuple[str, str] | None]
) -> None:
    before = states(invoke)
    result = invoke("queue", *arguments)
    assert result.exit_code == 0, result.output
    assert said in result.output
    changed = {**before, **expected}
    assert states(invoke) == {number: state for number, state in changed.items() if state is not None}


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize(("answer", "left"), [("n\n", 4), ("y\n", 0)], ids=["no", "yes"])
def test_discard_asks(invoke: Invoke, answer: str, left: int) -> None:
    result = invoke("queue", "discard", "--all", answer=answer)
    assert "discard 4 deliveries?" in result.output
    assert result.exit_code == (1 if left else 0)
    assert len(states(invoke)) == left


@pytest.mark.usefixtures("deliveries")
def test_queue_list_is_filtered_and_limited(invoke: Invoke) -> None:
    result = invoke("queue", "list", "--state", "pending", "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert "1 of 2 deliveries, oldest first; see --limit" in result.stderr
    assert len(invoke("queue", "list", "--destination", "").stdout.splitlines()) == 3


@pytest.mark.usefixtures("deliveries")
def test_queue_show(invoke: Invoke) -> None:
    shown = json.loads(invoke("queue", "show", "3", "--format", "json").stdout)
    assert (shown["destination"], shown["sop_instance_uid"], shown["attempts"]) == ("pacs", "1.2.3", [])
    assert "1.2.3" in invoke("queue", "show", "3").output
    assert invoke("queue", "show", "99").exit_code == 1


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["discard", "3", "--yes"], "1 delivery stayed: being sent just now, or waiting for a collection to end"),
        (["retry", "--destination", "mr1"], "nothing fits"),
    ],
    ids=str,
)
def test_queue_says_why_nothing_changed(invoke: Invoke, tmp_path: Path, arguments: list[str], said: str) -> None:
    queue = SQLiteStore(tmp_path / "queue.db")
    with queue.transaction():
        queue.deliveries.claim("pacs", 10, 60.0, datetime.now(UTC) + timedelta(hours=1))
    queue.close()
    result = invoke("queue", *arguments)
    assert (result.exit_code, result.stdout.split()[:2]) == (0, ["0", "deliveries"])
    assert said in result.stderr


TWO_DESTINATIONS = GOOD.replace("routes:", '  vna: {ae_title: VNA, address: "127.0.0.1:105"}\nroutes:')

RELEASES: dict[str, tuple[list[str], str, dict[int, tuple[str, str]]]] = {
    "another destination": (
        ["--destination", "pacs", "--state", "held", "--to", "vna"],
        "1 delivery released to vna (1 held for pacs)",
        {3: ("pending", "vna")},
    ),
    "their own": (["--destination", "pacs"], "1 delivery released\n", {3: ("pending", "pacs")}),
    "its own, named": (
        ["3", "--to", "pacs"],
        "1 delivery released to pacs (1 held for pacs)",
        {3: ("pending", "pacs")},
    ),
    "all of them": (
        ["--all", "--to", "vna"],
        "3 deliveries released to vna (2 held without a destination, 1 held for pacs)",
        {1: ("pending", "vna"), 2: ("pending", "vna"), 3: ("pending", "vna")},
    ),
    "all of them, nowhere named": (["--all"], "1 delivery released\n", {3: ("pending", "pacs")}),
}


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize("name", RELEASES)
def test_release_goes_where_it_says(invoke: Invoke, name: str) -> None:
    arguments, said, expected = RELEASES[name]
    assert invoke("queue", "hold", "3").exit_code == 0
    before = states(invoke)
    result = invoke("queue", "release", *arguments, rules=TWO_DESTINATIONS)
    assert result.exit_code == 0, result.output
    assert said in result.stdout
    assert states(invoke) == {**before, **expected}
    assert ("2 deliveries held without a destination stayed" in result.stderr) == (name == "all of them, nowhere named")


REFUSED: dict[str, tuple[list[str], str]] = {
    "no such destination": (["release", "1", "--to", "pacz"], "no destination (did you mean `pacs`?)"),
    "no destination at all": (["release", "1", "--to", ""], "no destination"),
    "a peer that takes nothing": (["release", "1", "--to", "mr1"], "no destination (known: pacs)"),
    "list: no such peer": (["list", "--destination", "pacz"], "nothing is queued for it (did you mean `pacs`?)"),
    "retry: no such peer": (["retry", "--destination", "pacz"], "(did you mean `pacs`?)"),
    "hold: no such peer": (["hold", "--destination", "pacz"], "(did you mean `pacs`?)"),
    "release: no such peer": (["release", "--destination", "pacz"], "(did you mean `pacs`?)"),
    "discard: no such peer": (["discard", "--destination", "pacz"], "(did you mean `pacs`?)"),
    "retry: delivered": (["retry", "--state", "delivered"], "'dead', 'pending'"),
    "retry: held": (["retry", "--state", "held"], "'dead', 'pending'"),
    "hold: held": (["hold", "--state", "held"], "'pending', 'dead'"),
    "release: pending": (["release", "--state", "pending"], "'held'"),
    "discard: delivered": (["discard", "--state", "delivered"], "'dead', 'held', 'pending'"),
    "a filter beside --all": (["discard", "--all", "--destination", "old", "--yes"], "--all means every delivery"),
    "identifiers beside --all": (["retry", "--all", "1"], "--all means every delivery"),
    "neither": (["hold"], "say which"),
    "an empty rule": (["discard", "--destination", "old", "--rule", "", "--yes"], "it is empty"),
    "an empty object": (["discard", "--destination", "old", "--sop-instance-uid", "", "--yes"], "it is empty"),
    "an empty study": (["discard", "--destination", "old", "--study-instance-uid", " ", "--yes"], "it is empty"),
    "no time between": (["list", "--older-than", "2d", "--newer-than", "1d"], "leave no time between"),
}


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize("name", REFUSED)
def test_what_can_never_fit_is_refused(invoke: Invoke, name: str) -> None:
    arguments, said = REFUSED[name]
    before = states(invoke)
    result = invoke("queue", *arguments)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())
    assert states(invoke) == before


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize("verb", ["retry", "hold", "discard"])
def test_identifiers_that_are_not_there_are_named(invoke: Invoke, verb: str) -> None:
    result = invoke("queue", verb, "3", "98", "99", *(["--yes"] if verb == "discard" else []))
    assert result.exit_code == 1
    assert result.stdout.startswith("1 delivery ")
    assert "there are no deliveries 98, 99" in result.stderr


NOT_DONE: dict[str, tuple[list[str], str]] = {
    "not there": (["99"], "gateway: there is no delivery 99\n"),
    "not there, and not there": (["98", "99"], "gateway: there are no deliveries 98, 99\n"),
    "not there, with a filter": (["99", "--destination", "pacs"], "gateway: there is no delivery 99\n"),
    "another filter": (["4", "--destination", "pacs"], "gateway: delivery 4 does not fit the other filters\n"),
}


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize("verb", ["retry", "hold", "release", "discard"])
@pytest.mark.parametrize("name", NOT_DONE)
def test_what_was_named_and_cannot_be_done_is_said_without_a_question(invoke: Invoke, verb: str, name: str) -> None:
    arguments, said = NOT_DONE[name]
    if verb == "release":
        assert invoke("queue", "hold", "3", "4").exit_code == 0
    before = states(invoke)
    with capture_logs() as logs:
        result = invoke("queue", verb, *arguments, answer="y\n")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", said)
    assert (states(invoke), logs) == (before, [])


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize("verb", ["list", "show"])
def test_showing_what_is_not_there_says_so_alike(invoke: Invoke, verb: str) -> None:
    result = invoke("queue", verb, "99")
    assert result.exit_code == 1
    assert result.stderr.endswith("gateway: there is no delivery 99\n")


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize(
    ("verb", "done"),
    [("retry", "retried"), ("hold", "held"), ("release", "released"), ("discard", "discarded")],
)
def test_a_filter_that_matches_nothing_says_so_alike(invoke: Invoke, verb: str, done: str) -> None:
    result = invoke("queue", verb, "--sop-instance-uid", "9.9.9", answer="y\n")
    assert (result.exit_code, result.stdout) == (0, f"0 deliveries {done}\n")
    assert result.stderr == "nothing fits; see `gateway queue list`\n"


@pytest.mark.usefixtures("deliveries")
def test_a_state_that_does_not_allow_it_is_named_beside_what_was_done(invoke: Invoke) -> None:
    result = invoke("queue", "release", "1", "3", "--to", "pacs")
    assert (result.exit_code, result.stdout) == (1, "1 delivery released to pacs (1 held without a destination)\n")
    assert "delivery 3 is pending: `release` is for those that are held" in result.stderr


@pytest.mark.usefixtures("deliveries")
def test_the_log_says_who_did_what(invoke: Invoke) -> None:
    with capture_logs() as logs:
        assert invoke("queue", "hold", "3", "4").exit_code == 0
        assert invoke("queue", "release", "--destination", "old", "--to", "pacs").exit_code == 0
    held, released = logs
    assert {key: held[key] for key in ("event", "verb", "uid", "filter", "deliveries", "is_complete", "to")} == {
        "event": "queue_administered",
        "verb": "hold",
        "uid": os.getuid(),
        "filter": {"ids": (3, 4)},
        "deliveries": 2,
        "is_complete": True,
        "to": "",
    }
    assert (released["filter"], released["to"], released["held_for"]) == ({"destination": "old"}, "pacs", {"old": 1})
    assert datetime.fromisoformat(held["began_at"]).tzinfo is not None


BROKEN_ROUTE = GOOD.replace("to: [pacs]", "to: [pax]")
BROKEN_PROCESS = {
    "wrong setting": GOOD.replace("{sqlite: queue.db}", "{sqlite: 5}"),
    "variable that is not set": GOOD.replace("queue.db", "${NOWHERE}"),
    "not YAML": GOOD + "]",
}


@pytest.mark.usefixtures("deliveries")
def test_a_broken_route_does_not_hide_the_queue(invoke: Invoke) -> None:
    assert invoke("queue", "list", rules=BROKEN_ROUTE).output == invoke("queue", "list").output
    assert "1 delivery held" in invoke("queue", "hold", "3", rules=BROKEN_ROUTE).output
    refused = invoke("queue", "release", "3", "--to", "pacs", rules=BROKEN_ROUTE)
    assert refused.exit_code == 78, "peers are read from rules without errors only"
    assert "1 delivery released" in invoke("queue", "release", "3", rules=BROKEN_ROUTE).output


@pytest.mark.usefixtures("deliveries")
@pytest.mark.parametrize("rules", BROKEN_PROCESS.values(), ids=BROKEN_PROCESS)
def test_the_queue_is_never_guessed(invoke: Invoke, rules: str) -> None:
    assert invoke("queue", "list", rules=rules).exit_code == 78


def test_password_makes_a_line_for_a_password_file(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["password", "ct1"], input="s3cr3t\r\nnot this\n")
    assert done.exit_code == 0
    assert list(parse(done.stdout.encode())) == ["ct1"]
    assert "s3cr3t" not in done.output
    offered = OfferedIdentity("username_passcode", b"ct1", b"s3cr3t")
    path = tmp_path / "passwords.txt"
    path.write_text(done.stdout)
    assert PasswordFileVerifier(str(path)).verify(offered).user == "ct1"


@pytest.mark.parametrize(("user", "passcode"), [("ct1", ""), ("#ct1", "s3cr3t"), ("", "s3cr3t")])
def test_password_refuses_what_cannot_be_used(user: str, passcode: str) -> None:
    done = CliRunner().invoke(main, ["password", user], input=f"{passcode}\n")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("gateway: the ")
    assert "s3cr3t" not in done.stderr
