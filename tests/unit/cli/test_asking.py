"""`explain`, `test`, `config show` and `schema` without a gateway: exit codes and outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.support.caller import write_file

Invoke = Callable[..., Result]
SITE = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112, address: 127.0.0.1}], admit: any}
peers: {pacs: {ae_title: PACS, address: "127.0.0.1:1"}}
routes: [{name: images, when: {modality: [MR]}, to: [pacs]}]
unmatched: hold
"""
PASSES = "tests: [{name: a, attributes: {Modality: MR}, expect: {destinations: [pacs]}}]\n"
FAILS = PASSES.replace("[pacs]", "[]")
SITES = {
    "rules": (SITE, ""),
    "passes": (SITE, PASSES),
    "fails": (SITE, FAILS),
    "wrong": (SITE, PASSES.replace("expect", "expct")),
    "broken": (SITE.replace("to: [pacs]", "to: [pax]"), PASSES),
}


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run `gateway …` in a folder with the sites above, an object and a text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_RULES", raising=False)
    for name, (rules, tests) in SITES.items():
        Path(name).mkdir()
        (Path(name) / "site.yaml").write_text(rules)
        if tests:
            (Path(name) / "site.test.yaml").write_text(tests)
    write_file(tmp_path, "1.2.3")
    Path("text.dcm").write_text("no DICOM")
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


EXPLAIN = ("explain", "--calling-ae", "MR1")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("test", "passes"), 0),
        (("test", "passes/site.test.yaml"), 0),
        (("test", "passes/site.yaml"), 0),
        (("test", "passes", "-k", "nothing"), 1),
        (("test", "fails"), 1),
        (("test", "fails", "--format", "junit"), 1),
        (("test", "wrong", "--format", "json"), 1),
        (("test", "rules"), 1),
        (("test", "nowhere"), 1),
        (("test", "broken"), 78),
        (("test", "passes", "--format", "xml"), 2),
        (("config", "show"), 0),
        (("config", "show", "--section", "peers", "--format", "json"), 0),
        (("config", "show", "--section", "nowhere"), 2),
        (("config", "show", "broken"), 78),
        (("schema", "--tests"), 0),
        (("schema", "show", "--docs"), 0),
        (("schema", "--tests", "--docs"), 2),
        ((*EXPLAIN, "1.2.3.dcm"), 0),
        ((*EXPLAIN, "1.2.3.dcm", "--verify", "pacs"), 0),
        ((*EXPLAIN, "1.2.3.dcm", "--verify", ""), 1),
        ((*EXPLAIN, "1.2.3.dcm", "--verify", "pacs,vna"), 1),
        ((*EXPLAIN, "1.2.3.dcm", "text.dcm"), 1),
        ((*EXPLAIN, "rules"), 1),
        ((*EXPLAIN, "nowhere.dcm"), 2),
        ((*EXPLAIN, "1.2.3.dcm", "--rules", "broken"), 78),
        ((*EXPLAIN, "1.2.3.dcm", "--delivery", "1"), 2),
        ((*EXPLAIN, "--delivery", "1"), 1),
        (("explain", "1.2.3.dcm"), 2),
        (("explain",), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_exit_codes(invoke: Invoke, arguments: tuple[str, ...], expected: int) -> None:
    result = invoke(*arguments)
    assert result.exit_code == expected, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_folder_is_summed_up(invoke: Invoke) -> None:
    folder = Path("study")
    folder.mkdir()
    for number in range(5):
        write_file(folder, f"1.2.3.{number}", modality="MR" if number else "SR")
    (folder / "readme.txt").write_text("no DICOM file")
    done = invoke(*EXPLAIN, folder, "--limit", "1")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("admitted as a stranger") == 1
    assert done.stdout.splitlines()[-3:] == ["5 objects:", "       4  pacs", "       1  held"]
    verified = invoke(*EXPLAIN, folder, "--limit", "0", "--verify", "pacs")
    assert verified.exit_code == 1
    assert "1.2.3.0.dcm: expected pacs, would go nowhere (held): pacs would not get it" in verified.stderr


def test_json_of_a_folder_is_bounded(invoke: Invoke) -> None:
    folder = Path("study")
    folder.mkdir()
    for number in range(5):
        write_file(folder, f"1.2.3.{number}")
    found = json.loads(invoke(*EXPLAIN, folder, "--limit", "2", "--format", "json").stdout)
    assert len(found["objects"]) == 2
    assert found["summary"] == {
        "objects": 5,
        "shown": 2,
        "not_explained": 0,
        "mismatches": 0,
        "outcomes": {"pacs": 5},
    }


def test_a_section_alone(invoke: Invoke) -> None:
    assert invoke("config", "show", "--section", "unmatched").stdout == "unmatched: hold  # rules/site.yaml:4\n"
    found = json.loads(invoke("config", "show", "--section", "unmatched", "--format", "json").stdout)
    assert found == {"configuration": {"unmatched": "hold"}, "origins": {"/unmatched": "rules/site.yaml:4"}}


def test_problems_of_rules_and_of_tests_are_reported(invoke: Invoke) -> None:
    assert "broken/site.yaml:3:54: error: unknown-destination" in invoke("test", "broken").stderr
    assert "did you mean `expect`" in invoke("test", "wrong").stdout
