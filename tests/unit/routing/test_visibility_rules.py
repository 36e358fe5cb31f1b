"""Hidden studies: who a rule is for, what it sees of a study, what must be asked for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.model.association import AssociationFacts
from gateway.model.problem import Mark
from gateway.query.attributes import is_of_study
from gateway.routing.language.attribute_path import parse
from gateway.routing.language.kinds import build_predicate
from gateway.routing.visibility_rules import StudyFacts, VisibilityRule, first_tags
from tests.support.identifiers import attributes

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
FACTS = AssociationFacts("VIEWER", "GATEWAY", "10.0.0.5", peer="viewer")
CODES = [{"CodeValue": "1", "CodeMeaning": "One"}, {"CodeValue": "2"}]
STUDY = attributes(
    PatientName="Roe^Jane",
    StudyDescription="",
    ModalitiesInStudy="CT\\SR",
    ProcedureCodeSequence=CODES,
    OtherPatientIDsSequence=[],
)

VALUES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "a value": ("PatientName", ("Roe^Jane",)),
    "several": ("ModalitiesInStudy", ("CT", "SR")),
    "empty is absent": ("StudyDescription", None),
    "absent": ("AccessionNumber", None),
    "of the first item": ("ProcedureCodeSequence[0].CodeValue", ("1",)),
    "of an item that is not there": ("ProcedureCodeSequence[2].CodeValue", None),
    "of every item": ("ProcedureCodeSequence[*].CodeValue", ("1", "2")),
    "of those that have it": ("ProcedureCodeSequence[*].CodeMeaning", ("One",)),
    "of no items": ("OtherPatientIDsSequence[*].PatientID", None),
    "of no sequence": ("ReferencedStudySequence[*].ReferencedSOPInstanceUID", None),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_and_places(name: str) -> None:
    text, expected = VALUES[name]
    path, facts = parse(text), StudyFacts(FACTS, STUDY, NOW)
    assert facts.values(path) == expected
    assert facts.places(path) == (() if expected is None else (path,))


def rule(when: Any, *peers: str) -> VisibilityRule:
    predicate = build_predicate(when, lambda path, code, message: pytest.fail(message))
    assert predicate is not None
    return VisibilityRule("vip", predicate, peers, Mark("x", 1, 1))


@pytest.mark.parametrize(
    ("peers", "expected"),
    [((), True), (("viewer",), True), (("research", "viewer"), True), (("research",), False)],
)
def test_who_a_rule_is_for(peers: tuple[str, ...], expected: bool) -> None:
    assert rule({"modality": ["CT"]}, *peers).is_for(FACTS) is expected


def test_what_must_be_asked() -> None:
    rules = [
        rule({"attribute": {"select": "StudyDescription", "equals": "X"}}),
        rule(
            {
                "any": [
                    {"attribute": {"select": "ProcedureCodeSequence[*].CodeValue", "equals": "X"}},
                    {"attribute": {"select": "StudyDescription", "equals": "Y"}},
                    {"calling_ae_title": ["VIEWER"]},
                ]
            }
        ),
    ]
    assert first_tags(rules) == (0x00081030, 0x00081032)


OF_STUDIES: dict[str, bool] = {
    "PatientName": True,
    "StudyDescription": True,
    "InstitutionName": True,
    "ModalitiesInStudy": True,
    "NumberOfStudyRelatedInstances": True,
    "ProcedureCodeSequence[*].CodeValue": True,
    "OtherPatientIDsSequence[0].PatientID": True,
    "NumberOfPatientRelatedStudies": False,
    "Modality": False,
    "SOPInstanceUID": False,
    "SliceThickness": False,
    "ProcedureCodeSequence": False,
    "ProcedureCodeSequence[*].LongCodeValue": False,
    "RequestAttributesSequence[*].RequestedProcedureID": False,
    "(0029,[SIEMENS CSA HEADER],10)": False,
    "00291010": False,
}


@pytest.mark.parametrize("text", OF_STUDIES)
def test_what_is_known_of_studies(text: str) -> None:
    assert is_of_study(parse(text)) is OF_STUDIES[text]
