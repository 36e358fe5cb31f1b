"""Answers that fit the question, and those that speak against it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.federation.fit import fits, is_named
from gateway.query.compile import Options
from tests.support.identifiers import attributes, find

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "equal": ({"PatientID": "P1"}, {"PatientID": "P1"}, True),
    "other": ({"PatientID": "P1"}, {"PatientID": "P2"}, False),
    "not said": ({"PatientID": "P1"}, {}, True),
    "said empty": ({"PatientID": "P1"}, {"PatientID": ""}, True),
    "name in other case": ({"PatientName": "roe^j*"}, {"PatientName": "ROE^JANE"}, True),
    "another name": ({"PatientName": "roe^j*"}, {"PatientName": "DOE^JANE"}, False),
    "in the range": ({"StudyDate": "20240101-20240131"}, {"StudyDate": "20240131"}, True),
    "out of the range": ({"StudyDate": "20240101-20240131"}, {"StudyDate": "20240201"}, False),
    "one of several": ({"ModalitiesInStudy": "CT\\MR"}, {"ModalitiesInStudy": "SR\\MR"}, True),
    "none of several": ({"ModalitiesInStudy": "CT\\MR"}, {"ModalitiesInStudy": "SR"}, False),
    "nothing asked": ({"PatientID": ""}, {"PatientID": "P2"}, True),
}


@pytest.mark.parametrize("name", ROWS)
def test_fits(name: str) -> None:
    keys, answer, expected = ROWS[name]
    assert fits(find("STUDY", StudyInstanceUID="", **keys), attributes(StudyInstanceUID="1", **answer)) is expected


SPANS: dict[str, tuple[dict[str, str], bool]] = {
    "inside": ({"StudyDate": "20240102", "StudyTime": "0900"}, True),
    "too early": ({"StudyDate": "20240101", "StudyTime": "0900"}, False),
    "too late": ({"StudyDate": "20240103", "StudyTime": "1500"}, False),
    "no date": ({"StudyTime": "1500"}, True),
}


@pytest.mark.parametrize("name", SPANS)
def test_dates_and_times_as_one_value(name: str) -> None:
    answer, expected = SPANS[name]
    options = Options(is_date_time_combined=True)
    query = find("STUDY", "study", options, StudyInstanceUID="", StudyDate="20240101-20240103", StudyTime="1200-1400")
    assert query.spans
    assert fits(query, attributes(StudyInstanceUID="1", **answer)) is expected


def test_items_are_not_compared() -> None:
    query = find("STUDY", StudyInstanceUID="", ProcedureCodeSequence=[{"CodeValue": "1"}])
    assert fits(query, attributes(StudyInstanceUID="1", ProcedureCodeSequence=[{"CodeValue": "2"}]))


@pytest.mark.parametrize(
    ("level", "keywords", "expected"),
    [
        ("STUDY", {"StudyInstanceUID": "1"}, True),
        ("STUDY", {"StudyInstanceUID": ""}, False),
        ("STUDY", {"PatientID": "1"}, False),
        ("PATIENT", {"PatientName": "X"}, True),
    ],
)
def test_is_named(level: str, keywords: dict[str, str], expected: bool) -> None:
    query = find(level, "patient", Options(is_relational=True), PatientID="")
    assert is_named(query, attributes(**keywords)) is expected
