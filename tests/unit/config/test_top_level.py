"""The sections of a configuration: which there are, and of which shape."""

from __future__ import annotations

from pathlib import Path

from gateway.config import load
from tests.support.rules_of_site import loaded, messages


def test_an_unknown_section_has_the_nearest_beside_it(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "route: []\n"))
    assert problem == (1, "unknown-setting", "there is no setting `route` here (did you mean `routes`?)")


def test_a_section_of_another_shape(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "routes: {a: 1}\n"))
    assert problem == (1, "wrong-type", "`routes` is a list, each item as `- name: …`, found a mapping")


def test_a_section_that_is_one_of_a_few_words(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, "unreadable: rejekt\n"))
    assert problem == (1, "not-one-of", "expected `reject` or `hold`, found `rejekt` (did you mean `reject`?)")


def test_what_cannot_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("peers: {}\n")
    assert [one.code for one in load(tmp_path, {}).problems] == ["missing-section", "missing-section"]


def test_a_bad_name(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, '  "a b": {ae_title: A, may: [store]}\n'))
    assert problem[1:] == ("bad-name", "`a b` is not a name: letters, digits, `_`, `-` and `.`, at most 64")
