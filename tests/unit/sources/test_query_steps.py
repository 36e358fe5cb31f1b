"""How a question is asked of a source that speaks another model, or does not search relationally."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model.query import QueryLevel, QueryRoot
from gateway.query.compile import Options, compile_find
from gateway.query.sop_classes import FIND_OF_ROOT
from gateway.sources.query_steps import (
    PatientUnknown,
    SourceQuery,
    choose_root,
    completed,
    first_step,
    identifying,
    is_by_studies,
    next_step,
    next_steps,
    patients_of,
    source_query_of,
)
from tests.support.identifiers import attributes

PATIENT, STUDY, SERIES, IMAGE = QueryLevel


def question(level: QueryLevel, root: QueryRoot = "study", **keywords: Any) -> SourceQuery:
    return SourceQuery(root, level, attributes(**keywords))


ROOTS: list[tuple[QueryLevel, QueryRoot, tuple[QueryRoot, ...], QueryRoot | None]] = [
    (STUDY, "study", ("study", "patient"), "study"),
    (STUDY, "patient", ("study", "patient"), "patient"),
    (STUDY, "patient", ("study",), "study"),
    (STUDY, "study", ("patient",), "patient"),
    (STUDY, "study", ("patient_study",), "patient_study"),
    (SERIES, "study", ("patient_study",), None),
    (SERIES, "study", ("patient_study", "patient"), "patient"),
    (PATIENT, "patient", ("study",), "study"),
    (PATIENT, "patient", ("study", "patient_study"), "patient_study"),
    (PATIENT, "patient_study", ("patient",), "patient"),
    (STUDY, "study", (), None),
]


@pytest.mark.parametrize(("level", "root", "offered", "expected"), ROOTS)
def test_choose_root(
    level: QueryLevel, root: QueryRoot, offered: tuple[QueryRoot, ...], expected: QueryRoot | None
) -> None:
    assert choose_root(question(level, root), [FIND_OF_ROOT[each] for each in offered]) == expected


def test_asked_as_it_is() -> None:
    asked = question(SERIES, StudyInstanceUID="1.2", SeriesInstanceUID="", Modality="MR")
    step = first_step(asked, "study", is_relational=False)
    assert step.is_last
    assert step.identifier == attributes(
        QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2", SeriesInstanceUID="", Modality="MR"
    )


def test_relational_is_asked_at_once() -> None:
    asked = question(IMAGE, SOPInstanceUID="", PatientID="P1", Modality="MR")
    step = first_step(asked, "study", is_relational=True)
    assert (step.is_last, step.level, step.keys) == (True, IMAGE, asked.keys)


def test_hierarchical_goes_down_level_by_level() -> None:
    asked = question(IMAGE, SOPInstanceUID="", PatientID="P1", Modality="MR", SeriesNumber="")
    first = first_step(asked, "study", is_relational=False)
    assert not first.is_last
    assert first.identifier == attributes(QueryRetrieveLevel="STUDY", StudyInstanceUID="", PatientID="P1")
    second = next_step(asked, "study", first, attributes(StudyInstanceUID="1.2", PatientID="P1"))
    assert second is not None
    assert second.identifier == attributes(
        QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2", SeriesInstanceUID="", Modality="MR", SeriesNumber=""
    )
    found = attributes(SeriesInstanceUID="1.2.3", Modality="MR", SeriesNumber="7")
    third = next_step(asked, "study", second, found)
    assert third is not None
    assert third.is_last
    assert third.identifier == attributes(
        QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.3", SOPInstanceUID=""
    )
    said = attributes(
        PatientID="P1", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.3", Modality="MR", SeriesNumber="7"
    )
    assert third.known == said


def test_an_answer_without_a_name_leads_nowhere() -> None:
    asked = question(SERIES, SeriesInstanceUID="")
    step = first_step(asked, "study", is_relational=False)
    assert next_step(asked, "study", step, attributes(PatientID="P1")) is None


@pytest.mark.parametrize(
    ("wanted", "said", "is_followed"),
    [
        ("1.2", "1.2", True),
        ("1.2", "", True),
        ("1.2", "9.9", False),
    ],
)
def test_answers_about_another_study_lead_nowhere(wanted: str, said: str, *, is_followed: bool) -> None:
    asked = question(IMAGE, StudyInstanceUID=wanted, SOPInstanceUID="")
    step = first_step(asked, "study", is_relational=False)
    assert (step.level, step.is_last) == (SERIES, False)
    answer = attributes(StudyInstanceUID=said, SeriesInstanceUID="1.2.3")
    assert (next_step(asked, "study", step, answer) is not None) == is_followed


def test_a_patient_root_source_is_asked_for_patients_first() -> None:
    asked = question(STUDY, StudyInstanceUID="", PatientName="Roe*", StudyDate="20240101-")
    first = first_step(asked, "patient", is_relational=False)
    assert first.identifier == attributes(QueryRetrieveLevel="PATIENT", PatientID="", PatientName="Roe*")
    second = next_step(asked, "patient", first, attributes(PatientID="P1", PatientName="Roe^Jane"))
    assert second is not None
    assert second.identifier == attributes(
        QueryRetrieveLevel="STUDY", PatientID="P1", StudyInstanceUID="", StudyDate="20240101-"
    )


def test_a_study_root_source_is_asked_for_the_studies_of_patients() -> None:
    asked = question(
        PATIENT, "patient", PatientID="", PatientName="Roe*", NumberOfPatientRelatedStudies="", PatientBirthDate=""
    )
    step = first_step(asked, "study", is_relational=False)
    assert is_by_studies(asked, step)
    assert step.identifier == attributes(
        QueryRetrieveLevel="STUDY", StudyInstanceUID="", PatientID="", PatientName="Roe*", PatientBirthDate=""
    )


def test_patients_of_studies() -> None:
    asked = question(
        PATIENT,
        "patient",
        PatientID="",
        PatientName="",
        NumberOfPatientRelatedStudies="",
        NumberOfPatientRelatedSeries="",
        NumberOfPatientRelatedInstances="",
    )
    found = patients_of(
        asked,
        [
            attributes(PatientID="1", PatientName="", StudyInstanceUID="1.1", NumberOfStudyRelatedInstances="2"),
            attributes(PatientID="2", PatientName="Doe", StudyInstanceUID="1.2", NumberOfStudyRelatedInstances="5"),
            attributes(PatientID="1", PatientName="Roe", StudyInstanceUID="1.3", NumberOfStudyRelatedInstances="3"),
            attributes(PatientID="1", PatientName="Roe", StudyInstanceUID="1.3", NumberOfStudyRelatedInstances="3"),
        ],
    )
    assert found[1] == attributes(
        PatientID="2", PatientName="Doe", NumberOfPatientRelatedStudies="1", NumberOfPatientRelatedInstances="5"
    )
    assert found[0] == attributes(
        PatientID="1", PatientName="Roe", NumberOfPatientRelatedStudies="2", NumberOfPatientRelatedInstances="5"
    )


def test_patients_whose_studies_do_not_say_enough_stay_apart() -> None:
    """Two issuers, two people with one Patient ID, and studies without one."""
    asked = question(PATIENT, "patient", PatientID="", PatientName="")
    rows = [
        {"PatientID": "1", "PatientName": "Roe", "IssuerOfPatientID": "A"},
        {"PatientID": "1", "PatientName": "Roe", "IssuerOfPatientID": "B"},
        {"PatientID": "2", "PatientName": "Roe", "PatientBirthDate": "19600101"},
        {"PatientID": "2", "PatientName": "Doe", "PatientBirthDate": "19700101"},
        {"PatientID": "2", "PatientName": "Roe^J", "PatientBirthDate": "19600101"},
        {"PatientID": "", "PatientName": "Roe"},
        {"PatientID": "", "PatientName": "Doe"},
    ]
    studies = [attributes(StudyInstanceUID=f"1.{number}", **row) for number, row in enumerate(rows)]
    found = [each[0x00100010] for each in patients_of(asked, studies)]
    assert found == [("Roe",), ("Roe",), ("Roe",), ("Doe",), ("Roe",), ("Doe",)]


def test_a_study_of_two_patients_is_asked_about_once() -> None:
    """What only one of them is said to have is not said of its series."""
    asked = question(SERIES, SeriesInstanceUID="", PatientID="", PatientName="")
    step = first_step(asked, "study", is_relational=False)
    rows = [attributes(StudyInstanceUID="1.2", PatientID=each, PatientName=f"Name^{each}") for each in ("A", "B")]
    (following,) = next_steps(asked, "study", step, rows, set())
    assert following.known == attributes(StudyInstanceUID="1.2")
    assert following.identifier[0x00100020] == ()
    said = attributes(SeriesInstanceUID="1.2.3", PatientID="B")
    assert completed(following, said) == {**said, **rows[1]}
    silent = attributes(SeriesInstanceUID="1.2.3")
    assert completed(following, silent) == {**silent, **attributes(StudyInstanceUID="1.2")}


def test_of_a_study_of_two_patients_the_one_who_is_asked_for() -> None:
    asked = question(SERIES, SeriesInstanceUID="", PatientID="A")
    step = first_step(asked, "study", is_relational=False)
    row = attributes(StudyInstanceUID="1.2", PatientID="A")
    (following,) = next_steps(asked, "study", step, [row], {"1.2"})
    assert completed(following, attributes(SeriesInstanceUID="1.2.3", PatientID="B")) is None
    assert completed(following, attributes(SeriesInstanceUID="1.2.3", PatientID="A")) is not None
    with pytest.raises(PatientUnknown):
        completed(following, attributes(SeriesInstanceUID="1.2.3"))


def test_a_source_without_patients_is_asked_whose_the_study_is() -> None:
    """Below studies it does not compare patients."""
    asked = question(SERIES, "patient", PatientID="A", StudyInstanceUID="1.2", SeriesInstanceUID="", Modality="MR")
    step = first_step(asked, "study", is_relational=False)
    assert not step.is_last
    assert step.identifier == attributes(QueryRetrieveLevel="STUDY", PatientID="A", StudyInstanceUID="1.2")
    following = next_step(asked, "study", step, attributes(StudyInstanceUID="1.2", PatientID="A"))
    assert following is not None
    assert following.identifier == attributes(
        QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2", SeriesInstanceUID="", Modality="MR"
    )


IDENTIFYING: list[tuple[QueryLevel, QueryRoot, bool, str]] = [
    (PATIENT, "patient", False, "PatientID PatientName IssuerOfPatientID PatientBirthDate"),
    (STUDY, "study", False, "StudyInstanceUID PatientID PatientName IssuerOfPatientID PatientBirthDate"),
    (STUDY, "patient", False, "StudyInstanceUID"),
    (STUDY, "patient", True, "PatientID StudyInstanceUID"),
    (SERIES, "study", False, "SeriesInstanceUID"),
    (SERIES, "study", True, "StudyInstanceUID SeriesInstanceUID"),
    (IMAGE, "patient", True, "PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    (IMAGE, "patient", False, "SOPInstanceUID"),
]


@pytest.mark.parametrize(("level", "root", "is_relational", "keywords"), IDENTIFYING)
def test_what_every_question_asks(level: QueryLevel, root: QueryRoot, keywords: str, *, is_relational: bool) -> None:
    found = identifying(level, root, is_relational=is_relational)
    assert found == attributes(**dict.fromkeys(keywords.split(), ""))


DROPPED: dict[str, tuple[Options, dict[str, str], dict[str, str]]] = {
    "level and character set": (
        Options(),
        {"SpecificCharacterSet": "ISO_IR 192", "StudyDate": "20240101"},
        {"StudyDate": "20240101"},
    ),
    "date and time as one value": (
        Options(is_date_time_combined=True),
        {"StudyDate": "20240101-20240102", "StudyTime": "1200-1300"},
        {"StudyDate": "20240101-20240102", "StudyTime": ""},
    ),
    "another time zone": (
        Options(is_timezone_adjusted=True),
        {"StudyDate": "20240101", "StudyTime": "1200", "TimezoneOffsetFromUTC": "+0200"},
        {"StudyDate": "", "StudyTime": ""},
    ),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_sources_are_not_asked(name: str) -> None:
    options, keywords, expected = DROPPED[name]
    identifier = attributes(QueryRetrieveLevel="STUDY", StudyInstanceUID="", **keywords)
    asked = source_query_of(identifier, compile_find(identifier, "study", options))
    assert asked.keys == attributes(StudyInstanceUID="", **expected)
