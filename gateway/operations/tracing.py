"""Where is it: studies and what became of them at each destination, and each delivery with its attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.model.delivery import Attempt, DeliveryState
from gateway.operations.delivery_listing import attempt_json, delivery_json, study_json
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess


@dataclass(frozen=True, slots=True)
class Trace:
    """All that the store has of some studies or objects, as JSON."""

    studies: list[dict[str, Any]]
    """One a study and destination: `study_json`, and `expected`, the number of all its deliveries there."""
    deliveries: list[dict[str, Any]]
    """The first ones: `delivery_json` with `rule_place`, the place of the rule in the rules now, `delivered_at` and
    `attempts`."""


async def trace(
    access: StoreAccess,
    wanted: Sequence[DeliveryFilter],
    limit: int,
    *,
    places: Mapping[str, str],
    with_values: bool,
) -> Trace:
    """All that fits one of `wanted`, and up to `limit` deliveries of it. `places`: rule → its place in the rules."""

    def read(store: Store) -> Trace:
        found = Trace([], [])
        for which in wanted:
            for row in store.administration.studies(which, limit):
                expected = sum(row.numbers.values())
                found.studies.append({**study_json(row, with_values=with_values), "expected": expected})
            left = limit - len(found.deliveries)
            found.deliveries.extend(_deliveries(store, which, left, places, with_values=with_values))
        return found

    return await access.read(read)


def _deliveries(
    store: Store, which: DeliveryFilter, limit: int, places: Mapping[str, str], *, with_values: bool
) -> list[dict[str, Any]]:
    administration = store.administration
    now, found = administration.now(), []
    for row in administration.list(which, limit) if limit > 0 else ():
        attempts = administration.attempts(row.delivery_id)
        shown = delivery_json(row, administration, now, with_values=with_values)
        shown |= {"rule_place": places.get(row.rule), "delivered_at": _delivered_at(attempts)}
        found.append({**shown, "attempts": [attempt_json(each, with_values=with_values) for each in attempts]})
    return found


def _delivered_at(attempts: Sequence[Attempt]) -> str | None:
    last = attempts[-1] if attempts else None
    if last is None or last.started_at is None or last.state is not DeliveryState.DELIVERED:
        return None
    return (last.started_at + timedelta(seconds=last.duration_s)).isoformat()
