"""Commands of a user who may not see what the gateway's user keeps: none ends by a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.cli.access import may_look_at, require_access
from gateway.cli.status import why_nothing_answers
from gateway.lifecycle import exit_code
from gateway.model.settings import Settings, Spool
from gateway.ports.errors import ConfigurationError
from gateway.sqlite.inspection import open_read_only
from gateway.stores.opening import open_store

RULES = """
gateway:
  ae_title: GATEWAY
  listeners: [{port: 0}]
  spool: {path: %(var)s/spool}
  queue: {sqlite: %(var)s/gateway.db}
  http: {address: "127.0.0.1:9"}
unmatched: hold
query_retrieve: {sources: [local]}
"""


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of another user with 0700: nothing below it may even be looked at. Tests may run as root."""
    folder = tmp_path / "var"
    (folder / "spool" / "segments").mkdir(parents=True)
    store = open_store(Settings("GATEWAY", (), Spool(str(folder / "spool")), str(folder / "gateway.db")))
    store.close()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "site.yaml").write_text(RULES % {"var": folder})
    real = os.stat

    def refuse(path: object, *more: object, **named: object) -> os.stat_result:
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(f"{folder}/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return real(path, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["queue", "list"],
        ["queue", "retry", "1"],
        ["check"],
        ["rebuild"],
        ["explain", "--delivery", "1"],
        ["find", "local", "PatientID="],
    ],
    ids=" ".join,
)
def test_another_user_is_told_whose_it_is(var: Path, words: list[str]) -> None:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == exit_code.CONFIGURATION, done.output
    assert f"queue {var}/gateway.db: this user may not read and write it" in done.output
    assert "sudo -u USER gateway" in done.output


def test_what_cannot_be_seen_is_not_said_to_be_away(var: Path) -> None:
    spool = Spool(str(var / "spool"))
    said = why_nothing_answers(Settings("GATEWAY", (), spool, str(var / "gateway.db")))
    assert "whether it runs cannot be seen by this user" in said
    elsewhere = Spool(str(var.parent / "none"))
    assert "no gateway holds the spool" in why_nothing_answers(Settings("GATEWAY", (), elsewhere, "none.db"))


def test_a_database_that_may_not_be_looked_at_is_no_fault_of_ours(var: Path) -> None:
    with pytest.raises(ConfigurationError, match="Permission denied"):
        open_read_only(var / "gateway.db")


def test_what_is_not_there_is_said_elsewhere(tmp_path: Path) -> None:
    require_access(tmp_path / "nowhere", is_read_only=True)
    require_access(tmp_path, is_read_only=False, noun="spool")
    assert may_look_at(tmp_path / "nowhere")
