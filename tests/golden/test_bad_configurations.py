"""Every broken configuration of `tests/golden/bad` is answered with exactly the problems that stand beside it.

`NN-name.yaml` (or a folder `NN-name/`) goes with `NN-name.expected.txt`, one problem a line as it is printed.
"""

import re
from pathlib import Path

import pytest

from gateway.config import load, readers
from gateway.config.findings import Findings
from gateway.config.parse import parse
from gateway.config.tree import plain

BAD = Path(__file__).parents[1] / "golden" / "bad"
ENVIRON = {"SECRET": "s3cr3t-v4lue", "PACS_ADDRESS": "pacs.example.org:104"}
EXPECTED = sorted(BAD.glob("*.expected.txt"))
LINE = re.compile(r"[^:]+:\d+:\d+: (error|warning): [a-z0-9-]+: \S.*")


@pytest.fixture(autouse=True)
def _modes_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a working copy depend on who made it, and where."""
    monkeypatch.setattr(readers, "is_open_to_others", lambda path: False)


def configuration_of(expected: Path) -> Path:
    name = expected.name.removesuffix(".expected.txt")
    file = BAD / f"{name}.yaml"
    return file if file.exists() else BAD / name


def name_of(expected: Path) -> str:
    return expected.name.removesuffix(".expected.txt")


@pytest.mark.parametrize("expected", EXPECTED, ids=name_of)
def test_problems_are_exactly_these(expected: Path) -> None:
    loaded = load(configuration_of(expected), ENVIRON)

    printed = [str(problem).replace(f"{BAD}/", "") for problem in loaded.problems]

    assert printed == expected.read_text().splitlines()


@pytest.mark.parametrize("expected", EXPECTED, ids=name_of)
def test_an_error_leaves_nothing_to_run_with(expected: Path) -> None:
    loaded = load(configuration_of(expected), ENVIRON)

    has_errors = any(problem.severity == "error" for problem in loaded.problems)

    assert (loaded.table is None) is has_errors
    assert (loaded.settings is None) is has_errors


def test_there_are_enough_of_them_and_none_is_forgotten() -> None:
    configurations = {path for path in BAD.iterdir() if path.suffix != ".txt" and path.name != "tls"}

    assert {configuration_of(expected) for expected in EXPECTED} == configurations
    assert len(EXPECTED) >= 170
    assert sum(len(expected.read_text().splitlines()) > 2 for expected in EXPECTED) >= 20


@pytest.mark.parametrize("expected", EXPECTED, ids=name_of)
def test_every_line_has_a_place_and_a_code_and_no_secret(expected: Path) -> None:
    lines = expected.read_text().splitlines()

    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert [line for line in lines if "s3cr3t" in line or "v4lue" in line] == []


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_pure_parser_finds_the_same_mistakes(path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    found: list[list[tuple[int, str]]] = []
    trees = []
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        findings = Findings()
        node = parse(path.read_bytes(), path, path.name, ENVIRON, findings, loader)
        found.append([(problem.mark.line, problem.code) for problem in findings.sorted()])
        trees.append(None if node is None else plain(node))

    assert found[0] == found[1]
    assert trees[0] == trees[1]
