"""Operators' verbs on any number of deliveries, beside a gateway that goes on: many small transactions.

Between two of them all that wait have a turn. An interrupted verb keeps its finished transactions; the same verb
again does the rest. Each transaction notes in the record of operations what it did.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from gateway.common.steady_clock import utc_now
from gateway.model.delivery import DeliveryState
from gateway.model.priority import Priority
from gateway.operations.kept_changes import drop_old_changes, kept_changes
from gateway.operations.operation_listing import filter_as_json
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.ports.operation_log import OperationRecord, OperationState
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess
from gateway.ports.undo_log import KEPT_FOR, MOST_UNDONE

_T = TypeVar("_T")

LARGEST_BATCH, SMALLEST_BATCH = 1000, 25
"""Deliveries a transaction."""
SLOW_S, FAST_S = 0.05, 0.015
"""A transaction that lasts longer than `SLOW_S` halves the next one, down to the smallest; a faster one doubles it."""
SHORTEST_PAUSE_S = 0.005
"""Between two transactions, where their own length is not more. Others that wait for the store look every few
milliseconds."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of an operator, and the states that it applies to."""

    name: str
    done: str
    states: tuple[DeliveryState, ...]
    even_if_doubtful: bool = False
    """Also to what its destination may have, where a verb asks."""
    priority: Priority | None = None
    """The one that deliveries get."""


RETRY = Verb("retry", "retried", (DeliveryState.DEAD, DeliveryState.PENDING))
HOLD = Verb("hold", "held", (DeliveryState.PENDING, DeliveryState.DEAD))
RELEASE = Verb("release", "released", (DeliveryState.HELD,))
RELEASE_EVEN_IF_DOUBTFUL = replace(RELEASE, even_if_doubtful=True)
RETARGET = Verb("retarget", "re-targeted", (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD))
RETARGET_EVEN_IF_DOUBTFUL = replace(RETARGET, even_if_doubtful=True)
SEND_AGAIN = Verb("send-again", "sent again", (DeliveryState.DELIVERED,))
PRIORITIES = {
    each: Verb(
        "priority", f"made {each.word}", (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.HELD), priority=each
    )
    for each in Priority
}
DISCARD = Verb("discard", "discarded", (DeliveryState.DEAD, DeliveryState.HELD, DeliveryState.PENDING))


WAITING_REMEDY = "`gateway collection complete {0}` sends it, `extend {0}` puts it off, `discard {0}` gives it up"
"""The verbs for deliveries that wait, in place of those of the queue."""


LONGEST_REASON = 200
"""Characters of a reason."""


def fault_of_reason(why: str) -> str:
    """The reason why a reason cannot stand in the record; empty when it can."""
    is_line = len(why) <= LONGEST_REASON and why.isprintable()
    return "" if is_line else f"write one line of at most {LONGEST_REASON} characters"


@dataclass(frozen=True, slots=True)
class Operator:
    """The name of an operator, and the reason in their words."""

    name: str
    why: str = ""


@dataclass(slots=True)
class Progress:
    """How far a verb has come. `held_for` counts released deliveries by the destination that they were held for."""

    done: int = 0
    busy: int = 0
    """Deliveries that fit and stayed: they were being sent, or changed meanwhile."""
    without_destination: int = 0
    """Deliveries that fit and stayed: they are held without a destination, and none was named."""
    doubtful: int = 0
    """Deliveries that fit and stayed: their destination may have them."""
    held_for: Counter[str] = field(default_factory=Counter)
    is_complete: bool = False
    operation_id: int = 0
    """Its identifier in the record; 0 before it is there."""

    @property
    def stayed(self) -> int:
        """Deliveries that fit and stayed."""
        return self.busy + self.without_destination + self.doubtful


