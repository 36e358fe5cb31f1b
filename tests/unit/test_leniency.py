"""Leniencies: counted, logged, documented; who is held to the letter."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from gateway import leniency
from gateway.config import load
from gateway.dimse.acceptor.admission import admit
from gateway.leniency import EVENT, LENIENCIES, METRIC, Leniency, tolerated
from gateway.lifecycle.log_summary import ROUTINE, SUMMARISED, LogSummary
from gateway.metrics import METRICS, Metrics
from gateway.model.association import AssociationFacts

PAGE = Path(__file__).parents[2] / "docs" / "leniency.md"
ROW = Leniency("PS3.5 §6.2", "it writes what it likes", "it is passed on", "wire")


@pytest.fixture
def a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(leniency.LENIENCIES, "odd", ROW)


def test_every_kind_stands_on_the_page_with_its_section() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
    assert rows == {name: row.section for name, row in LENIENCIES.items()}


@pytest.mark.usefixtures("a_row")
def test_each_use_is_counted_and_logged() -> None:
    metrics = Metrics()
    with capture_logs() as lines:
        tolerated(metrics, "odd", "ct1", message_id=7)
    assert b'gateway_leniencies_total{kind="odd",peer="ct1"} 1.0' in metrics.text()
    assert lines == [
        {
            "event": EVENT,
            "log_level": "info",
            "peer": "ct1",
            "kind": "odd",
            "what": ROW.what,
            "then": ROW.then,
            "section": ROW.section,
            "message_id": 7,
        }
    ]
    assert METRIC in {metric.name for metric in METRICS}


def test_what_is_not_in_the_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        tolerated(Metrics(), "no_such_kind", "ct1")


def test_log_lines_are_summarised_by_peer_and_kind() -> None:
    assert EVENT in SUMMARISED
    summary = LogSummary(now=lambda: 0.0)
    for kind in ("odd", "queer"):
        whole = 0
        for _ in range(ROUTINE + 5):
            try:
                summary(None, "info", {"event": EVENT, "level": "info", "peer": "ct1", "kind": kind})
                whole += 1
            except structlog.DropEvent:
                pass
        assert whole == ROUTINE, kind


SITE = """
gateway: {{ae_title: GATEWAY, listeners: [{{port: 0}}], admit: any{gateway}}}
peers:
  ct1: {{ae_title: CT1, may: [store]{peer}}}
unmatched: hold
"""


@pytest.mark.parametrize(
    ("gateway", "peer", "strict"),
    [
        pytest.param("", "", {"ct1": False, "": False}, id="nobody"),
        pytest.param(", strict: true", "", {"ct1": True, "": True}, id="the gateway"),
        pytest.param("", ", strict: true", {"ct1": True, "": False}, id="the peer"),
        pytest.param(", strict: true", ", strict: false", {"ct1": False, "": True}, id="all but the peer"),
    ],
)
def test_who_is_held_to_the_letter(gateway: str, peer: str, strict: Mapping[str, bool], tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE.format(gateway=gateway, peer=peer))
    table = load(tmp_path, {}).table
    assert table is not None
    assert {name: table.is_strict(name) for name in ("ct1", "")} == strict
    for title, name in (("CT1", "ct1"), ("STRANGER", "")):
        admitted = admit(AssociationFacts(title, "GATEWAY", "10.0.0.1"), table.settings, table.peers)
        assert admitted.is_strict is strict[name]
