"""Names of nothing are wrong usage of `gateway queue`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.sqlite.store import SQLiteStore

RULES = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
peers: {pacs: {ae_title: PACS, address: "127.0.0.1:104"}}
routes: [{name: all, to: [pacs]}]
unmatched: hold
"""


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue with nothing in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "var").mkdir()
    with contextlib.closing(SQLiteStore(tmp_path / "var/gateway.db")):
        pass
    return tmp_path / "rules.yaml"


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (RULES, "'al' is no route, and nothing is queued by it (did you mean `all`?)"),
        (RULES.replace("to: [pacs]", "to: [nobody]"), "'al' cannot be looked up in rules with errors"),
    ],
    ids=["good rules", "rules with errors"],
)
def test_an_unknown_rule_is_wrong_usage(rules: Path, site: str, expected: str) -> None:
    rules.write_text(site)
    for verb in (["list"], ["retry"]):
        result = CliRunner().invoke(main, ["queue", *verb, "--rules", str(rules), "--rule", "al"])
        assert result.exit_code == 2, result.output
        assert expected in " ".join(result.stderr.split())


@pytest.mark.parametrize("rule", ["all", "unmatched", "(loop)"])
def test_a_rule_that_made_nothing_is_known(rules: Path, rule: str) -> None:
    result = CliRunner().invoke(main, ["queue", "list", "--rules", str(rules), "--rule", rule])
    assert (result.exit_code, result.stderr) == (0, "nothing\n")


def test_a_peer_that_nothing_can_be_sent_to_is_no_target(rules: Path) -> None:
    result = CliRunner().invoke(main, ["queue", "release", "--all", "--to", "pac", "--rules", str(rules)])
    assert result.exit_code == 2
    assert "'pac' is no destination (did you mean `pacs`?) (known: pacs)" in " ".join(result.stderr.split())
