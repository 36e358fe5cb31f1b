"""What is known of the whole of a collection, as tables."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gateway.model.expectation import (
    LONGEST_PAUSE,
    MOST_NAMED,
    Expectation,
    ExpectedKind,
    ExpectedTerms,
    counted,
    matches_with,
)
from tests.support.samples import NOON

ASKING = ExpectedTerms("pacs", every_s=30, timeout_s=10)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("terms", "totals", "series", "expected", "missing", "is_whole"),
    [
        pytest.param(ExpectedTerms(number=3), {"": 3}, 0, 3, 0, True, id="all"),
        pytest.param(ExpectedTerms(number=3), {"": 2}, 0, 3, 1, False, id="one is missing"),
        pytest.param(ExpectedTerms(number=3), {"": 4}, 0, 3, 0, False, id="more than there are"),
        pytest.param(ExpectedTerms(number=3), {}, 0, 3, 3, False, id="nothing"),
        pytest.param(ExpectedTerms(kind="series", number=2), {"": 9}, 2, 2, 0, True, id="series"),
        pytest.param(ExpectedTerms(kind="series", number=2), {"": 9}, 1, 2, 1, False, id="a series is missing"),
        pytest.param(ExpectedTerms(), {"10=3": 1, "00=3": 2}, 0, 3, 0, True, id="by the objects"),
        pytest.param(ExpectedTerms(), {"=3": 1, "=5": 2}, 0, 5, 2, False, id="the greatest that they say"),
        pytest.param(ExpectedTerms(), {"": 1, "=1": 1}, 0, 1, 0, False, id="more than an object says"),
        pytest.param(ExpectedTerms(), {"": 3, "11": 1}, 0, None, None, False, id="no object says it"),
    ],
)
def test_numbers(
    terms: ExpectedTerms,
    totals: dict[str, int],
    series: int,
    expected: int | None,
    missing: int | None,
    is_whole: bool,
) -> None:
    found = counted(terms, totals, series)
    assert (found.expected, found.missing, found.is_whole, not found.why) == (expected, missing, is_whole, is_whole)


@pytest.mark.parametrize(("kind", "words"), [("instances", "2 of 3 instances"), ("series", "1 of 3 series")])
def test_a_number_says_why_it_is_not_whole(kind: ExpectedKind, words: str) -> None:
    assert counted(ExpectedTerms(kind=kind, number=3), {"": 2}, 1).why == f"{words} are here"


def test_the_number_of_an_object_stands_behind_its_tests() -> None:
    assert (matches_with("101", 0), matches_with("101", 7), matches_with("", 7)) == ("101", "101=7", "=7")


def test_two_equal_answers_that_we_have_all_of_are_whole() -> None:
    first = Expectation().querying(ASKING, NOON, NOON).answered(ASKING, "a", 3, [], at(1))
    assert (first.expected, first.missing, first.is_whole, first.next_at) == (3, 0, False, at(31))
    assert first.why == "`pacs` has said so once, and is asked once more"
    second = first.querying(ASKING, at(31), NOON).answered(ASKING, "a", 3, [], at(32))
    assert (second.question, second.is_whole, second.why) == (2, True, "")
    other = first.querying(ASKING, at(31), NOON).answered(ASKING, "b", 4, [], at(32))
    assert not other.is_whole, "it is still growing there"
    assert other.querying(ASKING, at(62), NOON).answered(ASKING, "b", 4, [], at(63)).is_whole


def test_a_question_waits_for_its_answer_for_twice_its_limit_and_some() -> None:
    asked = Expectation().querying(ASKING, NOON, NOON)
    assert (asked.question, asked.queried_at, asked.querying_until) == (1, NOON, at(25))
    assert asked.failed(ASKING, "refused", at(1)).querying_until < NOON


def test_a_question_after_an_arrival_forgets_what_was_known_before_it() -> None:
    whole = Expectation(3, 0, question=2, queried_at=at(60), answer="a")
    assert whole.querying(ASKING, at(90), at(60)).is_whole
    asked = whole.querying(ASKING, at(130), at(61))
    assert (asked.is_whole, asked.missing, asked.question) == (False, None, 3)
    assert asked.answered(ASKING, "a", 3, [], at(131)).is_whole
    lacking = Expectation(3, 1, ("1.2",), "missing", queried_at=at(60)).querying(ASKING, at(130), at(61))
    assert (lacking.missing, lacking.missing_uids) == (None, ())


def test_what_is_missing_is_said_and_asked_for_ever_more_rarely() -> None:
    known, pauses, lacking = Expectation(), [], [f"1.{number:02}" for number in range(15)]
    for _ in range(8):
        known = known.querying(ASKING, NOON, NOON).answered(ASKING, "a", 20, lacking, NOON)
        pauses.append((known.next_at - NOON).total_seconds())
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]
    assert LONGEST_PAUSE.total_seconds() == 600
    assert (known.expected, known.missing, len(known.missing_uids), known.is_whole) == (20, 15, MOST_NAMED, False)
    assert known.why == "15 of the 20 instances of `pacs` are missing"
    assert known.answered(ASKING, "a", 20, [], NOON).tries == 0


def test_a_pause_is_never_shorter_than_every() -> None:
    slow = ExpectedTerms("pacs", every_s=3600)
    assert Expectation().failed(slow, "down", NOON).next_at == at(3600)
    assert Expectation(tries=10_000).failed(slow, "down", NOON).next_at == at(3600)


def test_one_that_cannot_be_asked_says_why_and_leaves_nothing_known() -> None:
    known = Expectation().answered(ASKING, "a", 3, ["1.2"], NOON).failed(ASKING, "it answered 0xA700", NOON)
    assert (known.expected, known.missing, known.missing_uids) == (3, None, ())
    assert (known.why, known.tries) == ("`pacs` could not be asked: it answered 0xA700", 2)


def test_a_source_that_does_not_have_it_says_nothing_of_the_whole() -> None:
    known = Expectation().answered(ASKING, "a", 0, [], NOON)
    again = known.answered(ASKING, "a", 0, [], NOON)
    assert (again.expected, again.missing, again.is_whole) == (None, None, False)
    assert again.why == "`pacs` does not have it"


def test_a_clock_that_is_set_back_lets_it_be_asked_anew() -> None:
    known = Expectation().querying(ASKING, at(7200), NOON)
    assert known.known_at(at(7200)) == known
    assert known.known_at(NOON).querying_until < NOON
    assert (known.known_at(NOON).question, known.known_at(NOON).next_at < NOON) == (1, True)
