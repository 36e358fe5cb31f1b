"""Decisions about collections, as tables."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import pytest

from gateway.model.collection import (
    Again,
    Collection,
    CollectionState,
    CollectionTerms,
    CollectionTest,
    End,
    JoinKind,
    Late,
    Membership,
    Placement,
    QuerySource,
    Wait,
    decide,
    digest_of,
    flags,
    holds,
    placement,
)
from gateway.model.expectation import Expectation, ExpectedTerms
from tests.support.samples import NOON

TERMS = CollectionTerms("chest", quiet_s=60, at_most_s=600, late_for_s=3600, if_incomplete="hold")
ANY_CT = dataclasses.replace(TERMS, tests=(CollectionTest("any"),))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def collection(terms: CollectionTerms = TERMS, last_s: float = 0.0, not_before_s: float = -1e6) -> Collection:
    return Collection(
        1, terms, "1.2.3", "", "p", 1, CollectionState.OPEN, NOON, at(last_s), at(600), at(not_before_s), at(60)
    )


ASKED = ExpectedTerms("pacs", every_s=30, timeout_s=10)
ASKING = dataclasses.replace(TERMS, expect=ASKED)
COUNTING = dataclasses.replace(TERMS, expect=ExpectedTerms(number=3))
WHOLE = Expectation(3, 0, question=2, queried_at=at(60), next_at=at(91), answer="a")
ONCE = dataclasses.replace(WHOLE, why="once")
LACKING = dataclasses.replace(WHOLE, missing=1, why="1 is missing")
OPEN_QUESTION = dataclasses.replace(ONCE, querying_until=at(80))
UNKNOWN = Expectation(why="refused", question=1, queried_at=at(60), next_at=at(120))


def expecting(known: Expectation, terms: CollectionTerms = ASKING, last_s: float = 0.0) -> Collection:
    return dataclasses.replace(collection(terms, last_s), expectation=known)


def dropping(known: Expectation, terms: CollectionTerms = ASKING, last_s: float = 0.0) -> Collection:
    return expecting(known, dataclasses.replace(terms, if_incomplete="drop"), last_s)


@pytest.mark.parametrize(
    ("made", "now_s", "is_arriving", "decision"),
    [
        pytest.param(expecting(Expectation()), 59, False, Wait(at(60)), id="not quiet: nobody is asked"),
        pytest.param(expecting(Expectation()), 60, True, Wait(at(120)), id="on its way in: nobody is asked"),
        pytest.param(expecting(Expectation()), 60, False, QuerySource(), id="quiet"),
        pytest.param(expecting(OPEN_QUESTION), 79, False, Wait(at(80)), id="a question is open"),
        pytest.param(expecting(OPEN_QUESTION), 80, False, Wait(at(91)), id="a question is lost"),
        pytest.param(expecting(ONCE), 90, False, Wait(at(91)), id="said once"),
        pytest.param(expecting(ONCE), 91, False, QuerySource(), id="said once, and asked again"),
        pytest.param(expecting(WHOLE), 70, False, End("verified", "send"), id="said twice"),
        pytest.param(expecting(WHOLE, last_s=65), 70, False, Wait(at(125)), id="said twice, and something came"),
        pytest.param(expecting(WHOLE, last_s=65), 125, False, QuerySource(), id="and asked again"),
        pytest.param(expecting(WHOLE), 600, True, End("verified", "send"), id="whole at the last moment"),
        pytest.param(expecting(LACKING), 70, False, Wait(at(91)), id="something is missing"),
        pytest.param(expecting(LACKING, last_s=65), 125, False, QuerySource(), id="something came: asked at once"),
        pytest.param(expecting(LACKING), 600, False, End("overdue", "hold"), id="missing at the end"),
        pytest.param(dropping(LACKING), 600, False, End("overdue", "drop"), id="missing at the end, dropped"),
        pytest.param(dropping(LACKING, last_s=100), 600, False, End("unverified", "hold"), id="missing, long ago"),
        pytest.param(dropping(LACKING), 600, True, End("overdue", "hold"), id="missing, and it may be on its way in"),
        pytest.param(dropping(WHOLE, last_s=590), 600, False, End("overdue", "hold"), id="whole, and more came: kept"),
        pytest.param(dropping(LACKING, last_s=590), 600, False, End("overdue", "hold"), id="it may have come: kept"),
        pytest.param(expecting(UNKNOWN), 119, False, Wait(at(120)), id="it cannot be asked"),
        pytest.param(expecting(UNKNOWN), 120, False, QuerySource(), id="it could not be asked"),
        pytest.param(expecting(UNKNOWN), 600, False, End("unverified", "hold"), id="it never could be asked"),
        pytest.param(dropping(UNKNOWN), 600, False, End("unverified", "hold"), id="what may be whole is kept"),
        pytest.param(expecting(ONCE), 600, False, End("unverified", "hold"), id="once is not enough"),
        pytest.param(expecting(OPEN_QUESTION), 600, False, End("unverified", "hold"), id="a question is no reason"),
        pytest.param(expecting(ONCE, last_s=590), 600, False, End("overdue", "hold"), id="objects still come"),
        pytest.param(
            expecting(dataclasses.replace(OPEN_QUESTION, queried_at=at(9000), querying_until=at(9020))),
            *(70, False, QuerySource()),
            id="the clock was set back",
        ),
        pytest.param(expecting(Expectation(3, 0), COUNTING), 60, False, End("verified", "send"), id="all of them"),
        pytest.param(expecting(Expectation(3, 0), COUNTING), 59, False, Wait(at(60)), id="all, and not quiet"),
        pytest.param(expecting(Expectation(3, 1, why="2"), COUNTING), 60, False, Wait(at(600)), id="one is missing"),
        pytest.param(
            dropping(Expectation(3, 1, why="2"), COUNTING), 600, False, End("overdue", "drop"), id="and never comes"
        ),
        pytest.param(
            dropping(Expectation(3, 0, why="4"), COUNTING), 60, False, End("unverified", "hold"), id="one too many"
        ),
        pytest.param(
            expecting(Expectation(why="none"), COUNTING), 60, False, End("unverified", "hold"), id="no object says it"
        ),
        pytest.param(
            dropping(Expectation(3, 0), COUNTING, 590), 600, False, End("verified", "send"), id="all at the last moment"
        ),
    ],
)
def test_one_of_which_the_whole_is_expected(
    made: Collection, now_s: float, is_arriving: bool, decision: Wait | QuerySource | End
) -> None:
    assert decide(made, {"": 3}, at(now_s), is_arriving=is_arriving) == decision


def test_nobody_is_asked_about_what_is_not_meant() -> None:
    made = expecting(Expectation(), dataclasses.replace(ANY_CT, expect=ASKED))
    assert decide(made, {"0": 3}, at(60)) == Wait(at(600))
    assert decide(made, {"0": 3}, at(600)) == End("unmatched", "unmatched")


@pytest.mark.parametrize(
    ("made", "totals", "now_s", "is_arriving", "decision"),
    [
        pytest.param(collection(), {"": 1}, 59, False, Wait(at(60)), id="not yet quiet"),
        pytest.param(collection(), {"": 1}, 60, False, End("unverified", "send"), id="quiet"),
        pytest.param(collection(last_s=30), {"": 2}, 60, False, Wait(at(90)), id="something came since"),
        pytest.param(collection(), {"": 1}, 60, True, Wait(at(120)), id="something is on its way in"),
        pytest.param(collection(last_s=580), {"": 1}, 590, False, Wait(at(600)), id="never after at_most"),
        pytest.param(collection(last_s=590), {"": 1}, 600, False, End("overdue", "hold"), id="objects still come"),
        pytest.param(collection(last_s=100), {"": 1}, 600, True, End("overdue", "hold"), id="one is on its way in"),
        pytest.param(collection(last_s=100), {"": 1}, 9000, False, End("unverified", "send"), id="decided late"),
        pytest.param(collection(ANY_CT), {"0": 3}, 60, False, Wait(at(600)), id="when does not hold yet"),
        pytest.param(collection(ANY_CT), {"0": 3, "1": 1}, 60, False, End("unverified", "send"), id="when holds"),
        pytest.param(collection(ANY_CT), {"0": 3}, 600, False, End("unmatched", "unmatched"), id="when never held"),
        pytest.param(
            collection(ANY_CT, 590), {"0": 3}, 600, False, End("unmatched", "unmatched"), id="nor while objects come"
        ),
        pytest.param(collection(not_before_s=300), {"": 1}, 60, False, Wait(at(300)), id="extended"),
    ],
)
def test_when_a_collection_ends(
    made: Collection, totals: dict[str, int], now_s: float, is_arriving: bool, decision: Wait | End
) -> None:
    assert decide(made, totals, at(now_s), is_arriving=is_arriving) == decision


@pytest.mark.parametrize(
    ("test", "totals", "expected"),
    [
        (CollectionTest("any"), {"1": 1, "0": 5}, True),
        (CollectionTest("any"), {"0": 5}, False),
        (CollectionTest("every"), {"1": 2}, True),
        (CollectionTest("every"), {"1": 2, "0": 1}, False),
        (CollectionTest("count", 2), {"1": 2}, True),
        (CollectionTest("count", 3), {"1": 2}, False),
        (CollectionTest("count", 0, 1), {"1": 2}, False),
        (CollectionTest("count", 0, 0), {"0": 2}, True),
    ],
)
def test_what_holds_for_a_number_of_instances(test: CollectionTest, totals: dict[str, int], expected: bool) -> None:
    assert holds(dataclasses.replace(TERMS, tests=(test,)), totals) is expected


def test_all_tests_are_to_hold() -> None:
    terms = dataclasses.replace(TERMS, tests=(CollectionTest("any"), CollectionTest("every")))
    assert holds(terms, {"11": 2})
    assert not holds(terms, {"11": 2, "10": 1})
    assert holds(TERMS, {"": 1}), "without `when`"


OPEN = collection()
COMPLETE = dataclasses.replace(OPEN, state=CollectionState.COMPLETE, completed_at=at(60), outcome="send")
RELEASING = dataclasses.replace(OPEN, state=CollectionState.RELEASING, outcome="send")
CLOSED = dataclasses.replace(OPEN, state=CollectionState.CLOSED)


@pytest.mark.parametrize(
    ("newest", "known", "late", "again", "now_s", "kind", "is_replacing"),
    [
        pytest.param(None, None, "supplement", "never", 0, JoinKind.NEW_GENERATION, False, id="the first"),
        pytest.param(OPEN, None, "ignore", "never", 0, JoinKind.JOIN, False, id="one more"),
        pytest.param(OPEN, "same", "ignore", "never", 0, JoinKind.JOIN, False, id="the same again"),
        pytest.param(OPEN, "other", "ignore", "never", 0, JoinKind.JOIN, True, id="other bytes"),
        pytest.param(RELEASING, None, "supplement", "never", 60, JoinKind.SUPPLEMENT, False, id="while it is let go"),
        pytest.param(COMPLETE, None, "supplement", "never", 99, JoinKind.SUPPLEMENT, False, id="late"),
        pytest.param(COMPLETE, None, "new", "never", 99, JoinKind.NEW_GENERATION, False, id="late and new"),
        pytest.param(COMPLETE, None, "ignore", "never", 99, JoinKind.IGNORE, False, id="late and ignored"),
        pytest.param(COMPLETE, None, "ignore", "never", 3660, JoinKind.NEW_GENERATION, False, id="much later"),
        pytest.param(COMPLETE, "same", "supplement", "never", 99, JoinKind.REPEATED, False, id="again"),
        pytest.param(COMPLETE, "same", "supplement", "new", 99, JoinKind.NEW_GENERATION, False, id="again and new"),
        pytest.param(COMPLETE, "same", "supplement", "replaced", 99, JoinKind.REPEATED, False, id="not replaced"),
        pytest.param(COMPLETE, "other", "supplement", "replaced", 99, JoinKind.NEW_GENERATION, True, id="replaced"),
        pytest.param(COMPLETE, "other", "supplement", "never", 99, JoinKind.SUPPLEMENT, True, id="replaced and late"),
        pytest.param(COMPLETE, "other", "ignore", "never", 99, JoinKind.IGNORE, True, id="replaced and ignored"),
        pytest.param(CLOSED, "same", "ignore", "never", 99, JoinKind.NEW_GENERATION, False, id="closed"),
    ],
)
def test_where_an_object_goes(
    newest: Collection | None,
    known: str | None,
    late: Late,
    again: Again,
    now_s: float,
    kind: JoinKind,
    is_replacing: bool,
) -> None:
    terms = dataclasses.replace(TERMS, late=late, again=again)
    newest = None if newest is None else dataclasses.replace(newest, terms=terms)
    assert placement(newest, known, "same", TERMS, at(now_s)) == Placement(kind, is_replacing)


@pytest.mark.parametrize("outcome", ["drop", "unmatched"])
def test_an_object_that_comes_while_others_are_dropped_begins_anew(outcome: str) -> None:
    newest = dataclasses.replace(RELEASING, outcome=outcome)  # type: ignore[arg-type]
    assert placement(newest, None, "same", TERMS, at(60)).kind is JoinKind.NEW_GENERATION


def test_keys_tell_definition_level_study_and_series_apart() -> None:
    terms = dataclasses.replace(TERMS, level="series")
    keys = {
        Membership(TERMS, "1.2").collected_key,
        Membership(dataclasses.replace(TERMS, name="other"), "1.2").collected_key,
        Membership(TERMS, "1.3").collected_key,
        Membership(terms, "1.2", "5").collected_key,
        Membership(terms, "1.2", "6").collected_key,
    }
    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}
    assert Membership(TERMS, "1.2", patient="p").collected_key == Membership(TERMS, "1.2", patient="q").collected_key


def test_a_digest_takes_any_text() -> None:
    assert digest_of("a", "b") != digest_of("ab", "") != digest_of("", "ab")
    assert len(digest_of("\ud800")) == 32


def test_flags_are_words_in_order() -> None:
    assert flags("patients", "", "institutions patients") == "institutions patients"