@dataclass(frozen=True, slots=True)
class _Batch:
    """One transaction's work, and what came of it."""

    ids: tuple[int, ...]
    done: int
    held_for: dict[str, int]
    without_destination: int
    doubtful: int

    @property
    def busy(self) -> int:
        return len(self.ids) - self.done - self.without_destination - self.doubtful


async def carry_out(
    access: StoreAccess,
    verb: Verb,
    which: DeliveryFilter,
    progress: Progress,
    *,
    by: Operator,
    meant: int,
    destination: str | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    elapsed_s: Callable[[], float] = time.monotonic,
    wall: Callable[[], datetime] = utc_now,
) -> None:
    """Do `verb` to every delivery that fits now and that nobody works on, batch by batch, counted in `progress`.

    `meant` is their number, for the record; `destination` is where a verb that sends sends them. Returns early, between
    two transactions, when `is_stopped`. What arrives meanwhile is left alone.

    Raises:
        SpoolFull, Temporary, QueueBroken: of the store; what `progress` counts was done.
    """
    last, after = await access.read(lambda store: store.administration.last()), 0
    await drop_old_changes(access, wall())
    progress.operation_id = await _begin(access, verb, which, by, meant, destination or "", wall())
    size = SMALLEST_BATCH
    how: Any = {"verb": verb, "destination": destination, "keeps_changes": meant <= MOST_UNDONE}
    while not is_stopped():
        ids = await access.read(partial(_page, which=which, verb=verb, after=after, last=last, limit=size))
        if not ids:
            await _note(access, progress.operation_id, OperationState.COMPLETE, wall())
            await _with_room(access.sync)
            progress.is_complete = True
            return
        after = ids[-1]
        begun_s = elapsed_s()
        do = partial(_do, ids=tuple(ids), operation_id=progress.operation_id, now=wall(), **how)
        _count(progress, await _with_room(partial(access.write, do)))
        lasted_s = elapsed_s() - begun_s
        size = _next_size(size, lasted_s)
        await pause(max(2 * lasted_s, SHORTEST_PAUSE_S))
    await _note(access, progress.operation_id, OperationState.INTERRUPTED, wall())


async def _begin(
    access: StoreAccess, verb: Verb, which: DeliveryFilter, by: Operator, meant: int, target: str, now: datetime
) -> int:
    """Keep the operation in the record before anything is done; its identifier."""
    also: dict[str, Any] = {"even_if_doubtful": True} if verb.even_if_doubtful else {}
    also |= {"set": verb.priority.word} if verb.priority is not None else {}
    text = json.dumps({**filter_as_json(which), **also})
    operation = OperationRecord(verb.name, by.name, by.why, target, text, meant, began_at=now, changed_at=now)
    return await _with_room(partial(access.write, lambda store: store.operations.begin_operation(operation)))


async def _note(access: StoreAccess, operation_id: int, state: OperationState, now: datetime) -> None:
    """The operation ended."""

    def note(store: Store) -> None:
        store.operations.note_operation(operation_id, 0, 0, state, now)

    await _with_room(partial(access.write, note))


async def left_out(access: StoreAccess, verb: Verb, which: DeliveryFilter) -> list[str]:
    """A sentence on each delivery that was named by its identifier and that `verb` will not be done to."""
    return [*await missing(access, which), *await access.read(lambda store: _unfit(store, verb, which))]


async def missing(access: StoreAccess, which: DeliveryFilter) -> list[str]:
    """A sentence on identifiers that were named and that no delivery has."""
    if not which.ids:
        return []
    ids = await access.read(lambda store: store.administration.missing(which.ids))
    if not ids:
        return []
    what = f"is no delivery {ids[0]}" if len(ids) == 1 else f"are no deliveries {', '.join(map(str, ids))}"
    return [f"there {what}"]


async def count(access: StoreAccess, verb: Verb, which: DeliveryFilter) -> int:
    """The number of deliveries that fit, in a state that `verb` is for."""
    return await access.read(lambda store: store.administration.count(which, verb.states))


