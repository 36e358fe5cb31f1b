"""What a source says of what it has, and what a retrieve takes of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model.peer import Peer
from gateway.model.query import AnyValue, Query, QueryKey, QueryLevel
from gateway.query.attributes import ACCESSION_NUMBER, vr_for
from gateway.query.compile import compile_retrieve
from gateway.retrieve.source_instances import SourceListing, instance_query_of
from gateway.sources.query_steps import first_step
from gateway.sources.source_query import SourceFailed
from tests.support.identifiers import attributes

UIDS = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1", "SOPInstanceUID": "1.2.1.1"}


def query(**keywords: Any) -> Query:
    """A retrieve of a study."""
    return compile_retrieve(attributes(QueryRetrieveLevel="STUDY", **keywords), "patient")


ROWS: dict[str, tuple[dict[str, str], list[dict[str, str]], list[bool], str]] = {
    "as asked": ({}, [UIDS], [True], ""),
    "another study": ({}, [UIDS | {"StudyInstanceUID": "1.3"}], [False], "1 of its answers do not fit the question"),
    "without a series": (
        {},
        [UIDS, UIDS | {"SeriesInstanceUID": ""}],
        [True, False],
        "1 of its answers do not say what they are of",
    ),
    "of two patients": ({"PatientID": "A"}, [UIDS | {"PatientID": each} for each in "BAB"], [False, True, False], ""),
    "of another patient alone": (
        {"PatientID": "A"},
        [UIDS | {"PatientID": "B"}],
        [False],
        "1 of its answers do not fit the question",
    ),
    "of two issuers": (
        {"PatientID": "A", "IssuerOfPatientID": "X"},
        [UIDS | {"PatientID": "A", "IssuerOfPatientID": each} for each in "XY"],
        [True, False],
        "",
    ),
    "of a patient who is not named": ({"PatientID": "A"}, [UIDS], [True], ""),
    "everybody's": ({}, [UIDS | {"PatientID": each} for each in "AB"], [True, True], ""),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_is_taken_and_what_is_a_failure(name: str) -> None:
    named, answers, taken, reason = ROWS[name]
    listing = SourceListing(instance_query_of(query(StudyInstanceUID="1.2", **named)))
    assert [listing.item(attributes(**answer)) is not None for answer in answers] == taken
    if not reason:
        listing.check(Peer("pacs"))
        return
    with pytest.raises(SourceFailed) as failed:
        listing.check(Peer("pacs"))
    assert failed.value.reason == reason


def test_a_named_patient_is_asked_for_where_patients_are_compared() -> None:
    keys = tuple(QueryKey(tag, vr_for(tag), (AnyValue(("1.2",)),)) for tag in (0x0020000D,))
    assert instance_query_of(Query(QueryLevel.STUDY, "patient", keys, is_relational=True)).root == "study"
    assert instance_query_of(query(PatientID="A", StudyInstanceUID="1.2")).root == "patient"


def test_an_accession_number_is_asked_for_study_by_study() -> None:
    keys = (QueryKey(ACCESSION_NUMBER, "SH", (AnyValue(("A1", "A2")),)),)
    source_query = instance_query_of(Query(QueryLevel.STUDY, "study", keys, is_relational=True))
    assert (source_query.root, source_query.keys[ACCESSION_NUMBER]) == ("study", ("A1", "A2"))
    step = first_step(source_query, "study", is_relational=False)
    assert (step.level, step.keys[ACCESSION_NUMBER]) == (QueryLevel.STUDY, ("A1", "A2"))


@pytest.mark.parametrize("number", ["B", ""])
def test_a_source_that_passes_over_the_accession_number_failed(number: str) -> None:
    """It would bring all that it has."""
    keys = (QueryKey(ACCESSION_NUMBER, "SH", (AnyValue(("A",)),)),)
    listing = SourceListing(instance_query_of(Query(QueryLevel.STUDY, "study", keys, is_relational=True)))
    named = {"SOPInstanceUID": "1.4", "SeriesInstanceUID": "1.3", "StudyInstanceUID": "1.2"}
    assert listing.item(attributes(**named, AccessionNumber="A")) is not None
    listing.check(Peer("pacs"))
    assert listing.item(attributes(**named, AccessionNumber=number)) is None
    with pytest.raises(SourceFailed):
        listing.check(Peer("pacs"))
