"""Operators pause and resume a destination, a sender or a rule, on all nodes: see `gateway.ports.pauses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gateway.model.delivery import RULE_PAUSED, DeliveryState
from gateway.operations.administration_record import note_whole
from gateway.operations.queue_administration import Operator
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.pauses import Pause, PausedKind
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess


async def waiting_for(access: StoreAccess, kind: PausedKind, name: str) -> int:
    """The number of deliveries that a pause or its end means: those that wait for the destination, or were made by the
    rule. A pause of a sender means none: what it sends is refused."""
    if kind == "sender":
        return 0
    which = DeliveryFilter(destination=name) if kind == "destination" else DeliveryFilter(rule=name)
    number = await access.read(lambda store: store.administration.count(which, (DeliveryState.PENDING,)))
    if kind == "destination":
        return number
    held = replace(which, reason=RULE_PAUSED)
    return number + await access.read(lambda store: store.administration.count(held, (DeliveryState.HELD,)))


async def begin_pause(access: StoreAccess, pause: Pause, meant: int) -> Pause | None:
    """Pause it, and record who did; the pause that is there already, which stays as it is. `meant`: see `waiting_for`.
    Raises SpoolFull, Temporary, QueueBroken."""

    def begin(store: Store) -> Pause | None:
        if not store.pauses.begin_pause(pause):
            return _going_on(store.pauses.all_pauses(), pause.kind, pause.name)
        by = Operator(pause.operator, pause.why)
        note_whole(store, "pause", {pause.kind: pause.name}, meant, by, pause.began_at)
        return None

    before = await access.write(begin)
    await access.sync()
    return before


async def end_pause(access: StoreAccess, kind: PausedKind, name: str, by: Operator, meant: int, now: datetime) -> bool:
    """Resume it, and record who did; False when it is not paused. Raises as `begin_pause`."""

    def end(store: Store) -> bool:
        if not store.pauses.end_pause(kind, name, store.administration.now()):
            return False
        note_whole(store, "resume", {kind: name}, meant, by, now)
        return True

    is_done = await access.write(end)
    await access.sync()
    return is_done


async def paused(access: StoreAccess, kind: PausedKind) -> dict[str, Pause]:
    """Name → its pause that goes on."""
    return {name: each for (of, name), each in (await all_paused(access)).items() if of == kind}


async def all_paused(access: StoreAccess) -> dict[tuple[PausedKind, str], Pause]:
    """Kind and name → the pause that goes on."""
    found = await access.read(lambda store: store.pauses.all_pauses())
    return {(each.kind, each.name): each for each in found if each.goes_on}


def _going_on(pauses: Sequence[Pause], kind: PausedKind, name: str) -> Pause | None:
    return next((each for each in pauses if each.goes_on and (each.kind, each.name) == (kind, name)), None)
