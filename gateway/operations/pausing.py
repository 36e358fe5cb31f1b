"""Operators pause and resume a destination: nothing is begun for it, on any node, until it is resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gateway.model.delivery import DeliveryState
from gateway.operations.operation_listing import filter_as_json
from gateway.operations.queue_administration import Operator
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.operation_log import OperationRecord, OperationState
from gateway.ports.pauses import Pause
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess


async def waiting_for(access: StoreAccess, destination: str) -> int:
    """The number of deliveries that wait for it: those that a pause or its end means."""
    which = DeliveryFilter(destination=destination)
    return await access.read(lambda store: store.administration.count(which, (DeliveryState.PENDING,)))


async def pause_destination(
    access: StoreAccess, destination: str, by: Operator, meant: int, now: datetime
) -> Pause | None:
    """Pause it, and record who did; the pause that is there already, which stays as it is. `meant`: see `waiting_for`;
    `now` is the wall clock's time. Raises SpoolFull, Temporary, QueueBroken."""

    def begin(store: Store) -> Pause | None:
        if not store.pauses.begin_pause(Pause("destination", destination, by.name, by.why, now)):
            return _going_on(store.pauses.all_pauses(), destination)
        _record(store, "pause", destination, by, meant, now)
        return None

    before = await access.write(begin)
    await access.sync()
    return before


async def resume_destination(access: StoreAccess, destination: str, by: Operator, meant: int, now: datetime) -> bool:
    """Resume it, and record who did; False when it is not paused. Raises as `pause_destination`."""

    def end(store: Store) -> bool:
        if not store.pauses.end_pause("destination", destination, store.administration.now()):
            return False
        _record(store, "resume", destination, by, meant, now)
        return True

    is_done = await access.write(end)
    await access.sync()
    return is_done


async def paused_destinations(access: StoreAccess) -> dict[str, Pause]:
    """Destination → its pause that goes on."""
    found = await access.read(lambda store: store.pauses.all_pauses())
    return {each.name: each for each in found if each.goes_on and each.kind == "destination"}


async def pause_of(access: StoreAccess, destination: str) -> Pause | None:
    """The pause that goes on; None when there is none."""
    return _going_on(await access.read(lambda store: store.pauses.all_pauses()), destination)


def _going_on(pauses: Sequence[Pause], destination: str) -> Pause | None:
    return next((each for each in pauses if each.goes_on and each.name == destination), None)


def _record(store: Store, verb: str, destination: str, by: Operator, meant: int, now: datetime) -> None:
    which = json.dumps(filter_as_json(DeliveryFilter(destination=destination)))
    record = OperationRecord(verb, by.name, by.why, "", which, meant, began_at=now, changed_at=now)
    store.operations.begin_operation(replace(record, done=meant, state=OperationState.COMPLETE))
