"""Studies that are hidden: only by what is known of studies, and from whom."""

from __future__ import annotations

from pathlib import Path

from tests.support.rules_of_site import loaded, messages

HIDE = "query_retrieve: {sources: [local], hide: [%s]}\n"


def test_a_rule_without_a_name_is_called_by_its_number(tmp_path: Path) -> None:
    found = loaded(tmp_path, HIDE % "{from: [ct], when: {attribute: {select: PatientID, equals: X}}}")
    assert found.table is not None
    assert [(rule.name, rule.peers) for rule in found.table.hidden] == [("hide-1", ("ct",))]


def test_what_is_about_one_object_hides_no_study(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, HIDE % "{when: {transfer_syntax: ExplicitVRLittleEndian}}"))
    assert [code for _line, code, _message in found] == ["not-of-studies"]


def test_an_attribute_that_is_not_known_of_studies_hides_none(tmp_path: Path) -> None:
    found = messages(loaded(tmp_path, HIDE % "{when: {attribute: {select: SeriesDescription, equals: X}}}"))
    assert found[0][1:] == (
        "not-of-studies",
        "SeriesDescription is not known of studies, so that nothing can be hidden by it",
    )
