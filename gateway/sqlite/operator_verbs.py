"""What operators do to any number of deliveries, beside a gateway that goes on: many small transactions.

Between two of them everybody who waits has a turn. What was done stays done when a verb is interrupted; the same verb
again finishes it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_queue import DeliveryFilter
from gateway.ports.errors import SpoolFull
from gateway.sqlite.delivery_queue import SQLiteQueue

LARGEST_BATCH, SMALLEST_BATCH = 1000, 25
"""Deliveries a transaction."""
SLOW_S, FAST_S = 0.05, 0.015
"""A transaction that lasts longer than `SLOW_S` halves the next one, down to the smallest; a faster one doubles it."""
SHORTEST_PAUSE_S = 0.005
"""Between two transactions, where their own length is not more. Who waits for the file looks every few milliseconds."""


@dataclass(frozen=True, slots=True)
class Verb:
    """What is done, and to which states it can be done."""

    name: str
    done: str
    states: tuple[DeliveryState, ...]


RETRY = Verb("retry", "retried", (DeliveryState.DEAD, DeliveryState.PENDING))
HOLD = Verb("hold", "held", (DeliveryState.PENDING, DeliveryState.DEAD))
RELEASE = Verb("release", "released", (DeliveryState.HELD,))
DISCARD = Verb("discard", "discarded", (DeliveryState.DEAD, DeliveryState.HELD, DeliveryState.PENDING))


@dataclass(slots=True)
class Progress:
    """How far a verb came. `held_for` counts what was released by the destinations that it was held for."""

    done: int = 0
    busy: int = 0
    """Deliveries that fit and stayed: they were being sent, or changed meanwhile."""
    homeless: int = 0
    """Deliveries that fit and stayed: they are held without a destination, and none was named."""
    held_for: Counter[str] = field(default_factory=Counter)
    is_complete: bool = False


def carry_out(
    queue: SQLiteQueue,
    verb: Verb,
    which: DeliveryFilter,
    progress: Progress,
    *,
    now: Callable[[], datetime],
    destination: str | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    pause: Callable[[float], None] = time.sleep,
    elapsed_s: Callable[[], float] = time.monotonic,
) -> None:
    """Do `verb` to every delivery that fits now and that nobody works on, batch by batch, counted in `progress`.

    `destination` is where `RELEASE` sends them. Returns early, between two transactions, when `is_stopped`.
    What arrives meanwhile is left alone.

    Raises:
        SpoolFull, Temporary, QueueBroken: of the queue's file; what `progress` counts was done.
    """
    last, after = queue.selection.last(), 0
    size = SMALLEST_BATCH
    while not is_stopped():
        ids = queue.selection.page(which, verb.states, after=after, last=last, limit=size)
        if not ids:
            _with_room(lambda: _settle_on_disk(queue))
            progress.is_complete = True
            return
        after = ids[-1]
        begun_s = elapsed_s()
        _with_room(partial(_batch, queue, verb, tuple(ids), progress, now(), destination))
        lasted_s = elapsed_s() - begun_s
        size = _next_size(size, lasted_s)
        pause(max(2 * lasted_s, SHORTEST_PAUSE_S))


def _with_room(do: Callable[[], None]) -> None:
    """Once more where there was no room: the first try may have given up the reserve
    (`gateway.sqlite.database_room`)."""
    try:
        do()
    except SpoolFull:
        do()


def _settle_on_disk(queue: SQLiteQueue) -> None:
    """Synced, unlike the batches: what was done survives a power cut from here on."""
    with queue.transaction():
        queue.force_sync()


def _next_size(size: int, lasted_s: float) -> int:
    if lasted_s > SLOW_S:
        return max(size // 2, SMALLEST_BATCH)
    return min(size * 2, LARGEST_BATCH) if lasted_s < FAST_S else size


def _batch(
    queue: SQLiteQueue, verb: Verb, ids: tuple[int, ...], progress: Progress, now: datetime, destination: str | None
) -> None:
    held_for: dict[str, int] = {}
    these = DeliveryFilter(ids=ids)
    with queue.transaction(is_durable=False):
        match verb.name:
            case "retry":
                done = queue.retry(these, now)
            case "hold":
                done = queue.hold(these)
            case "discard":
                done = queue.discard(these)
            case _:
                held_for = queue.selection.held_for(ids)
                done = queue.release(these, now, destination)
    homeless = 0 if destination else held_for.pop("", 0)
    progress.done += done
    progress.homeless += homeless
    progress.busy += len(ids) - done - homeless
    progress.held_for.update(held_for)
