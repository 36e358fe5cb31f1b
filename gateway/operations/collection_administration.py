"""Operators look at studies and series as wholes, end or discard one now, and put its end off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.delivery.collection_steps import complete_now, discard_now
from gateway.model.collection import Collection, CollectionState
from gateway.model.expectation import counted
from gateway.operations.administration_record import note_whole
from gateway.operations.queue_administration import Operator
from gateway.ports.collections import CollectionFilter
from gateway.ports.errors import ConfigurationError
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess

MOST_EXTENDED = timedelta(days=30)
"""The longest time by which one command puts an end off."""
TRIES = 200
"""An acceptance or a step holds a collection for milliseconds; then it is free."""
PAUSE_S = 0.025

CollectionJSON = dict[str, Any]


class CannotChange(ConfigurationError):
    """The collection is not there, has ended, or is busy; `str()` says which."""


@dataclass(frozen=True, slots=True)
class CollectionListing:
    """Collections at one time."""

    described: list[CollectionJSON]
    total: int
    """The number of all that fit; `described` are the first of them."""


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """The change of a verb to a collection, done or looked at."""

    collection: Collection
    deliveries: int
    """Those that wait for its end."""
    not_before: datetime | None = None
    """The wall clock's time before which it does not end by itself, of one that was extended."""


async def list_collections(access: StoreAccess, which: CollectionFilter, limit: int) -> CollectionListing:
    """Up to `limit` that fit, the last arrival first."""

    def read(store: Store) -> CollectionListing:
        described = [collection_json(each, store) for each in store.collections.newest(which, limit)]
        total = store.collections.count(which) if len(described) == limit else len(described)
        return CollectionListing(described, total)

    return await access.read(read)


async def show_collection(access: StoreAccess, collection_id: int) -> CollectionJSON:
    """One with its times and the number of deliveries that wait for it. Raises CannotChange when it is not there."""

    def read(store: Store) -> CollectionJSON:
        found = _there(store, collection_id)
        on_the_wall = store.administration.on_the_wall
        return {
            **collection_json(found, store),
            "opened_at": on_the_wall(found.opened_at).isoformat(),
            "at_most_at": on_the_wall(found.at_most_at).isoformat(),
            "completed_at": None if found.completed_at is None else on_the_wall(found.completed_at).isoformat(),
            "waiting": store.collections.waiting(collection_id),
            **_expects(found, store),
            "late": found.late,
            "repeated": found.repeated,
            "replaced": found.replaced,
            "ignored": found.ignored,
        }

    return await access.read(read)


async def is_known_name(access: StoreAccess, name: str) -> bool:
    """True when the store has a collection of this name, in whatever state."""
    return await access.read(lambda store: bool(store.collections.list(CollectionFilter(name=name), 1)))


