"""Names of rules: each once, and none that the gateway uses itself."""

from __future__ import annotations

from pathlib import Path

from gateway.config import Loaded, load

SITE = """
gateway: {ae_title: GATEWAY, listeners: [{port: 0, name: inner}], admit: any}
unmatched: hold
peers:
  pacs: {ae_title: PACS, address: "pacs.example.org:104"}
  ct: {ae_title: CT, may: [store]}
  old: {ae_title: OLD, address: "old.example.org:104", enabled: false}
"""


def loaded(folder: Path, rules: str) -> Loaded:
    (folder / "site.yaml").write_text(SITE + rules)
    return load(folder, {})


def messages(found: Loaded) -> list[tuple[int, str, str]]:
    """Line below `SITE`, code and message."""
    first = SITE.count("\n")
    return [(one.mark.line - first, one.code, one.message) for one in found.problems if one.code != "unused-peer"]


def test_a_name_twice_says_where_the_first_is(tmp_path: Path) -> None:
    rules = "routes:\n- {name: a, to: [pacs], when: {modality: CT}}\n- {name: a, to: [pacs]}\n"
    (problem,) = messages(loaded(tmp_path, rules))
    assert problem[:2] == (3, "duplicate-name")
    assert f"site.yaml:{SITE.count(chr(10)) + 2}:10" in problem[2]


def test_the_name_of_what_no_route_wants_is_taken(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "routes: [{name: unmatched, to: [pacs]}]\n"))
    assert problem[1] == "reserved-name"
