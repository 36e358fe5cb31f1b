"""Steps of collections: what a kill between any two of them leaves is gone on from."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from gateway.delivery import collection_steps
from gateway.delivery.collection_steps import (
    FORGOTTEN_AFTER,
    CollectionStep,
    SourceAnswer,
    advance,
    answered,
    complete_now,
)
from gateway.model.collection import CollectionState, CollectionTerms, CollectionTest, Membership, digest_of
from gateway.model.delivery import DeliveryState, Dispatch
from gateway.model.expectation import Expectation, ExpectedTerms
from gateway.ports.collections import CollectionFilter
from tests.support.fakes.memory_store import MemoryStore
from tests.support.samples import Clock, instance

TERMS = CollectionTerms("chest", quiet_s=60, at_most_s=600, late_for_s=3600)


class Site:
    """A store and its time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)

    def put(self, *numbers: int, terms: CollectionTerms = TERMS, matches: str = "") -> None:
        member = Membership(terms, "1.2.3", patient="p", matches=matches)
        for number in numbers:
            self.store.accept([(instance(number), [Dispatch("r", "pacs", collection=member)])], self.clock())

    def advance(self, seconds: float = 0.0, *, arriving: str = "") -> CollectionStep:
        """The next step of the first one, after so many seconds."""
        self.clock.advance(seconds)
        return advance(self.store, 1, lambda study: study == arriving)

    def answer(self, *numbers: int, question: int = 0, fault: str = "", arriving: str = "") -> CollectionStep:
        """The step that an answer with these instances makes."""
        uids = [instance(number).sop_instance_uid for number in numbers]
        known = {digest_of(uid): uid for uid in uids}
        with self.store.transaction():
            found = SourceAnswer(question or self.expectation.question, known, fault)
            return answered(self.store, 1, found, lambda study: study == arriving)

    @property
    def expectation(self) -> Expectation:
        return self.store.collections.list(CollectionFilter(), 1)[0].expectation

    @property
    def state(self) -> str:
        found = self.store.collections.list(CollectionFilter(), 1)
        return found[0].state.value if found else ""

    def due(self) -> int:
        return len(self.store.claim("pacs", 10_000, 60.0, self.clock()))


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_life_of_a_collection(site: Site) -> None:
    site.put(1, 2)
    assert (site.advance(59).is_completed, site.state, site.due()) == (False, "open", 0)
    step = site.advance(1)
    assert (step.is_completed, step.destinations, step.deliveries, step.goes_on) == (
        True,
        frozenset({"pacs"}),
        2,
        False,
    )
    assert step.collection is not None
    assert (step.collection.result, step.collection.instances) == ("unverified", 2)
    assert (site.state, site.due()) == ("complete", 2)
    site.advance(3600)
    assert site.state == "closed"
    site.advance(FORGOTTEN_AFTER.total_seconds())
    assert site.state == ""
    assert site.advance().collection is None


def test_it_is_put_off_while_objects_come(site: Site) -> None:
    site.put(1)
    site.clock.advance(30)
    site.put(2)
    assert not site.advance(30).is_completed
    assert site.store.collections.next_deadline() == site.clock() + timedelta(seconds=30)
    assert site.advance(30).is_completed


def test_it_is_put_off_while_an_object_is_on_its_way_in(site: Site) -> None:
    site.put(1)
    assert not site.advance(60, arriving="1.2.3").is_completed
    assert not site.advance(60, arriving="1.2.3").is_completed
    assert site.advance(60, arriving="9.9").is_completed


def test_pages_are_let_go_one_after_the_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_steps, "PAGE", 2)
    site.put(1, 2, 3, 4)
    found = [site.advance(60), site.advance(), site.advance(), site.advance()]
    assert [(step.deliveries, step.is_completed, step.goes_on) for step in found] == [
        (2, False, True),
        (2, False, True),
        (0, True, False),
        (0, False, False),
    ]
    assert site.due() == 4


@pytest.mark.parametrize("broken", range(4))
def test_a_step_that_is_not_committed_is_taken_again(site: Site, monkeypatch: pytest.MonkeyPatch, broken: int) -> None:
    monkeypatch.setattr(collection_steps, "PAGE", 2)
    site.put(1, 2, 3)
    site.clock.advance(60)
    completed = 0
    for number in range(5):
        if number == broken:
            with pytest.raises(ZeroDivisionError), site.store.transaction():
                _take_and_break(site)
        with site.store.transaction():
            completed += advance(site.store, 1, lambda _: False).is_completed
    assert (completed, site.state, site.due()) == (1, "complete", 3)


