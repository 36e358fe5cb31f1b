"""Actions that wait in the queue: equal lists are equal text, and text is the same actions again."""

from __future__ import annotations

import pytest

from gateway.ports.errors import ConfigurationError
from gateway.routing.language.stored_actions import actions_from_json, canonical_json
from tests.unit.routing.build import actions


def test_canonical_json_builds_the_same_actions() -> None:
    config = [
        {"set": {"PatientID": "{{ StudyID }}", "InstitutionName": "Süd"}},
        {"copy": {"to": "StudyID", "from": "PatientID"}},
    ]
    text = canonical_json(config)
    assert actions_from_json(text) == actions(config)
    assert actions_from_json(text) is actions_from_json(text)
    reordered = [
        {"set": {"InstitutionName": "Süd", "PatientID": "{{ StudyID }}"}},
        {"copy": {"from": "PatientID", "to": "StudyID"}},
    ]
    assert canonical_json(reordered) == text
    assert canonical_json(list(reversed(config))) != text


@pytest.mark.parametrize("config", [None, [], ()], ids=["missing", "list", "tuple"])
def test_no_actions_are_no_text(config: object) -> None:
    assert canonical_json(config) == ""
    assert actions_from_json("") == ()


@pytest.mark.parametrize("text", ["{", '[{"was_removed_in_version_9": {}}]'], ids=["broken", "unknown"])
def test_stored_actions_that_are_not_understood(text: str) -> None:
    with pytest.raises(ConfigurationError, match="stored actions"):
        actions_from_json(text)


def test_what_is_wrong_is_said_with_its_place() -> None:
    text = canonical_json([{"remove": "PatientID"}, {"hash": {"key": "k", "tag": "PatientID"}}])

    with pytest.raises(ConfigurationError, match=r"then\[1\]\.hash\.tag: unknown-setting: there is no setting `tag`"):
        actions_from_json(text)
