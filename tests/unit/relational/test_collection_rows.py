"""Rows of collections."""

from __future__ import annotations

import pytest

from gateway.model.collection import NOTHING_EXPECTED, CollectionState, CollectionTerms, CollectionTest
from gateway.model.expectation import Expectation, ExpectedTerms
from gateway.relational.collection_rows import COLLECTED_KEY_COLUMN, collection, expectation_text, state_of, terms_text
from gateway.relational.rows import microseconds
from tests.support.samples import NOON

TERMS = CollectionTerms("ü", "series", tests=(CollectionTest("count", 2, None), CollectionTest("any")))
AT = microseconds(NOON)


def row(terms: str) -> list[object]:
    times = [AT, AT, AT, 0, None, AT]
    return [7, terms, "1.2", "1.3", "p", 2, "complete", *times, "forced", "send", "patients", *range(5), "key", "i", ""]


def test_terms_come_back_as_they_were() -> None:
    found = collection(row(terms_text(TERMS)))
    assert (found.terms, found.state, found.generation) == (TERMS, CollectionState.COMPLETE, 2)
    assert (found.deadline_at, found.completed_at, found.result) == (None, NOON, "forced")
    assert (found.instances, found.late, found.repeated, found.replaced, found.ignored) == (0, 1, 2, 3, 4)
    assert (row("")[COLLECTED_KEY_COLUMN], found.institution) == ("key", "i")


def test_terms_of_an_earlier_version_get_defaults_and_an_empty_field_of_a_later_one_says_nothing() -> None:
    found = collection(row('{"name":"chest","quiet_s":5.0,"later":null,"latest":[]}'))
    assert (found.terms, found.unreadable) == (CollectionTerms("chest", quiet_s=5.0), "")


@pytest.mark.parametrize(
    ("terms", "name", "unreadable"),
    [
        ('{"name":"chest","later":1,"also":"x"}', "chest", "terms: also, later"),
        ('{"name":"chest","late":"sometimes"}', "chest", "terms: Invalid enum value 'sometimes' - at `$.late`"),
        ('{"name":3}', "", "terms: Expected `str`, got `int` - at `$.name`"),
        ("[]", "", "terms: Expected `object`, got `array`"),
        ("", "", "terms: Input data was truncated"),
    ],
)
def test_terms_that_this_version_does_not_know_are_said(terms: str, name: str, unreadable: str) -> None:
    found = collection(row(terms))
    assert (found.terms.name, found.unreadable) == (name, unreadable)
    assert (found.state, found.is_undecidable) == (CollectionState.COMPLETE, False), "what was decided goes on"


@pytest.mark.parametrize(
    ("place", "word", "unreadable"), [(6, "asking", "the state 'asking'"), (14, "ask", "the outcome 'ask'")]
)
def test_a_state_or_fate_of_another_version_is_left_to_it(place: int, word: str, unreadable: str) -> None:
    found = collection([*row('{"name":"chest"}')[:place], word, *row("")[place + 1 :]])
    assert (found.state, found.unreadable) == (CollectionState.UNREADABLE, unreadable)
    assert found.is_undecidable


def test_the_states_that_are_counted_are_those_of_this_version_or_one() -> None:
    assert (state_of("open"), state_of("asking")) == (CollectionState.OPEN, CollectionState.UNREADABLE)


def test_what_is_expected_comes_back_as_it_was() -> None:
    terms = CollectionTerms("chest", expect=ExpectedTerms("vna", 5.0, 3.0, "series", 4))
    known = Expectation(3, 1, ("1.2",), "why", 4, NOON, NOON, NOON, "digest", 2)
    found = collection([*row(terms_text(terms))[:-1], expectation_text(known)])
    assert (found.terms, found.expectation) == (terms, known)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"expected":"three"}'])
def test_of_an_expectation_that_another_version_wrote_nothing_is_known(text: str) -> None:
    found = collection([*row(terms_text(TERMS))[:-1], text])
    assert (found.expectation, found.unreadable) == (NOTHING_EXPECTED, "")
