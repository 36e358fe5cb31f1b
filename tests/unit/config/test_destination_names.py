"""Names under `to`: each enabled destination once, and no name that there is not."""

from __future__ import annotations

from pathlib import Path

from tests.support.rules_of_site import loaded, messages

ROUTE = "routes: [{name: all, to: [%s]}]\n"


def test_a_group_stands_for_its_peers_and_a_disabled_peer_for_nothing(tmp_path: Path) -> None:
    found = loaded(tmp_path, ROUTE % "both, old" + "groups: {both: {all: [pacs, old]}}\n")
    assert found.table is not None
    assert found.table.routes[0].to == ("pacs",)


def test_a_peer_that_only_calls_is_no_destination(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, ROUTE % "ct"))
    assert problem == (1, "not-a-destination", "`ct` only calls us: it has neither `address` nor `folder`")


def test_an_unknown_name_has_the_nearest_beside_it(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, ROUTE % "pacz"))
    assert problem[1:] == (
        "unknown-destination",
        "no peer and no group is named `pacz` (did you mean `pacs`?)",
    )


def test_a_name_twice_is_sent_to_once(tmp_path: Path) -> None:
    found = loaded(tmp_path, ROUTE % "pacs, pacs")
    assert messages(found) == [(1, "duplicate-destination", "`pacs` stands here twice; it gets the object once")]
    assert found.table is not None
    assert found.table.routes[0].to == ("pacs",)