def _take_and_break(site: Site) -> None:
    advance(site.store, 1, lambda _: False)
    raise ZeroDivisionError


def test_an_unmatched_one_is_closed_and_the_next_object_begins_anew(site: Site) -> None:
    terms = dataclasses.replace(TERMS, tests=(CollectionTest("any"),))
    site.put(1, terms=terms, matches="0")
    assert not site.advance(60).is_completed
    step = site.advance(540)
    assert step.is_completed
    assert step.collection is not None
    assert (step.collection.state, step.collection.result) == (CollectionState.CLOSED, "unmatched")
    assert [row.delivery.state for row in site.store.rows.values()] == [DeliveryState.HELD]
    site.put(2, terms=terms, matches="1")
    assert [one.generation for one in site.store.collections.list(CollectionFilter(), 10)] == [1, 2]


def test_one_that_an_operator_ended_goes_on_with_the_next_step(site: Site) -> None:
    site.put(1, 2, terms=dataclasses.replace(TERMS, tests=(CollectionTest("any"),)), matches="0")
    with site.store.transaction():
        complete_now(site.store, 1)
    assert (site.state, site.due()) == ("releasing", 0)
    step = site.advance()
    assert step.collection is not None
    assert (step.is_completed, step.deliveries, step.collection.result) == (True, 2, "forced"), "whole or not"
    assert (site.state, site.due()) == ("complete", 2)


ASKING = dataclasses.replace(TERMS, expect=ExpectedTerms("vna", every_s=30, timeout_s=10), if_incomplete="hold")
COUNTING = dataclasses.replace(TERMS, expect=ExpectedTerms(number=3), if_incomplete="hold")


def result(step: CollectionStep) -> tuple[bool, str, str]:
    collection = step.collection
    return (False, "", "") if collection is None else (step.is_completed, collection.result, collection.outcome)


def test_a_source_is_asked_when_nothing_comes_and_its_second_equal_answer_verifies(site: Site) -> None:
    site.put(1, 2, terms=ASKING)
    assert not site.advance(59).is_querying
    step = site.advance(1)
    assert (step.is_querying, site.expectation.question) == (True, 1)
    assert not site.answer(1, 2).is_completed
    assert not site.advance(29).is_querying
    assert site.advance(1).is_querying
    assert result(site.answer(2, 1)) == (True, "verified", "send")
    assert (site.state, site.due()) == ("complete", 2)


def test_what_is_missing_is_waited_for_and_named(site: Site) -> None:
    site.put(1, 2, terms=ASKING)
    assert site.advance(60).is_querying
    assert not site.answer(1, 2, 3).is_completed
    found = site.expectation
    assert (found.expected, found.missing, found.missing_uids) == (3, 1, (instance(3).sop_instance_uid,))
    site.put(3, terms=ASKING)
    assert site.advance(60).is_querying, "quiet again: it is asked though its pause is not over"
    assert result(site.answer(1, 2, 3)) == (True, "verified", "send"), "it said the same before"


def test_more_than_the_source_has_is_whole_and_other_instances_are_not(site: Site) -> None:
    site.put(1, 2, 3, terms=ASKING)
    site.advance(60)
    site.answer(1, 4)
    assert (site.expectation.expected, site.expectation.missing) == (2, 1), "3 of ours are no 4"
    site.put(4, terms=ASKING)
    site.advance(60)
    assert result(site.answer(1, 4)) == (True, "verified", "send")


def test_a_source_that_lacks_it_till_the_end_verifies_nothing(site: Site) -> None:
    site.put(1, terms=ASKING)
    questions = 0
    step = CollectionStep()
    while not step.is_completed:
        step = site.advance(10)
        if step.is_querying:
            questions += 1
            assert not site.answer().is_completed
    assert result(step) == (True, "unverified", "hold")
    assert (site.expectation.why, site.due()) == ("`vna` does not have it", 0)
    assert questions == 5, "after 60, 90, 150, 270 and 510 s"


def test_a_source_that_cannot_be_asked_ends_unverified_and_says_why(site: Site) -> None:
    site.put(1, terms=dataclasses.replace(ASKING, if_incomplete="drop"))
    site.advance(60)
    assert not site.answer(fault="it answered 0xA700").is_completed
    step = site.advance(540)
    assert result(step) == (True, "unverified", "hold"), "what may be whole is not deleted"
    assert site.expectation.why == "`vna` could not be asked: it answered 0xA700"


