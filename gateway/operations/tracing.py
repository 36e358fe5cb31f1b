"""Where is it: studies and what became of them at each destination, and each delivery with its attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.common.plain_text import shown_uid
from gateway.model.delivery import Attempt, DeliveryState
from gateway.operations.delivery_listing import attempt_json, delivery_json, study_json
from gateway.ports.delivery_administration import DeliveryFilter, StudyDeliveries
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess
from gateway.ports.trace_entries import TraceEntry


@dataclass(frozen=True, slots=True)
class Trace:
    """All that the store has of some studies or objects, as JSON."""

    studies: list[dict[str, Any]]
    """One a study and destination: `study_json`, and `received`, the number of objects of the whole study that came;
    `expected`, the number of all its deliveries there, of which the store has `forgotten` some;
    `last_delivered_at` of what is forgotten."""
    senders: list[dict[str, Any]]
    """One a study and sender: how much came, and when."""
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
        found = Trace([], [], [])
        for which in wanted:
            with store.traces.one_state():  # what is forgotten meanwhile is counted once
                _add_study(found, store, which, limit, with_values=with_values)
                left = limit - len(found.deliveries)
                found.deliveries.extend(_deliveries(store, which, left, places, with_values=with_values))
        return found

    return await access.read(read)


def _add_study(found: Trace, store: Store, which: DeliveryFilter, limit: int, *, with_values: bool) -> None:
    """Add what the store has of it, together with what it had."""
    uid = which.study_instance_uid
    gone = [] if which.sop_instance_uid else store.traces.entries([uid])
    senders = {each.name: each for each in gone if each.role == "sender"}
    for each in [] if which.sop_instance_uid else store.traces.senders([uid]):
        senders[each.name] = senders[each.name] + each if each.name in senders else each
    received = None if which.sop_instance_uid else sum(each.instances for each in senders.values())
    destinations = {each.name: each for each in gone if each.role == "destination"}
    for row in store.administration.studies(which, limit):
        shown = study_json(row, with_values=with_values)
        found.studies.append(_whole(shown, received, destinations.pop(row.destination, None)))
    for name, entry in destinations.items():
        nothing = StudyDeliveries(uid, name, {}, 0, entry.first_received_at, entry.last_received_at, 0)
        found.studies.append(_whole(study_json(nothing, with_values=with_values), received, entry))
    found.senders.extend(_sender_json(senders[name], with_values=with_values) for name in sorted(senders))


def _whole(row: dict[str, Any], received: int | None, gone: TraceEntry | None) -> dict[str, Any]:
    """The row of a study and destination with what is forgotten of it."""
    expected = sum(row[state.value] for state in DeliveryState)
    whole = {**row, "received": received, "expected": expected, "forgotten": 0}
    whole["last_delivered_at"] = None
    if gone is None:
        return whole
    first, last = gone.first_received_at.isoformat(), gone.last_received_at.isoformat()
    return whole | {
        "delivered": row["delivered"] + gone.delivered,
        "expected": expected + gone.instances,
        "forgotten": gone.instances,
        "size_bytes": row["size_bytes"] + gone.size_bytes,
        "first_received_at": min(row["first_received_at"], first),
        "last_received_at": max(row["last_received_at"], last),
        "most_attempts": max(row["most_attempts"], gone.most_attempts),
        "last_delivered_at": gone.last_delivered_at.isoformat() if gone.last_delivered_at else None,
    }


def _sender_json(entry: TraceEntry, *, with_values: bool) -> dict[str, Any]:
    uid = entry.study_instance_uid
    return {
        "study_instance_uid": uid if with_values else shown_uid(uid),
        "calling_ae_title": entry.name,
        "received": entry.instances,
        "size_bytes": entry.size_bytes,
        "first_received_at": entry.first_received_at.isoformat(),
        "last_received_at": entry.last_received_at.isoformat(),
    }


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
