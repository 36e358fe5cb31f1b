"""Which collection an object belongs to."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model.collection import CollectionLevel, CollectionTerms, CollectionTest, digest_of
from gateway.model.delivery import Dispatch
from gateway.model.expectation import ExpectedTerms
from gateway.routing.collecting import CollectionDefinition
from gateway.routing.language.template import Template
from gateway.routing.route import Route
from tests.unit.routing.build import MR_IMAGE, facts, predicate, route, table

OBJECT = {
    "SOPClassUID": MR_IMAGE,
    "SOPInstanceUID": "1.2.3",
    "Modality": "CT",
    "InstitutionName": " St. Elsewhere ",
    "PatientID": "0042",
    "StudyInstanceUID": "1.2",
    "SeriesInstanceUID": "1.3",
}


def definition(level: CollectionLevel = "study") -> CollectionDefinition:
    tests = (CollectionTest("any"), CollectionTest("count"))
    conditions = (predicate({"modality": ["CT"]}), predicate({"modality": ["SR"]}))
    return CollectionDefinition(CollectionTerms("chest", level, tests=tests), conditions)


def collecting(level: CollectionLevel = "study") -> Route:
    return dataclasses.replace(route("r", {}, "pacs", "vna"), collection=definition(level))


def test_a_membership_has_what_the_store_decides_by() -> None:
    routing = table(collecting())
    assert routing.is_collecting
    first, second = routing.plan(facts(OBJECT, routing)).dispatches
    made = first.collection
    assert made is not None
    assert made == second.collection
    assert (made.terms, made.study_instance_uid, made.series_instance_uid) == (definition().terms, "1.2", "")
    assert (made.matches, made.collection_id, made.is_waiting) == ("10", 0, False)
    assert (made.patient, made.institution) == (digest_of("0042", ""), digest_of("St. Elsewhere"))


def test_a_series_is_collected_by_both_uids() -> None:
    routing = table(collecting("series"))
    (first, _) = routing.plan(facts(OBJECT, routing)).dispatches
    assert first.collection is not None
    assert (first.collection.study_instance_uid, first.collection.series_instance_uid) == ("1.2", "1.3")


@pytest.mark.parametrize(
    ("level", "missing", "waits"),
    [
        ("study", "StudyInstanceUID", False),
        ("series", "SeriesInstanceUID", False),
        ("study", "SeriesInstanceUID", True),
        ("study", "PatientID", True),
        ("study", "InstitutionName", True),
    ],
)
def test_an_object_without_the_uid_goes_its_own_way(level: CollectionLevel, missing: str, waits: bool) -> None:
    routing = table(collecting(level))
    attributes = {name: value for name, value in OBJECT.items() if name != missing}
    first, _ = routing.plan(facts(attributes, routing)).dispatches
    assert (first.collection is not None) is waits
    assert first.destination == "pacs"


def test_a_direct_route_to_the_same_destination_is_another_promise() -> None:
    routing = table(collecting(), route("direct", {}, "pacs"))
    plan = routing.plan(facts(OBJECT, routing))
    assert [(one.destination, one.collection is None) for one in plan.dispatches] == [
        ("pacs", False),
        ("vna", False),
        ("pacs", True),
    ]


def test_a_route_without_a_collection_is_as_ever() -> None:
    routing = table(route("direct", {}, "pacs"))
    assert not routing.is_collecting
    assert routing.plan(facts(OBJECT, routing)).dispatches == (Dispatch("direct", "pacs"),)


@pytest.mark.parametrize(
    ("number", "matches"),
    [("12", "10=12"), (" 7 ", "10=7"), ("", "10"), ("0", "10"), ("many", "10"), ("12345678", "10"), ("-3", "10")],
)
def test_the_number_that_an_object_says_stands_behind_its_tests(number: str, matches: str) -> None:
    terms = dataclasses.replace(definition().terms, expect=ExpectedTerms())
    expected = Template("{{ NumberOfStudyRelatedInstances }}")
    counting = CollectionDefinition(terms, definition().conditions, expected)
    routing = table(dataclasses.replace(route("r", {}, "pacs"), collection=counting))
    (first,) = routing.plan(facts({**OBJECT, "NumberOfStudyRelatedInstances": number}, routing)).dispatches
    assert first.collection is not None
    assert first.collection.matches == matches


def test_a_template_that_an_object_breaks_expects_nothing_and_refuses_nothing() -> None:
    terms = dataclasses.replace(definition().terms, expect=ExpectedTerms())
    counting = CollectionDefinition(terms, (), Template("{{ 1 // (PatientID | int - 42) }}"))
    routing = table(dataclasses.replace(route("r", {}, "pacs"), collection=counting))
    (first,) = routing.plan(facts(OBJECT, routing)).dispatches
    assert first.collection is not None
    assert first.collection.matches == ""
