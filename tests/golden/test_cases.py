"""Files of tests: their mistakes with exact places, and what right ones say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.config.cases import files_of, read_cases
from gateway.config.parse import resolve_plain
from gateway.config.schema import tests_schema as schema_of_tests
from gateway.routing.language.attribute_path import parse
from tests.support.golden import FOLDER, check_golden
from tests.unit.config.test_effective import Loader

ROOT = Path(__file__).parents[2]
BAD = sorted((FOLDER / "cases").glob("*.test.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name.removesuffix(".test.yaml"))
def test_problems_are_exactly_these(path: Path) -> None:
    cases = read_cases(path)
    found = "".join(f"{problem}\n".replace(f"{path.parent}/", "") for problem in cases.problems)
    assert found
    check_golden(f"cases/{path.name.removesuffix('.test.yaml')}.expected.txt", found)


def test_what_a_test_says(tmp_path: Path) -> None:
    path = tmp_path / "a.test.yaml"
    path.write_text("""\
environment: {ON: yes, NUMBER: 5}
association: {calling_ae_title: CT1, listener: north}
tests:
  - name: one
    attributes: {PatientID: 007, Rows: 512}
    transfer_syntax: Implicit VR Little Endian
    received_at: 2026-11-21T10:00:00+01:00
    association: {calling_ae_title: CT2}
    expect:
      status: 0xA700
      destinations: []
      values: {PatientID: 007, ImageType: [A, B], StudyID: ""}
      at: {pacs: {absent: [StudyID], refused: true}}
  - {name: two, file: b/c.dcm, expect: {admitted: false}}
""")
    cases = read_cases(path)
    assert cases.problems == ()
    one, two = cases.cases
    assert cases.environment == {"ON": "yes", "NUMBER": "5"}
    assert one.attributes == {"PatientID": "007", "Rows": 512}
    assert one.transfer_syntax_uid == "1.2.840.10008.1.2"
    assert one.received_at is not None
    assert one.received_at.astimezone(UTC) == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert one.received_at.utcoffset() == timedelta(hours=1)
    assert one.association == {"calling_ae_title": "CT2", "remote_host": "127.0.0.1", "listener": "north"}
    assert one.expected.status == 0xA700
    assert one.expected.destinations == frozenset()
    assert one.expected.rules is None
    assert one.expected.kept.values == {
        parse("PatientID"): ("007",),
        parse("ImageType"): ("A", "B"),
        parse("StudyID"): (),
    }
    assert one.expected.at["pacs"].absent == (parse("StudyID"),)
    assert (one.expected.at["pacs"].is_refused, one.expected.is_admitted) == (True, True)
    assert (two.file, two.attributes, two.expected.is_admitted) == (tmp_path / "b/c.dcm", None, False)
    assert one.mark("expect", "at", "pacs", "absent", 0).line == 13


def test_which_files_go_with_which_rules(tmp_path: Path) -> None:
    for name in ("a.test.yaml", "site.yaml", "deep/b.test.yaml", ".hidden/c.test.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(rules: Path) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in files_of(rules)]

    assert names(tmp_path) == ["a.test.yaml", "deep/b.test.yaml"]
    assert names(tmp_path / "site.yaml") == ["a.test.yaml"]
    assert names(tmp_path / "deep/b.test.yaml") == ["deep/b.test.yaml"]


def test_the_committed_schema_is_the_generated_one() -> None:
    generated = json.dumps(schema_of_tests(), indent=2, ensure_ascii=False) + "\n"
    committed = ROOT / "schemas" / "test.schema.json"
    assert committed.read_text() == generated, "run `gateway schema --tests > schemas/test.schema.json`"


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.test.yaml")), ids=lambda path: path.name)
def test_the_shipped_tests_are_right_in_an_editor(path: Path) -> None:
    tree = yaml.load(path.read_text(), Loader=Loader)
    assert [error.message for error in Draft202012Validator(schema_of_tests()).iter_errors(tree)] == []
    assert path.read_text().startswith("# yaml-language-server: $schema=../schemas/test.schema.json\n")


def test_the_schema_takes_no_misspelt_setting() -> None:
    validator = Draft202012Validator(schema_of_tests())
    Draft202012Validator.check_schema(schema_of_tests())
    right = {"tests": [{"name": "a", "attributes": {}, "expect": {"status": "0x0000"}}]}
    assert validator.is_valid(right)
    assert not validator.is_valid({"tests": [{**right["tests"][0], "atributes": {}}]})
    assert not validator.is_valid({"tests": [{"name": "a", "attributes": {}, "expect": {"status": "0"}}]})


@pytest.mark.parametrize(("text", "value"), [("0x0000", "0x0000"), ("2026-11-21", "2026-11-21")])
def test_statuses_and_times_are_texts_without_quotes_too(text: str, value: str) -> None:
    assert resolve_plain(text) == value
