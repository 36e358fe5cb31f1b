"""YAML text → located tree: the YAML 1.2 core schema, places, and bounds."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from yaml.scanner import ScannerError

from gateway.config import parse as parser
from gateway.config.findings import Findings
from gateway.config.parse import parse, resolve_plain
from gateway.config.tree import MappingNode, Node, Place, lossless, plain
from gateway.model.problem import Mark
from tests.support.effort import processor_time_below

FILE = Path("/rules/a.yaml")


def read(text: str | bytes, environ: dict[str, str] | None = None) -> tuple[Node | None, list[str]]:
    findings = Findings()
    content = text.encode() if isinstance(text, str) else text
    node = parse(content, FILE, "a.yaml", environ or {}, findings)
    return node, [str(problem) for problem in findings.sorted()]


def values(text: str | bytes) -> object:
    node, problems = read(text)
    assert problems == []
    return None if node is None else plain(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00100010", "00100010"),
        ("0", 0),
        ("104", 104),
        ("-5", -5),
        ("+5", 5),
        ("007", "007"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2026-11-21", "2026-11-21"),
        ("NO", "NO"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("01.5", "01.5"),
        ("1.2.840.10008.1.2", "1.2.840.10008.1.2"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        (".", "."),
        ("-", "-"),
        ("+", "+"),
        ("e5", "e5"),
        ("9" * 41, "9" * 41),
        ("PACS", "PACS"),
    ],
)
def test_unquoted_scalars_follow_the_core_schema(text: str, value: object) -> None:
    resolved = resolve_plain(text)

    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: '104'", {"a": "104"}),
        ('a: "true"', {"a": "true"}),
        ("a: |\n  104\n", {"a": "104\n"}),
        ("a: !!str 104", {"a": "104"}),
        ("00100010: x", {"00100010": "x"}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("\ufeffa: 1", {"a": 1}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("{}", {}),
        ("# only a comment\n", None),
        ("", None),
    ],
)
def test_trees(text: str, value: object) -> None:
    assert values(text) == value


def test_scalars_keep_their_spelling_where_text_is_wanted() -> None:
    node, _ = read("a: [1.50, 1.5, +5, 5, true, 1e3]")

    assert node is not None
    assert lossless(node) == {"a": ["1.50", 1.5, "+5", 5, True, "1e3"]}


def test_every_value_knows_its_place() -> None:
    node, _ = read("# KÖLN\npeers:\n  köln: {ae_title: KOELN, hosts: [10.0.0.1, 10.0.0.2]}\n")

    assert isinstance(node, MappingNode)
    root = Place(node, node.mark)
    assert root.at("peers").holder == Mark("a.yaml", 2, 1)
    assert root.at("peers", "köln").holder == Mark("a.yaml", 3, 3)
    assert root.at("peers", "köln", "ae_title").mark == Mark("a.yaml", 3, 20)
    assert root.at("peers", "köln", "hosts", 1).mark == Mark("a.yaml", 3, 45)
    assert root.at("peers", "nowhere", "at", "all") == root.at("peers")


def test_a_file_over_the_limit_is_not_read() -> None:
    _, problems = read(b"#" * (parser.FILE_LIMIT_BYTES + 1))

    assert problems == ["a.yaml:1:1: error: file-too-large: more than 4 MiB; spread it over several files"]


def test_an_alias_bomb_costs_nothing() -> None:
    lines = ["x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 30)]
    with processor_time_below(2):
        _, problems = read("\n".join(lines))

        assert [problem.split(": ")[2] for problem in problems] == ["too-many-values"]


class BoundedLoader(yaml.SafeLoader):
    """Refuses more than 60 open brackets in its scanner, ahead of the parser, as libyaml does above 1 000."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= 60:
            raise ScannerError("while increasing flow level", None, "exceeded maximum nesting depth", self.get_mark())
        super().fetch_flow_collection_start(token)


LOADERS = {"as installed": parser.LOADER, "in Python": yaml.SafeLoader, "bounded by itself": BoundedLoader}
OPENINGS = {
    "lists": ("", "[", "1:41"),
    "mappings": ("", "{a: ", "1:161"),
    "lists and mappings": ("", "[{a: ", "1:101"),
    "block lists": ("", "- ", "1:81"),
    "keys": ("", "? ", "1:81"),
    "after other text": ("# köln\r\nb: [🙂]\r\nc: ", "[", "3:43"),
    "after a block": ("- - - ", "[", "1:44"),
}


@pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize("opening", OPENINGS)
def test_deep_nesting_ends_early(opening: str, loader: Any) -> None:
    before, repeated, place = OPENINGS[opening]
    findings = Findings()
    started_s = time.process_time()

    parse((before + repeated * 100_000).encode(), FILE, "a.yaml", {}, findings, loader)

    problems = [str(problem) for problem in findings.sorted()]
    assert problems == [f"a.yaml:{place}: error: too-deep: nested more than 40 levels deep"]
    assert time.process_time() - started_s < 10


def test_mistakes_before_the_deep_place_are_reported_once() -> None:
    findings = Findings()

    parse(b"a: 1\na: 2\nb: " + b"[" * 2_000, FILE, "a.yaml", {}, findings, BoundedLoader)

    assert [(problem.mark.line, problem.code) for problem in findings.sorted()] == [
        (2, "duplicate-key"),
        (3, "too-deep"),
    ]


def test_the_first_of_two_equal_keys_stays() -> None:
    node, problems = read("a: 1\nb: 2\na: 3\n")

    assert node is not None
    assert plain(node) == {"a": 1, "b": 2}
    assert problems == ["a.yaml:3:1: error: duplicate-key: `a` stands here twice; the first is at 1:1"]


def test_a_secret_is_not_shown_by_the_tree() -> None:
    node = parse(b"key: ${SECRET}", Path("rules.yaml"), "rules.yaml", {"SECRET": "s3cr3t"}, Findings())

    assert "s3cr3t" not in repr(node)
    assert "${SECRET}" in repr(node)
