"""A file against its schema alone, as an editor checks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.schema_check import MOST_CHARACTERS, check_by_schema

ROOT = Path(__file__).parents[3]


def problems(tmp_path: Path, text: str, name: str = "site.yaml") -> list[str]:
    path = tmp_path / name
    path.write_text(text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in check_by_schema(path)]


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_site_is_right(path: Path) -> None:
    assert check_by_schema(path) == ()


def test_references_are_left_as_they_are(tmp_path: Path) -> None:
    assert problems(tmp_path, "peers: {a: {ae_title: '${TITLE}', enabled: '${ON}', address: '${file:/no/such}'}}") == []


def test_an_error_stands_at_its_place(tmp_path: Path) -> None:
    assert problems(tmp_path, "peers:\n  a: {ae_title: 5, addres: 'a:1', may: [stoer]}\n") == [
        "site.yaml:2:6: error: schema-additionalProperties: Additional properties are not allowed ('addres' was "
        "unexpected)",
        "site.yaml:2:17: error: schema-type: 5 is not of type 'string'",
        "site.yaml:2:41: error: schema-enum: 'stoer' is not one of ['echo', 'find', 'get', 'move', 'store']",
    ]


def test_tests_have_a_schema_of_their_own(tmp_path: Path) -> None:
    assert problems(tmp_path, "tests: []", "a.test.yaml") == [
        "a.test.yaml:1:8: error: schema-minItems: [] should be non-empty"
    ]


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "peers: [\n")
    assert problem.startswith("site.yaml:2:1: error: syntax: ")
    assert problems(tmp_path, "") == []


def test_a_message_is_not_endless(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"unmatched: {'x' * 9999}")
    assert len(problem) < MOST_CHARACTERS + 100
