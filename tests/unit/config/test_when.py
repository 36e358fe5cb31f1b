"""The condition of a rule: what is said of it, and where its parts stand."""

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


ROUTE = "routes: [{name: all, to: pacs, when: %s}]\n".replace("to: pacs", "to: [pacs]")


def test_an_empty_condition_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "routes: [{name: all, to: [pacs], when: }]\n"))
    assert problem[1:] == ("wrong-type", "expected a condition, found nothing; leave `when` out to mean always")


def test_an_unknown_listener_is_named_wherever_it_stands(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, ROUTE % "{any: [{listener: [iner, inner]}, {not: {listener: outside}}]}"))
    assert [(code, message) for _line, code, message in found] == [
        ("unknown-listener", "no listener is named `iner` (did you mean `inner`?)"),
        ("unknown-listener", "no listener is named `outside`; there are `inner`"),
    ]


def test_a_named_condition_is_checked_where_it_stands(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, ROUTE % "{condition: c}" + "conditions:\n  c: {listener: iner}\n"))
    assert [line for line, code, _message in found if code == "unknown-listener"] == [3]


def test_each_key_of_a_condition_has_its_place(tmp_path: Path) -> None:
    found = loaded(tmp_path, "routes:\n- name: all\n  to: [pacs]\n  when:\n    all:\n    - modality: [MR]\n")
    assert found.table is not None
    marks = found.table.routes[0].marks
    first = SITE.count("\n")
    assert {path: mark.line - first for path, mark in marks.items()} == {("all",): 5, ("all", 0, "modality"): 6}
