"""Peers, groups and identity methods of a configuration."""

from __future__ import annotations

from pathlib import Path

from tests.support.rules_of_site import loaded, messages


def test_disabled_peers_are_left_out_of_peers_and_groups(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, "groups: {both: {all: [pacs, old]}, none: {all: [old]}}\nroutes: [{name: r, to: [both]}]\n"
    )
    assert found.table is not None
    assert set(found.table.peers) == {"pacs", "ct"}
    assert {name: group.members for name, group in found.table.groups.items()} == {"both": ("pacs",)}


def test_the_title_of_a_disabled_requestor_stays_reserved(tmp_path: Path) -> None:
    found = loaded(tmp_path, "  mr: {ae_title: MR, may: [store], enabled: false}\nroutes: [{name: r, to: [pacs]}]\n")
    assert found.table is not None
    assert found.table.reserved_ae_titles == {"MR"}


def test_a_group_has_a_name_of_its_own(tmp_path: Path) -> None:
    rules = "groups: {pacs: {all: [pacs]}}\n"
    codes = {code for _line, code, _message in messages(loaded(tmp_path, rules))}
    assert "duplicate-name" in codes
