"""Ages that `gateway queue` shows, and filters by: of the queue's own time, never below 0."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.common.steady_clock import SteadyClock
from gateway.spool.lock import QueueLock
from gateway.sqlite.store import SQLiteStore
from tests.support.samples import TO_PACS, instance

RULES = """\
gateway: {ae_title: GATEWAY, listeners: [{port: 11112}], admit: any}
peers: {pacs: {address: "127.0.0.1:104"}}
routes: [{name: all, to: [pacs]}]
unmatched: hold
"""


def rules_of(folder: Path, ages_s: list[float], noted_s_ago: float) -> Path:
    """Rules, and their queue: its time was written `noted_s_ago`; a delivery of each of the ages in real seconds."""
    (folder / "rules.yaml").write_text(RULES)
    (folder / "var").mkdir()
    now = datetime.now(UTC)
    clock = SteadyClock(lambda: now - timedelta(seconds=noted_s_ago), lambda: 0.0)
    with contextlib.closing(SQLiteStore(folder / "var/gateway.db", clock=clock)) as queue:
        for number, age_s in enumerate(ages_s, 1):
            with queue.transaction():
                queue.deliveries.accept([(instance(number), [TO_PACS])], now - timedelta(seconds=age_s))
    return folder / "rules.yaml"


def shown(rules: Path, *options: str) -> list[int]:
    """The ages of what is listed, in seconds."""
    result = CliRunner().invoke(main, ["queue", "list", "--rules", str(rules), "--format", "json", *options])
    assert result.exit_code == 0, result.output
    return [each["age_s"] for each in json.loads(result.stdout)]


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ages_go_on_since_the_last_note_while_a_gateway_runs(at_work: Path) -> None:
    rules = rules_of(at_work, [3000.0, 20.0], noted_s_ago=30.0)
    lock = QueueLock(at_work / "var/gateway.db")
    old, young = shown(rules)
    assert 3000 <= old < 3600
    assert 20 <= young <= 20 + 31, "the 30 seconds that the note is old, and what this test takes"
    assert shown(rules, "--older-than", "10 s") == pytest.approx([old, young], abs=60)
    assert len(shown(rules, "--newer-than", "10 min")) == 1
    lock.release()
    assert shown(rules)[1] == 0, "no gateway runs: the time is the one that was last written"


def test_no_age_is_below_0(at_work: Path) -> None:
    rules = rules_of(at_work, [0.0, 29.7], noted_s_ago=30.0)
    assert shown(rules) == [0, 0]
    result = CliRunner().invoke(main, ["queue", "list", "--rules", str(rules)])
    assert result.stdout.count(" 0 s ") == 2
    assert "-0 s" not in result.stdout
