"""Answers that fit the question, and those that speak against it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.query.compile import Options
from gateway.sources.answer_fit import contradicted, is_misunderstood
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
    "a name that begins so": ({"PatientName": "Roe"}, {"PatientName": "ROE^JANE"}, True),
    "a name that begins otherwise": ({"PatientName": "Jane"}, {"PatientName": "ROE^JANE"}, False),
    "an ideographic name that begins so": ({"PatientName": "山"}, {"PatientName": "Yamada^Tarou=山田^太郎"}, True),
    "an accession number that begins so": ({"AccessionNumber": "A-1"}, {"AccessionNumber": "A-10"}, False),
    "text in other case": ({"StudyDescription": "ct head"}, {"StudyDescription": "CT HEAD"}, True),
    "text with other spaces": ({"StudyDescription": "CT  HEAD"}, {"StudyDescription": "CT HEAD"}, True),
    "text without its diacritics": ({"StudyDescription": "*schadel"}, {"StudyDescription": "CT Schädel"}, True),
    "other text": ({"StudyDescription": "ct head"}, {"StudyDescription": "CT KNEE"}, False),
    "characters that cannot be read": ({"PatientName": "Müller*"}, {"PatientName": "M\ufffdller^J"}, True),
    "a date that is none": ({"StudyDate": "20240101-"}, {"StudyDate": "unknown"}, True),
    "a number that is none": ({"SeriesNumber": "2"}, {"SeriesNumber": "two"}, True),
    "another UID": ({"StudyInstanceUID": "1.2"}, {"StudyInstanceUID": "1.3"}, False),
    "nothing asked": ({"PatientID": ""}, {"PatientID": "P2"}, True),
}


@pytest.mark.parametrize("name", ROWS)
def test_fits(name: str) -> None:
    keys, answer, expected = ROWS[name]
    query = find("IMAGE", "study", Options(is_relational=True), **keys)
    assert (not contradicted(query, attributes(**answer))) is expected


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
    assert (not contradicted(query, attributes(StudyInstanceUID="1", **answer))) is expected


def test_items_are_not_compared() -> None:
    query = find("STUDY", StudyInstanceUID="", ProcedureCodeSequence=[{"CodeValue": "1"}])
    assert not contradicted(query, attributes(StudyInstanceUID="1", ProcedureCodeSequence=[{"CodeValue": "2"}]))


MISUNDERSTOOD: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "another patient": ({"PatientID": "P1"}, {"PatientID": "P2"}, True),
    "another name": ({"PatientName": "roe*"}, {"PatientName": "Doe"}, True),
    "another day": ({"StudyDate": "20240101"}, {"StudyDate": "20240102"}, True),
    "an optional key": ({"StudyDescription": "HEAD"}, {"StudyDescription": "KNEE"}, False),
    "an optional key among others": (
        {"PatientID": "P1", "StudyDescription": "HEAD"},
        {"PatientID": "P1", "StudyDescription": "KNEE"},
        False,
    ),
    "both": ({"PatientID": "P1", "StudyDescription": "HEAD"}, {"PatientID": "P2", "StudyDescription": "KNEE"}, True),
}


@pytest.mark.parametrize("name", MISUNDERSTOOD)
def test_keys_that_every_source_compares(name: str) -> None:
    keys, answer, expected = MISUNDERSTOOD[name]
    query = find("STUDY", StudyInstanceUID="", **keys)
    against = contradicted(query, attributes(StudyInstanceUID="1", **answer))
    assert against
    assert is_misunderstood(query, against) is expected


def test_dates_with_times_as_one_value_are_compared_here_alone() -> None:
    options = Options(is_date_time_combined=True)
    query = find("STUDY", "study", options, StudyInstanceUID="", StudyDate="20240101-20240103", StudyTime="1200-1400")
    against = contradicted(query, attributes(StudyInstanceUID="1", StudyDate="20240103", StudyTime="1500"))
    assert against
    assert not is_misunderstood(query, against)
