"""Operators' verbs on any number of deliveries, beside a gateway that goes on: many small transactions.

Between two of them all that wait have a turn. An interrupted verb keeps its finished transactions; the same verb
again does the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess

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


RETRY = Verb("retry", "retried", (DeliveryState.DEAD, DeliveryState.PENDING))
HOLD = Verb("hold", "held", (DeliveryState.PENDING, DeliveryState.DEAD))
RELEASE = Verb("release", "released", (DeliveryState.HELD,))
DISCARD = Verb("discard", "discarded", (DeliveryState.DEAD, DeliveryState.HELD, DeliveryState.PENDING))


@dataclass(slots=True)
class Progress:
    """How far a verb has come. `held_for` counts released deliveries by the destination that they were held for."""

    done: int = 0
    busy: int = 0
    """Deliveries that fit and stayed: they were being sent, or changed meanwhile."""
    without_destination: int = 0
    """Deliveries that fit and stayed: they are held without a destination, and none was named."""
    held_for: Counter[str] = field(default_factory=Counter)
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class _Batch:
    """One transaction's work, and what came of it."""

    ids: tuple[int, ...]
    done: int
    held_for: dict[str, int]


async def carry_out(
    access: StoreAccess,
    verb: Verb,
    which: DeliveryFilter,
    progress: Progress,
    *,
    destination: str | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    elapsed_s: Callable[[], float] = time.monotonic,
) -> None:
    """Do `verb` to every delivery that fits now and that nobody works on, batch by batch, counted in `progress`.

    `destination` is where `RELEASE` sends them. Returns early, between two transactions, when `is_stopped`.
    What arrives meanwhile is left alone.

    Raises:
        SpoolFull, Temporary, QueueBroken: of the store; what `progress` counts was done.
    """
    last, after = await access.read(lambda store: store.administration.last()), 0
    size = SMALLEST_BATCH
    while not is_stopped():
        ids = await access.read(partial(_page, which=which, verb=verb, after=after, last=last, limit=size))
        if not ids:
            await _with_room(access.sync)
            progress.is_complete = True
            return
        after = ids[-1]
        begun_s = elapsed_s()
        do = partial(_do, verb=verb, ids=tuple(ids), destination=destination)
        _count(progress, await _with_room(partial(access.write, do)), destination)
        lasted_s = elapsed_s() - begun_s
        size = _next_size(size, lasted_s)
        await pause(max(2 * lasted_s, SHORTEST_PAUSE_S))


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


def _do(store: Store, *, verb: Verb, ids: tuple[int, ...], destination: str | None) -> _Batch:
    """Carry out `verb` on these deliveries, inside a transaction."""
    administration, these = store.administration, DeliveryFilter(ids=ids)
    held_for: dict[str, int] = {}
    match verb.name:
        case "retry":
            done = administration.retry(these, administration.now())
        case "hold":
            done = administration.hold(these)
        case "discard":
            done = administration.discard(these)
        case _:
            held_for = administration.held_for(ids)
            done = administration.release(these, administration.now(), destination)
    return _Batch(ids, done, held_for)


def _count(progress: Progress, batch: _Batch, destination: str | None) -> None:
    held_for = dict(batch.held_for)
    without_destination = 0 if destination else held_for.pop("", 0)
    progress.done += batch.done
    progress.without_destination += without_destination
    progress.busy += len(batch.ids) - batch.done - without_destination
    progress.held_for.update(held_for)


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
        elif row.delivery_id not in fitting:
            sentences.append(f"delivery {row.delivery_id} does not fit the other filters")
    return sentences
