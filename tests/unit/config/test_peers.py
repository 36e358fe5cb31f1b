"""Peers: settings that have no effect beside others."""

from __future__ import annotations

from pathlib import Path

from gateway.config import load

RULES = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0}]}
unmatched: hold
peers:
  ct:
    ae_title: CT
    may: [store]
    accept: {transfer_syntaxes: [ExplicitVRLittleEndian], prefer: [RLELossless, ExplicitVRLittleEndian]}
"""


def test_what_is_preferred_and_not_accepted_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(RULES)
    found = load(tmp_path / "site.yaml", {})
    (problem,) = found.problems
    assert (problem.mark.line, problem.code) == (8, "no-effect")
    assert "not among the `transfer_syntaxes` that are accepted" in problem.message
