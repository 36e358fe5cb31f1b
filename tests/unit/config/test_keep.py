"""`keep` of routes and peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.delivery.keeping import keep_by_rule

RULES = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0}], admit: any, spool: {retention: 1 h}}
unmatched: hold
peers: {pacs: {ae_title: PACS, address: "pacs:104"%s}}
routes: [{name: all, to: [pacs]%s}]
"""


def loaded(folder: Path, peer: str = "", route: str = "") -> tuple[float, float, list[str]]:
    (folder / "site.yaml").write_text(RULES % (peer, route))
    found = load(folder / "site.yaml", {})
    assert found.table is not None, found.problems
    by_rule = keep_by_rule(found.table.routes)
    return found.table.peers["pacs"].keep_s, by_rule.get("all", 0.0), [str(each) for each in found.problems]


def test_both_say_it_and_without_it_nothing_is_kept(tmp_path: Path) -> None:
    assert loaded(tmp_path) == (0.0, 0.0, [])
    assert loaded(tmp_path, ", keep: 7 d", ", keep: 36 h") == (7 * 86400.0, 36 * 3600.0, [])


@pytest.mark.parametrize(("peer", "route"), [(", keep: 1 h", ""), ("", ", keep: 0 s")])
def test_a_time_that_retention_covers_is_reported(tmp_path: Path, peer: str, route: str) -> None:
    (problem,) = loaded(tmp_path, peer, route)[2]
    assert "keeps nothing for longer than `gateway.spool.retention` does, which is 1 h" in problem


def test_a_peer_that_gets_nothing_keeps_nothing(tmp_path: Path) -> None:
    rules = RULES % ("", "")
    (tmp_path / "site.yaml").write_text(
        rules.replace("peers: {", "peers: {ct: {ae_title: CT, may: [store], keep: 7 d}, ")
    )
    (problem,) = load(tmp_path / "site.yaml", {}).problems
    assert "`keep` means nothing for a peer without `address`" in str(problem)


def test_a_word_is_no_time(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(RULES % (", keep: forever", ""))
    (problem,) = load(tmp_path / "site.yaml", {}).problems
    assert "'forever'" in str(problem) or "forever" in str(problem)
