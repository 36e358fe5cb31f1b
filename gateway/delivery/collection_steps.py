"""The steps in the life of a collection, each in one transaction of the store.

A kill between two of them leaves a state that the next look goes on from: a collection ends in one step, its deliveries
are let go in others, a page each, and with the last one it is complete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.model.collection import Collection, CollectionState, End, Wait, decide
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


def advance(store: Store, collection_id: int, is_arriving: Callable[[str], bool]) -> CollectionStep:
    """The next step of a collection whose deadline has come. `is_arriving`: an object of a study is on its way in."""
    now = store.administration.now()
    collection = store.collections.take(collection_id)
    if collection is None or collection.deadline_at is None or collection.deadline_at > now:
        return CollectionStep(collection)
    if collection.is_undecidable:
        return CollectionStep(collection, problem=f"cannot be read by this version: {collection.unreadable}")
    match collection.state:
        case CollectionState.OPEN:
            return _decide(store, collection, now, is_arriving=is_arriving(collection.study_instance_uid))
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


def _decide(store: Store, collection: Collection, now: datetime, *, is_arriving: bool) -> CollectionStep:
    """The one place where a collection ends by itself."""
    totals = store.collections.totals(collection.collection_id)
    decision = decide(collection, totals, now, is_arriving=is_arriving)
    if isinstance(decision, Wait):
        store.collections.put_off(collection.collection_id, decision.until)
        return CollectionStep(collection)
    return _end(store, collection, decision, now)


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
