"""A command imports what it needs: what the others need costs it nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from gateway.cli.commands import COMMANDS, main
from gateway.cli.lazy import LazyGroup
from gateway.sqlite.store import SQLiteStore

SITE = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 11112, address: 127.0.0.1}]
  spool: {path: spool}
  queue: {sqlite: queue.db}
  http: {address: 127.0.0.1:9}
  admit: any
peers:
  pacs: {ae_title: PACS, address: "127.0.0.1:104"}
routes:
  - {name: heads, when: {attribute: {select: PatientName, matches: "^Nobody"}}, to: [pacs]}
unmatched: hold
"""
SCRIPT = """
import json, sys
from gateway.__main__ import main
try:
    main(sys.argv[1:], prog_name="gateway")
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
EVERYTHING = {"pydicom", "pynetdicom", "jsonschema", "aiohttp", "yaml", "msgspec", "apsw", "jinja2", "re2", "structlog"}
RULES = {"jsonschema", "jinja2", "re2", "gateway.routing", "gateway.config.compile"}
NETWORK = {"pynetdicom", "aiohttp", "gateway.dimse", "gateway.app"}


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--version"], EVERYTHING | RULES | NETWORK | {"asyncio"}),
        (["--help"], EVERYTHING | RULES | NETWORK | {"asyncio"}),
        (["queue", "list"], RULES | NETWORK),
        (["status"], RULES | NETWORK | {"pydicom", "apsw"}),
        (["reload"], RULES | NETWORK | {"pydicom", "apsw"}),
        (["check"], RULES | NETWORK),
        (["validate"], NETWORK | {"jsonschema"}),
        (["config", "show"], NETWORK),
        (["password", "--help"], RULES | NETWORK | {"pydicom", "apsw", "yaml"}),
        (["init", "--help"], RULES | NETWORK | {"pydicom", "apsw"}),
        (["doctor", "--timeout", "1"], {"aiohttp", "gateway.app", "jsonschema"}),
        (["echo", "127.0.0.1:9"], {"aiohttp", "gateway.app", "apsw"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(tmp_path: Path, arguments: list[str], without: set[str]) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "site.yaml").write_text(SITE)
    SQLiteStore(str(tmp_path / "queue.db")).close()
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert imported & without == set()


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    assert isinstance(main, LazyGroup)
    context = click.Context(main, info_name="gateway")
    for name, lazy in COMMANDS.items():
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert lazy.help == command.get_short_help_str(200)


@pytest.mark.quick
def test_help_lists_all_commands() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    rows = [
        line.split()[0]
        for line in shown.partition("Commands:")[2].partition("Exit codes")[0].splitlines()
        if line.strip()
    ]
    assert rows == sorted(COMMANDS)
    assert max(map(len, shown.partition("Exit codes")[0].splitlines())) <= 80


@pytest.mark.quick
def test_help_of_a_group_lists_those_that_are_here_and_those_that_are_imported_later() -> None:
    shown = CliRunner().invoke(main, ["queue", "--help"]).stdout
    rows = [line.split() for line in shown.partition("Commands:")[2].splitlines() if line.strip()]
    assert {"correct", "discard", "export", "list", "pause"} <= {row[0] for row in rows}
    assert max(map(len, shown.partition("Examples")[0].splitlines())) <= 80


@pytest.mark.quick
def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["quue"])
    assert result.exit_code == 2
    assert "No such command 'quue'" in result.stderr


@pytest.mark.quick
@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "re", ["rebuild", "reload"]),
        ([], "--v", ["--version"]),
        (["queue"], "re", ["release", "resume", "retarget", "retry"]),
        (["validate"], "--str", ["--strict"]),
    ],
)
def test_commands_and_options_are_completed(words: list[str], incomplete: str, expected: list[str]) -> None:
    found = ShellComplete(main, {}, "gateway", "_GATEWAY_COMPLETE").get_completions(words, incomplete)
    assert sorted(item.value for item in found) == expected
