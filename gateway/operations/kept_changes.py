"""The rows that an operator's verb changes, kept for a minute so that it can be undone."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.operation_log import OPERATIONS_KEPT, SILENT_AFTER, OperationRecord, OperationState
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess
from gateway.ports.undo_log import UNDONE_WITHIN, DeliveryChange, mark_of

DROPPED_AT_ONCE = 1000
MOST_SIBLINGS = 100_000


@contextmanager
def kept_changes(store: Store, operation_id: int, ids: Sequence[int], *, adds: bool = False) -> Generator[None]:
    """Keeps what happens inside to the deliveries `ids`, in one transaction; with `adds` further ones of their
    instances that are made inside. A row under a lease that nobody settled is not kept: it cannot be put back.
    The rows are taken before they are read, so that nothing that a gateway or another operator does counts as done
    inside."""
    instances = _instances(store, ids) if adds else ()
    ids = store.undo.take(ids, instances)
    before, others, begun = store.undo.delivery_images(ids), _pending(store, instances), store.administration.now()
    yield
    after = store.undo.delivery_images(ids)
    gone = {*store.administration.missing(ids)}
    changes = [
        DeliveryChange(key, image, "" if key in gone else mark_of(after[key]))
        for key, image in before.items()
        if key in gone or after.get(key, image) != image
    ]
    added = [key for key, made_at in _pending(store, instances).items() if key not in others and made_at >= begun]
    changes += [DeliveryChange(key, "", mark_of(image)) for key, image in store.undo.delivery_images(added).items()]
    if changes:
        store.undo.keep_changes(operation_id, changes)


def _instances(store: Store, ids: Sequence[int]) -> tuple[int, ...]:
    rows = store.administration.list(DeliveryFilter(ids=tuple(ids)), len(ids))
    return tuple(sorted({row.instance.instance_id for row in rows}))


def _pending(store: Store, instances: tuple[int, ...]) -> dict[int, datetime]:
    """Pending deliveries of these instances → from when they are counted."""
    if not instances:
        return {}
    which = DeliveryFilter(instance_ids=instances, state=DeliveryState.PENDING)
    return {row.delivery_id: row.counted_from for row in store.administration.list(which, MOST_SIBLINGS)}


async def drop_old_changes(access: StoreAccess, now: datetime) -> None:
    """Changes of operations before the first one that can still be undone, that is being undone, or that goes on, are
    kept no longer. `now` is the wall clock's time."""
    found = await access.read(lambda store: store.operations.last_operations(OPERATIONS_KEPT))
    needed = [_first_needed_by(each) for each in found if now - each.changed_at <= _kept_for(each)]
    up_to = min(needed) - 1 if needed else max((each.operation_id for each in found), default=0)
    if up_to:
        drop = partial(_drop, up_to=up_to)
        while await access.write(drop) == DROPPED_AT_ONCE:
            pass


def _first_needed_by(operation: OperationRecord) -> int:
    """The operation itself; the one that it puts back, of an undo that has not ended."""
    if operation.verb == "undo" and operation.state is OperationState.RUNNING:
        return int(json.loads(operation.filter_json)["operation"])
    return operation.operation_id


def _kept_for(operation: OperationRecord) -> timedelta:
    """The time since its last transaction after which nobody can undo it."""
    return SILENT_AFTER if operation.state is OperationState.RUNNING else UNDONE_WITHIN


def _drop(store: Store, up_to: int) -> int:
    return store.undo.drop_changes(up_to, DROPPED_AT_ONCE)