async def complete_collection(
    access: StoreAccess,
    collection_id: int,
    by: Operator,
    now: datetime,
    *,
    is_dry_run: bool = False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> CollectionChange:
    """End an open one as `forced`, and record who did. Whoever looks at what is due lets its deliveries go. `now` is
    the wall clock's time.

    Raises:
        CannotChange: with the reason.
        SpoolFull, Temporary, QueueBroken: of the store.
    """

    by_verb = _ended_by(collection_id, "complete", "complete", complete_now, by, now)
    return await _changed(access, collection_id, *by_verb, pause, is_dry_run=is_dry_run)


async def discard_collection(
    access: StoreAccess,
    collection_id: int,
    by: Operator,
    now: datetime,
    *,
    is_dry_run: bool = False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> CollectionChange:
    """End an open one as `discarded`, and record who did. Whoever looks at what is due deletes the deliveries that wait
    for it. Raises as `complete_collection`."""

    by_verb = _ended_by(collection_id, "discard", "discard collection", discard_now, by, now)
    return await _changed(access, collection_id, *by_verb, pause, is_dry_run=is_dry_run)


def _ended_by(
    collection_id: int, verb: str, recorded_as: str, end: Callable[[Store, int], None], by: Operator, now: datetime
) -> tuple[Callable[[Store], CollectionChange], Callable[[Store, CollectionChange], None]]:
    """A verb that ends an open one now: its look, and its change."""

    def look(store: Store) -> CollectionChange:
        return CollectionChange(_open(store, collection_id, verb), store.collections.waiting(collection_id))

    def change(store: Store, found: CollectionChange) -> None:
        end(store, collection_id)
        _record(store, recorded_as, found, by, now)

    return look, change


async def extend_collection(
    access: StoreAccess,
    collection_id: int,
    longer: timedelta,
    by: Operator,
    now: datetime,
    *,
    is_dry_run: bool = False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> CollectionChange:
    """Put the end of an open one off by `longer`, from when it would be quiet, or from now when that is over, and
    record who did. `at_most` moves with it where that is earlier. Raises as `complete_collection`."""

    def until(store: Store, found: Collection) -> datetime:
        return max(found.quiet_at, store.administration.now()) + longer

    def look(store: Store) -> CollectionChange:
        found = _open(store, collection_id, "extend")
        if found.unreadable:
            raise CannotChange(f"collection {collection_id} cannot be read by this version ({found.unreadable})")
        not_before = store.administration.on_the_wall(until(store, found))
        return CollectionChange(found, store.collections.waiting(collection_id), not_before)

    def change(store: Store, found: CollectionChange) -> None:
        store.collections.extend(collection_id, until(store, found.collection))
        _record(store, "extend", found, by, now)

    return await _changed(access, collection_id, look, change, pause, is_dry_run=is_dry_run)


async def _changed(
    access: StoreAccess,
    collection_id: int,
    look: Callable[[Store], CollectionChange],
    change: Callable[[Store, CollectionChange], None],
    pause: Callable[[float], Awaitable[None]],
    *,
    is_dry_run: bool,
) -> CollectionChange:
    """The answer of `look`, after `change` of it in the same transaction: all of it, or nothing."""
    if is_dry_run:
        return await access.read(look)

    def both(store: Store) -> CollectionChange | None:
        _there(store, collection_id)
        if store.collections.take(collection_id) is None:
            return None
        found = look(store)
        change(store, found)
        return found

    for _ in range(TRIES):
        done = await access.write(both)
        if done is not None:
            await access.sync()
            return done
        await pause(PAUSE_S)
    raise CannotChange(f"others work on collection {collection_id} without a pause; ask again")


def _there(store: Store, collection_id: int) -> Collection:
    found = store.collections.list(CollectionFilter(ids=(collection_id,)), 1)
    if not found:
        raise CannotChange(f"there is no collection {collection_id}; see `gateway collection list`")
    return found[0]


def _open(store: Store, collection_id: int, verb: str) -> Collection:
    found = _there(store, collection_id)
    if not found.is_open:
        why = f" ({found.unreadable})" if found.unreadable else ""
        what = f"is {found.state.value}{why}: `{verb}` is for those that are open"
        raise CannotChange(f"collection {collection_id} {what}")
    return found


def _record(store: Store, verb: str, found: CollectionChange, by: Operator, now: datetime) -> None:
    """The operation and the change are kept together."""
    one = found.collection
    which = {"collection": one.collection_id, "name": one.terms.name, "study_instance_uid": one.study_instance_uid}
    if found.not_before is not None:
        which["not_before"] = found.not_before.isoformat(timespec="seconds")
    note_whole(store, verb, which, found.deliveries, by, now)


def collection_json(found: Collection, store: Store) -> CollectionJSON:
    """One collection. Of its objects it has UIDs alone; times are the wall clock's."""
    now, on_the_wall = store.administration.now(), store.administration.on_the_wall
    deadline = _deadline(found, now)
    return {
        "id": found.collection_id,
        "name": found.terms.name,
        "level": found.terms.level,
        "study_instance_uid": found.study_instance_uid,
        "series_instance_uid": found.series_instance_uid,
        "generation": found.generation,
        "state": found.state.value,
        "instances": found.instances,
        **_expected(found, store),
        "last_arrival_at": on_the_wall(found.last_arrival_at).isoformat(),
        "deadline_at": None if deadline is None else on_the_wall(deadline).isoformat(),
        "deadline_in_s": None if deadline is None else round((deadline - now).total_seconds()),
        "result": found.result,
        "outcome": found.outcome,
        "flags": found.flag.split(),
        "unreadable": found.unreadable,
    }


def _expected(found: Collection, store: Store) -> CollectionJSON:
    """The number that is expected, that of what is missing, and why the whole is not verified."""
    expect, known = found.terms.expect, found.expectation
    if expect is not None and not expect.source and found.is_open:
        series = store.collections.series(found.collection_id) if expect.kind == "series" else 0
        known = counted(expect, store.collections.totals(found.collection_id), series)
    why = known.why
    if expect is not None and expect.source and found.is_open and not known.question:
        why = f"`{expect.source}` is asked when nothing comes any more"
    return {"expected": known.expected, "missing": known.missing, "why": why}


def _expects(found: Collection, store: Store) -> CollectionJSON:
    """The questions to the source of one, and what it has that is missing."""
    expect, known = found.terms.expect, found.expectation
    if expect is None or not expect.source:
        return {}
    now, on_the_wall = store.administration.now(), store.administration.on_the_wall
    was_queried = known.question > 0
    return {
        "source": expect.source,
        "questions": known.question,
        "queried_at": on_the_wall(known.queried_at).isoformat() if was_queried else None,
        "is_waiting_for_an_answer": found.is_open and now < known.querying_until,
        "queried_again_at": on_the_wall(max(known.next_at, now)).isoformat() if found.is_open and was_queried else None,
        "missing_uids": list(known.missing_uids),
    }


def _deadline(found: Collection, now: datetime) -> datetime | None:
    """The time of the next decision. An arrival moves none; an open one that has one since waits for its quiet."""
    if found.state is CollectionState.RELEASING:
        return now
    if found.is_open and found.deadline_at is not None:
        return max(found.deadline_at, min(found.quiet_at, found.at_most_at))
    return found.deadline_at
