"""Undo: what an operation of the last minute did is put back, as far as nothing happened to it since."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from gateway.operations.administration_record import note_whole
from gateway.operations.queue_administration import Operator
from gateway.ports.errors import ConfigurationError
from gateway.ports.operation_log import OPERATIONS_KEPT, OperationRecord, OperationState
from gateway.ports.pauses import Pause, PausedKind
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess
from gateway.ports.undo_log import MOST_UNDONE, UNDONE_WITHIN, DeliveryChange, UndoCount

AT_ONCE = 200
"""Deliveries a transaction."""
STILL_GOES_ON_S = 15.0
"""One that says it runs, and did nothing for so long, was killed: its transactions are milliseconds apart."""
PAUSE_S = 0.005
ROWS = ("hold", "release", "retry", "retarget", "discard", "send-again", "correct", "priority")
PAUSES = ("pause", "resume")


class CannotUndo(ConfigurationError):
    """The operation cannot be undone, or not any more; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Undone:
    """The deliveries of an operation that was undone."""

    verb: str
    done: int
    changed: int = 0
    gone: int = 0
    not_kept: int = 0
    """Those that it left as they were, or that were under a lease that nobody settled: they may have been sent."""


async def undo(
    access: StoreAccess,
    operation_id: int,
    by: Operator,
    now: datetime,
    *,
    is_dry_run: bool = False,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Undone:
    """Put back what the operation changed; with `is_dry_run` say what would be. `now` is the wall clock's time.

    After a kill in the middle the same undo does the rest.

    Raises:
        CannotUndo: with the reason.
        SpoolFull, Temporary, QueueBroken: of the store.
    """
    found = await access.read(lambda store: store.operations.last_operations(OPERATIONS_KEPT))
    operation = _undoable(operation_id, found, now)
    if operation.verb in PAUSES:
        return await _pause_undone(access, operation, by, now, is_dry_run=is_dry_run)
    if not await access.read(lambda store: store.undo.changes_of(operation_id, 0, 1)):
        raise CannotUndo(_why_nothing(operation))
    if is_dry_run:
        return await _looked_at(access, operation)
    which = json.dumps({"operation": operation_id})
    record = OperationRecord("undo", by.name, by.why, "", which, operation.done, began_at=now, changed_at=now)
    undo_id = await access.write(lambda store: store.operations.begin_operation(record))
    undone = Undone(operation.verb, 0, not_kept=operation.done - _undone_before(operation_id, found))
    while (counted := await access.write(partial(_put_back, operation_id, undo_id, now))) is not None:
        undone = _added(undone, counted)
        await pause(PAUSE_S)

    def end(store: Store) -> None:
        store.operations.note_operation(undo_id, 0, undone.not_kept, OperationState.COMPLETE, now)

    await access.write(end)
    await access.sync()
    return undone


def _undoable(operation_id: int, found: Sequence[OperationRecord], now: datetime) -> OperationRecord:
    """The operation. Raises CannotUndo."""
    operation = next((each for each in found if each.operation_id == operation_id), None)
    if operation is None:
        raise CannotUndo(f"there is no operation {operation_id}; see `gateway operations`")
    if operation.verb not in (*ROWS, *PAUSES):
        raise CannotUndo(f"operation {operation_id} is `{operation.verb}`, which cannot be undone")
    for each in _undos_of(operation_id, found):
        if each.state is OperationState.COMPLETE:
            raise CannotUndo(f"operation {operation_id} was undone already, by operation {each.operation_id}")
    silent = now - operation.changed_at
    if operation.state is OperationState.RUNNING and silent.total_seconds() < STILL_GOES_ON_S:
        raise CannotUndo(f"operation {operation_id} goes on; it is undone when it has ended")
    if silent > UNDONE_WITHIN:
        limit_s = UNDONE_WITHIN.total_seconds()
        raise CannotUndo(
            f"operation {operation_id} ended {silent.total_seconds():.0f} s ago; one is undone within {limit_s:.0f} s"
        )
    return operation


def _undos_of(operation_id: int, found: Sequence[OperationRecord]) -> list[OperationRecord]:
    return [
        each for each in found if each.verb == "undo" and json.loads(each.filter_json) == {"operation": operation_id}
    ]


def _undone_before(operation_id: int, found: Sequence[OperationRecord]) -> int:
    """The deliveries that an undo which was killed has done with."""
    return sum(each.done + each.stayed for each in _undos_of(operation_id, found))


def _why_nothing(operation: OperationRecord) -> str:
    number = operation.operation_id
    if operation.meant > MOST_UNDONE:
        return f"operation {number} meant {operation.meant} deliveries; one of more than {MOST_UNDONE} cannot be undone"
    return f"operation {number} changed nothing that can be put back"


def _put_back(operation_id: int, undo_id: int, now: datetime, store: Store) -> UndoCount | None:
    """Some of them, and a note of it; None when there are no more."""
    changes = store.undo.changes_of(operation_id, 0, AT_ONCE)
    if not changes:
        return None
    counted = store.undo.put_back(operation_id, changes)
    stayed = counted.changed + counted.gone
    store.operations.note_operation(undo_id, counted.done, stayed, OperationState.RUNNING, now)
    return counted


async def _looked_at(access: StoreAccess, operation: OperationRecord) -> Undone:
    undone, after = Undone(operation.verb, 0, not_kept=operation.done), 0
    while changes := await access.read(partial(_next, operation.operation_id, after)):
        after = changes[-1].delivery_id
        undone = _added(undone, await access.read(partial(_look, changes)))
    return undone


def _next(operation_id: int, after: int, store: Store) -> Sequence[DeliveryChange]:
    return store.undo.changes_of(operation_id, after, AT_ONCE)


def _look(changes: Sequence[DeliveryChange], store: Store) -> UndoCount:
    return store.undo.undoable(changes)


def _added(undone: Undone, counted: UndoCount) -> Undone:
    return dataclasses.replace(
        undone,
        done=undone.done + counted.done,
        changed=undone.changed + counted.changed,
        gone=undone.gone + counted.gone,
        not_kept=max(undone.not_kept - sum(counted), 0),
    )


async def _pause_undone(
    access: StoreAccess, operation: OperationRecord, by: Operator, now: datetime, *, is_dry_run: bool
) -> Undone:
    """End the pause that it began, or begin the one anew that it ended."""
    which: dict[PausedKind, str] = json.loads(operation.filter_json)
    ((kind, name),) = which.items()

    def do(store: Store) -> None:
        found = next((each for each in store.pauses.all_pauses() if (each.kind, each.name) == (kind, name)), None)
        begun_by = (operation.operator, operation.began_at)
        is_as_left = found is not None and (
            found.goes_on and (found.operator, found.began_at) == begun_by
            if operation.verb == "pause"
            else not found.goes_on
        )
        if not is_as_left:
            raise CannotUndo(f"somebody paused or resumed {name} since operation {operation.operation_id}")
        if is_dry_run:
            return
        if operation.verb == "pause":
            store.pauses.end_pause(kind, name, store.administration.now())
        else:
            store.pauses.begin_pause(Pause(kind, name, by.name, by.why, now))
        note_whole(store, "undo", {"operation": operation.operation_id}, operation.done, by, now)

    await (access.read(do) if is_dry_run else access.write(do))
    if not is_dry_run:
        await access.sync()
    return Undone(operation.verb, operation.done)
