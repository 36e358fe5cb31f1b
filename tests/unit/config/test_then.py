"""The actions of a rule: what goes together, and what of them the queue keeps."""

from __future__ import annotations

from pathlib import Path

from tests.support.rules_of_site import loaded, messages

ROUTE = "routes: [{name: all, to: [pacs], then: %s}]\n"


def test_an_empty_list_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = messages(loaded(tmp_path, ROUTE % "[]"))
    assert problem[1] == "empty"


def test_nothing_stands_beside_what_ends_the_object(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, "routes: [{name: all, then: [{remove: PatientID}, drop]}]\n"))
    assert [code for _line, code, _message in found] == ["pointless-action"]


def test_conversions_stand_under_routes_alone(tmp_path: Path) -> None:
    rules = "coercions: [{then: [{transcode: {to: ExplicitVRLittleEndian}}]}]\n"
    assert [code for _line, code, _message in messages(loaded(tmp_path, rules))] == ["only-in-routes"]


def test_what_is_decided_before_is_not_kept_for_the_delivery(tmp_path: Path) -> None:
    found = loaded(tmp_path, ROUTE % "[hold, {remove: PatientAddress}]")
    assert found.table is not None
    assert found.table.routes[0].actions_json == '[{"remove":"PatientAddress"}]'