def test_an_answer_to_another_question_or_to_none_changes_nothing(site: Site) -> None:
    site.put(1, terms=ASKING)
    site.advance(60)
    before = site.expectation
    assert not site.answer(1, question=7).is_completed
    assert site.expectation == before
    with site.store.transaction():
        complete_now(site.store, 1)
    site.advance()
    assert not site.answer(1).is_completed
    assert site.state == "complete"
    site.advance(3600)
    site.advance(FORGOTTEN_AFTER.total_seconds())
    with site.store.transaction():
        assert answered(site.store, 1, SourceAnswer(1), lambda study: False) == CollectionStep()


def test_an_answer_while_an_object_is_on_its_way_in_decides_nothing(site: Site) -> None:
    site.put(1, terms=ASKING)
    site.advance(60)
    site.answer(1)
    site.advance(30)
    assert not site.answer(1, arriving="1.2.3").is_completed
    assert site.store.collections.next_deadline() == site.clock() + timedelta(seconds=60)


def test_a_lost_question_is_asked_again(site: Site) -> None:
    site.put(1, terms=ASKING)
    assert site.advance(60).is_querying
    assert not site.advance(24).is_querying
    step = site.advance(1)
    assert (step.is_querying, site.expectation.question) == (True, 2)


def test_a_lost_question_after_an_arrival_is_not_answered_by_what_was_known_before(site: Site) -> None:
    site.put(1, terms=ASKING)
    site.advance(60)
    site.answer(1)
    site.advance(30)
    site.clock.advance(5)
    site.answer(1, arriving="1.2.3")
    site.put(2, terms=ASKING)
    assert site.advance(60).is_querying, "something came: the source may have more now"
    step = site.advance(25)
    assert (step.is_completed, step.is_querying) == (False, True), "whoever asked died"
    assert not site.answer(1, 2, 3).is_completed
    assert site.expectation.missing == 1


def test_what_was_missing_and_came_is_not_dropped_while_the_source_is_asked(site: Site) -> None:
    terms = dataclasses.replace(ASKING, if_incomplete="drop")
    site.put(1, terms=terms)
    site.advance(60)
    site.answer(1, 2)
    site.clock.advance(450)
    site.put(2, terms=terms)
    assert site.advance(75).is_querying
    assert result(site.advance(15)) == (True, "unverified", "hold"), "the answer did not come in time"


def test_a_source_with_too_many_questions_is_asked_later(site: Site) -> None:
    site.put(1, terms=ASKING)
    site.clock.advance(60)
    step = advance(site.store, 1, lambda study: False, lambda source: source != "vna")
    assert (step.is_querying, site.expectation.question) == (False, 0)
    assert site.store.collections.next_deadline() == site.clock() + timedelta(seconds=30)
    assert site.advance(30).is_querying


@pytest.mark.parametrize("broken", range(4))
def test_a_kill_between_question_and_answer_loses_neither_end_nor_object(site: Site, broken: int) -> None:
    site.put(1, 2, terms=ASKING)
    site.clock.advance(60)
    completed = number = 0
    for _ in range(12):
        with site.store.transaction():
            step = advance(site.store, 1, lambda study: False)
        completed += step.is_completed
        if step.is_querying:
            number += 1
            completed += number != broken and site.answer(1, 2).is_completed  # else nobody hears the answer
        site.clock.advance(30)
    assert (completed, site.state, site.due()) == (1, "complete", 2)


def test_a_number_is_counted_at_each_end(site: Site) -> None:
    site.put(1, 2, terms=COUNTING)
    assert not site.advance(60).is_completed
    assert (site.expectation.expected, site.expectation.missing) == (3, 1)
    site.put(3, terms=COUNTING)
    assert not site.advance(59).is_completed
    assert result(site.advance(1)) == (True, "verified", "send")
    assert site.expectation.missing == 0


def test_a_number_that_is_never_reached_ends_overdue(site: Site) -> None:
    site.put(1, 2, terms=COUNTING)
    assert not site.advance(60).is_completed
    assert result(site.advance(540)) == (True, "overdue", "hold")
    assert (site.expectation.missing, site.expectation.why) == (1, "2 of 3 instances are here")


def test_the_objects_say_the_number(site: Site) -> None:
    terms = dataclasses.replace(COUNTING, expect=ExpectedTerms(), tests=(CollectionTest("any"),))
    site.put(1, terms=terms, matches="1")
    site.put(2, terms=terms, matches="1=2")
    assert result(site.advance(60)) == (True, "verified", "send")
    assert site.expectation.expected == 2


def test_series_are_counted(site: Site) -> None:
    site.put(1, 2, terms=dataclasses.replace(COUNTING, expect=ExpectedTerms(kind="series", number=1)))
    assert result(site.advance(60)) == (True, "verified", "send")
