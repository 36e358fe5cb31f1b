"""Steps of collections: what a kill between any two of them leaves is gone on from."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from gateway.delivery import collection_steps
from gateway.delivery.collection_steps import FORGOTTEN_AFTER, CollectionStep, advance, complete_now
from gateway.model.collection import CollectionState, CollectionTerms, CollectionTest, Membership
from gateway.model.delivery import DeliveryState, Dispatch
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
