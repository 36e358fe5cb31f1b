"""Names of rules: each once, and none that the gateway uses itself."""

from __future__ import annotations

from pathlib import Path

from tests.support.rules_of_site import SITE, loaded, messages


def test_a_name_twice_says_where_the_first_is(tmp_path: Path) -> None:
    rules = "routes:\n- {name: a, to: [pacs], when: {modality: CT}}\n- {name: a, to: [pacs]}\n"
    (problem,) = messages(loaded(tmp_path, rules))
    assert problem[:2] == (3, "duplicate-name")
    assert f"site.yaml:{SITE.count(chr(10)) + 2}:10" in problem[2]


def test_the_name_of_what_no_route_wants_is_taken(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "routes: [{name: unmatched, to: [pacs]}]\n"))
    assert problem[1] == "reserved-name"
