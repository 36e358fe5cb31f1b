"""The steps in the life of a collection, each in one transaction of the store.

A kill between two of them leaves a state that the next look goes on from: a collection ends in one step, its deliveries
are let go in others, a page each, and with the last one it is complete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from gateway.model.collection import Collection, CollectionState, End, Wait, decide, digest_of
from gateway.model.expectation import Expectation, ExpectedTerms, counted
from gateway.ports.collections import CollectionFilter
from gateway.ports.store import Store

PAGE = 500
"""Deliveries that are let go in one transaction."""
FORGOTTEN_AFTER = timedelta(days=7)
"""Operators see a closed collection for so long."""


@dataclasses.dataclass(frozen=True, slots=True)
class CollectionStep:
    """The result of one step."""

    collection: Collection | None = None
    """As it is now; None when it is gone, or somebody else works on it."""
    destinations: frozenset[str] = frozenset()
    """Where deliveries are due now."""
    deliveries: int = 0
    """The number of those that were let go."""
    is_completed: bool = False
    """It is complete with this step."""
    goes_on: bool = False
    """There is more to be done now."""
    problem: str = ""
    """Why nothing was done to one that is due: it stays as it is. No error, since others share the transaction."""
    is_querying: bool = False
    """Its source is to be asked now: the question is that of `collection.expectation`."""
    is_held: bool = False
    """Somebody else works on it."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourceAnswer:
    """The answer of a source to one question, or the reason why there is none."""

    question: int
    uids: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Keys of SOP Instance UIDs (`gateway.model.collection.digest_of`) → these, of all instances that it has."""
    fault: str = ""


def advance(
    store: Store,
    collection_id: int,
    is_arriving: Callable[[str], bool],
    can_query: Callable[[str], bool] = lambda _: True,
) -> CollectionStep:
    """The next step of a collection whose deadline has come.

    Args:
        is_arriving: an object of a study is on its way in.
        can_query: one more question to a source of this name may wait for its answer.
    """
    now = store.administration.now()
    collection = store.collections.take(collection_id)
    if collection is None or collection.deadline_at is None or collection.deadline_at > now:
        return CollectionStep(collection)
    if collection.is_undecidable:
        return CollectionStep(collection, problem=f"cannot be read by this version: {collection.unreadable}")
    match collection.state:
        case CollectionState.OPEN:
            arriving = is_arriving(collection.study_instance_uid)
            return _decide(store, collection, now, is_arriving=arriving, can_query=can_query)
        case CollectionState.RELEASING:
            return _let_go(store, collection, now)
        case CollectionState.COMPLETE:
            store.collections.close(collection_id, now + FORGOTTEN_AFTER)
        case CollectionState.CLOSED:
            store.collections.forget(collection_id)
    return CollectionStep(collection)


def complete_now(store: Store, collection_id: int) -> None:
    """An operator ends an open one that `take` gave: the next step of whoever looks, which is due now, lets its first
    deliveries go."""
    store.collections.end(collection_id, End("forced", "send"))


def discard_now(store: Store, collection_id: int) -> None:
    """The same of one that is not wanted: the steps delete its deliveries."""
    store.collections.end(collection_id, End("discarded", "drop"))


def answered(
    store: Store, collection_id: int, answer: SourceAnswer, is_arriving: Callable[[str], bool]
) -> CollectionStep:
    """The step that an answer makes. An answer to another question than the last one, or about a collection that has
    ended, changes nothing."""
    if not store.collections.list(CollectionFilter(ids=(collection_id,)), 1):
        return CollectionStep()
    now = store.administration.now()
    collection = store.collections.take(collection_id)
    if collection is None:
        return CollectionStep(is_held=True)
    expect, known = collection.terms.expect, collection.expectation
    if not collection.is_open or expect is None or known.question != answer.question:
        return CollectionStep(collection)
    if answer.fault:
        known = known.failed(expect, answer.fault, now)
    else:
        lacking = store.collections.lacking(collection_id, list(answer.uids))
        uids = [answer.uids[key] for key in lacking]
        known = known.answered(expect, digest_of(*sorted(answer.uids)), len(answer.uids), uids, now)
    store.collections.expect(collection_id, known)
    collection = dataclasses.replace(collection, expectation=known)
    arriving = is_arriving(collection.study_instance_uid)
    return _decide(store, collection, now, is_arriving=arriving, can_query=lambda _: False)


def _decide(
    store: Store, collection: Collection, now: datetime, *, is_arriving: bool, can_query: Callable[[str], bool]
) -> CollectionStep:
    """The one place where a collection ends by itself."""
    number, expect = collection.collection_id, collection.terms.expect
    totals = store.collections.totals(number)
    if expect is not None and not expect.source:
        collection = _counted(store, collection, expect, totals)
    decision = decide(collection, totals, now, is_arriving=is_arriving)
    if isinstance(decision, End):
        return _end(store, collection, decision, now)
    if isinstance(decision, Wait):
        store.collections.put_off(number, decision.until)
        return CollectionStep(collection)
    assert expect is not None, "otherwise nobody is asked"
    if not can_query(expect.source):
        store.collections.put_off(number, min(now + expect.every, collection.at_most_at))
        return CollectionStep(collection)
    querying = collection.expectation.querying(expect, now, collection.last_arrival_at)
    store.collections.expect(number, querying)
    store.collections.put_off(number, min(querying.querying_until, collection.at_most_at))
    return CollectionStep(dataclasses.replace(collection, expectation=querying), is_querying=True)


def _counted(store: Store, collection: Collection, expect: ExpectedTerms, totals: Mapping[str, int]) -> Collection:
    """The collection with what its numbers say now."""
    series = store.collections.series(collection.collection_id) if expect.kind == "series" else 0
    known: Expectation = counted(expect, totals, series)
    if known != collection.expectation:
        store.collections.expect(collection.collection_id, known)
    return dataclasses.replace(collection, expectation=known)


def _end(store: Store, collection: Collection, end: End, now: datetime) -> CollectionStep:
    store.collections.end(collection.collection_id, end)
    ended = dataclasses.replace(collection, state=CollectionState.RELEASING, result=end.result, outcome=end.outcome)
    return _let_go(store, ended, now)


def _let_go(store: Store, collection: Collection, now: datetime) -> CollectionStep:
    gone = store.collections.let_go(collection, PAGE, now)
    if not gone.is_last:
        return CollectionStep(collection, gone.destinations, gone.deliveries, goes_on=True)
    state = CollectionState.COMPLETE
    if collection.outcome in ("drop", "unmatched"):
        state = CollectionState.CLOSED  # what comes now may be wanted: it begins a new generation
        store.collections.close(collection.collection_id, now + FORGOTTEN_AFTER)
    completed = dataclasses.replace(collection, state=state, completed_at=now)
    return CollectionStep(completed, gone.destinations, gone.deliveries, is_completed=True)
