"""The JSON Schema: committed as it is made, valid, and useful in an editor."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.config import load
from gateway.config.parse import resolve_plain
from gateway.config.schema import schema

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "schemas" / "gateway.schema.json"
SITE = sorted(path for path in (ROOT / "rules").glob("*.yaml") if not path.name.endswith(".test.yaml"))


class EditorLoader(yaml.SafeLoader):
    """What an editor reads: YAML 1.2 scalars, no substitution."""


def scalar(_: EditorLoader, node: yaml.ScalarNode) -> object:
    return resolve_plain(node.value) if node.style is None else node.value


EditorLoader.yaml_implicit_resolvers = {}
EditorLoader.add_constructor("tag:yaml.org,2002:str", scalar)


def read(text: str) -> Any:
    return yaml.load(text, Loader=EditorLoader)


def everything(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for below in part.values():
            yield from everything(below)
    if isinstance(part, list):
        for below in part:
            yield from everything(below)


def test_the_committed_schema_is_the_generated_one() -> None:
    generated = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"

    assert COMMITTED.read_text() == generated, "run `gateway schema > schemas/gateway.schema.json`"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_there_is_no_bare_one_of_and_every_reference_leads_somewhere() -> None:
    whole = schema()
    for part in everything(whole):
        assert "oneOf" not in part
        if isinstance(part.get("$ref"), str):
            assert part["$ref"].removeprefix("#/$defs/") in whole["$defs"]


@pytest.mark.parametrize("path", SITE, ids=lambda path: path.name)
def test_the_shipped_site_is_right_in_an_editor(path: Path) -> None:
    errors = [error.message for error in Draft202012Validator(schema()).iter_errors(read(path.read_text()))]

    assert errors == []
    assert path.read_text().startswith("# yaml-language-server: $schema=../schemas/gateway.schema.json\n")


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("peers: {a: {ae_title: A, address: 'a:104'}}", True),
        ("peers: {a: {ae_title: A, address: '${ADDRESS}'}}", True),
        ("peers: {a: {ae_title: A, adress: 'a:104'}}", False),
        ("peers: {a: {ae_title: SEVENTEEN-LETTERS}}", False),
        ("peers: {a: {enabled: '${ON:-false}'}}", True),
        ("peers: {a: {enabled: 'maybe'}}", False),
        ("peers: {a: {may: ['${MAY}']}}", True),
        ("peers: {a: {may: [stoer]}}", False),
        ("gateway: {listeners: [{port: '${PORT}'}]}", True),
        ("gateway: {listeners: [{port: 70000}]}", False),
        ("gateway: {listeners: [{}]}", False),
        ("gateway: {drain: 30 s}", True),
        ("gateway: {drain: 30}", False),
        ("gateway: {spool: {min_free: 5 Gigs}}", False),
        ("unmatched: '${UNMATCHED:-hold}'", True),
        ("unmatched: keep", False),
        ("routes: [{name: a, to: [b], when: {modality: [CT]}}]", True),
        ("routes: [{name: a, to: [b], when: {modalty: [CT]}}]", False),
        ("routes: [{name: a, to: [b], when: {all: [{not: {modalty: [CT]}}]}}]", False),
        ("routes: [{name: a, to: [b], then: [{sett: {}}]}]", False),
        ("routes: [{name: a}]", False),
        ("query_retrieve: {sources: 7}", False),
        ("query_retrieve: {relay: {worklist: [ris]}}", True),
        ("x-anchors: {whatever: [1]}", True),
        ("{}", True),
    ],
)
def test_what_an_editor_says(text: str, *, is_right: bool) -> None:
    assert Draft202012Validator(schema()).is_valid(read(text)) is is_right


def test_the_check_finds_whatever_the_editor_finds(tmp_path: Path) -> None:
    """The check is never more lenient than the schema on what is fully written out."""
    bad = Path(__file__).parents[2] / "golden" / "bad"
    validator = Draft202012Validator(schema())
    seen = 0
    for path in sorted(bad.glob("*.yaml")):
        try:
            tree = read(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(tree, dict) and not validator.is_valid(tree):
            seen += 1
            assert any(problem.severity == "error" for problem in load(path, {"SECRET": "x"}).problems), path.name
    assert seen > 25