def _page(store: Store, *, which: DeliveryFilter, verb: Verb, after: int, last: int, limit: int) -> list[int]:
    return store.administration.page(which, verb.states, after=after, last=last, limit=limit)


async def _with_room(do: Callable[[], Awaitable[_T]]) -> _T:
    """Do it, once more where there was no room: the first try may have given up the reserve."""
    try:
        return await do()
    except SpoolFull:
        return await do()


def _next_size(size: int, lasted_s: float) -> int:
    if lasted_s > SLOW_S:
        return max(size // 2, SMALLEST_BATCH)
    return min(size * 2, LARGEST_BATCH) if lasted_s < FAST_S else size


def _do(
    store: Store,
    *,
    verb: Verb,
    ids: tuple[int, ...],
    destination: str | None,
    operation_id: int,
    now: datetime,
    keeps_changes: bool,
) -> _Batch:
    """Carry out `verb` on these deliveries and note it, inside a transaction."""
    if keeps_changes:
        with kept_changes(store, operation_id, ids, adds=verb is SEND_AGAIN):
            batch = _done(store, verb, ids, destination)
    else:
        batch = _done(store, verb, ids, destination)
    stayed = len(ids) - batch.done
    store.operations.note_operation(operation_id, batch.done, stayed, OperationState.RUNNING, now)
    return batch


def _done(store: Store, verb: Verb, ids: tuple[int, ...], destination: str | None) -> _Batch:
    administration, these = store.administration, DeliveryFilter(ids=ids)
    held_for: dict[str, int] = {}
    doubtful, also = 0, verb.even_if_doubtful
    match verb.name:
        case "retry":
            done = administration.retry(these, administration.now())
        case "hold":
            done = administration.hold(these)
        case "discard":
            done = administration.discard(these, administration.now() + KEPT_FOR)
        case "retarget":
            assert destination, "a verb that names one"
            done = administration.retarget(these, administration.now(), destination, even_if_doubtful=also)
        case "priority":
            assert verb.priority is not None, "a verb that gives one"
            done = administration.set_priority(these, verb.priority)
        case "send-again":
            done = administration.send_again(these, administration.now(), destination)
        case _:
            held_for = administration.held_for(ids)
            done = administration.release(these, administration.now(), destination, even_if_doubtful=also)
    if destination and verb in (RELEASE, RETARGET) and done < len(ids):
        doubtful = sum(row.is_doubtful for row in administration.list(these, len(ids)) if row.state in verb.states)
    without_destination = 0 if destination else held_for.pop("", 0)
    return _Batch(ids, done, held_for, without_destination, doubtful)


def _count(progress: Progress, batch: _Batch) -> None:
    progress.done += batch.done
    progress.without_destination += batch.without_destination
    progress.doubtful += batch.doubtful
    progress.busy += batch.busy
    progress.held_for.update(batch.held_for)


def _unfit(store: Store, verb: Verb, which: DeliveryFilter) -> list[str]:
    """A sentence on each delivery named by `which` that exists and that the verb does not apply to."""
    if not which.ids:
        return []
    named = store.administration.list(DeliveryFilter(ids=which.ids), len(which.ids))
    fitting = {row.delivery_id for row in store.administration.list(which, len(which.ids))}
    states = " and ".join(state.value for state in verb.states)
    sentences = []
    for row in named:
        if row.state not in verb.states:
            what = f"is {row.state.value}: `{verb.name}` is for those that are {states}"
            sentences.append(f"delivery {row.delivery_id} {what}")
        elif row.is_waiting:
            what = f"waits for the end of collection {row.collection_id}, which `{verb.name}` leaves alone"
            sentences.append(f"delivery {row.delivery_id} {what}; {WAITING_REMEDY.format(row.collection_id)}")
        elif row.delivery_id not in fitting:
            sentences.append(f"delivery {row.delivery_id} does not fit the other filters")
    return sentences
