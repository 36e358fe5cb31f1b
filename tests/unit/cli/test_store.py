"""`gateway store`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gateway.cli.commands import main
from gateway.config import process_settings
from tests.support.migrating import filled

SITE = {"ae_title": "GATEWAY", "listeners": [{"port": 11112, "address": "127.0.0.1"}]}


def rules(folder: Path) -> Path:
    """Rules of a gateway on SQLite in this folder."""
    folder.mkdir()
    gateway = SITE | {"spool": {"path": str(folder / "spool")}, "queue": {"sqlite": str(folder / "queue.db")}}
    (folder / "site.yaml").write_text(yaml.safe_dump({"gateway": gateway, "unmatched": "hold"}))
    return folder


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["store", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_a_migration_from_the_first_look_to_the_way_back(tmp_path: Path) -> None:
    first, second = rules(tmp_path / "first"), rules(tmp_path / "second")
    settings = process_settings(first, {})
    assert settings is not None
    filled(settings, steps=8)
    sides = ("--from", first, "--to", second)
    code, out, _ = invoke("migrate", *sides, "--dry-run")
    assert code == 0
    assert "instances" in out
    assert out.endswith("nothing was changed\n")
    code, out, _ = invoke("migrate", *sides, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert found["before"] == found["after"]
    assert found["this_run"]["instances"] == found["before"]["instances"] > 0
    code, out, _ = invoke("migrate", *sides)
    assert code == 0
    assert "the same, compared" in out
    assert "the source is marked, and starts no more" in out
    code, _, err = invoke("migrate", "--from", first, "--to", rules(tmp_path / "third"))
    assert code == 78
    assert "it was migrated to" in err
    done = CliRunner().invoke(main, ["queue", "retry", "--rules", str(first), "--all"])
    assert (done.exit_code, "it was migrated to" in done.stderr) == (78, True)
    assert CliRunner().invoke(main, ["queue", "list", "--rules", str(first)]).exit_code == 0
    code, out, _ = invoke("reopen", first)
    assert code == 0
    assert "it may start again" in out
    assert invoke("reopen", first)[0] == 78


def test_objects_that_are_not_whole_are_printed_and_the_exit_code_says_so(tmp_path: Path) -> None:
    first, second = rules(tmp_path / "first"), rules(tmp_path / "second")
    settings = process_settings(first, {})
    assert settings is not None
    filled(settings, steps=8)
    for segment in (first / "spool" / "segments").iterdir():
        segment.write_bytes(bytes(segment.stat().st_size))
    code, out, _ = invoke("migrate", "--from", first, "--to", second)
    assert code == 1
    assert "its bytes have changed" in out
    assert "not whole, here as there" in out


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_both_sides_must_be_named(tmp_path: Path, option: str) -> None:
    code, _, err = invoke("migrate", option, tmp_path)
    assert code == 2
    assert "Missing option" in err
