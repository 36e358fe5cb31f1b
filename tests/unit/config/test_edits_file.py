"""A file of edits is read as a rule's actions are: texts stay texts, and what is wrong has its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.edits_file import read_edits


def test_a_list_of_actions(tmp_path: Path) -> None:
    path = tmp_path / "edits.yaml"
    path.write_text("- set: {PatientID: 0042, PatientName: 'Ä^B'}\n- remove: [OtherPatientIDs]\n")
    found, problems = read_edits(path, {})
    assert found == [{"set": {"PatientID": "0042", "PatientName": "Ä^B"}}, {"remove": ["OtherPatientIDs"]}]
    assert problems == ()


@pytest.mark.parametrize(("text", "line"), [("- set: {a: [}\n", 1), ("- set: {a: 1}\n- set: {a: 1, a: 2}\n", 2)])
def test_a_file_with_mistakes(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "edits.yaml"
    path.write_text(text)
    _, problems = read_edits(path, {})
    assert {each.mark.line for each in problems} == {line}


def test_an_empty_file_has_no_edits(tmp_path: Path) -> None:
    path = tmp_path / "edits.yaml"
    path.write_text("")
    assert read_edits(path, {}) == (None, ())
