"""Deliveries as operators see them: lists, one with its attempts, and their JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.common.plain_text import shown_uid, without_peers_words
from gateway.model.delivery import Attempt, Delivery, DeliveryState
from gateway.ports.delivery_administration import (
    DeliveryAdministration,
    DeliveryFilter,
    DeliveryOrder,
    DeliveryTotal,
    StudyDeliveries,
)
from gateway.ports.store import Store
from gateway.ports.store_access import StoreAccess

FIELDS = (
    *("id", "state", "destination", "rule", "actions", "created_at", "renewed_at", "age_s", "due_at", "attempts_made"),
    *("reason", "sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid"),
    *("transfer_syntax_uid", "size_bytes", "calling_ae_title", "remote_host", "group", "is_doubtful", "corrected_by"),
    *("priority", "passes_window", "collection"),
)
"""The fields of `delivery_json`, in order."""

STUDY_FIELDS = (
    *("study_instance_uid", "destination", *(state.value for state in DeliveryState), "size_bytes"),
    *("first_received_at", "last_received_at", "most_attempts"),
)
"""The fields of `study_json`, in order."""

LOOKED_AT = 200_000
"""Deliveries that a total looks at one by one; then it stops, and the answer says so."""


@dataclass(frozen=True, slots=True)
class DeliveryListing:
    """Deliveries at one time."""

    rows: list[Delivery]
    total: DeliveryTotal
    """The number of all that fit; `rows` are the first of them."""
    now: datetime
    """The queue's time."""
    described: list[dict[str, Any]]
    """`rows` as JSON, where that was asked for."""


async def list_deliveries(
    access: StoreAccess,
    which: DeliveryFilter,
    limit: int,
    *,
    order: DeliveryOrder,
    with_values: bool,
    is_described: bool = True,
) -> DeliveryListing:
    """Up to `limit` that fit. Ages in `which` are the wall clock's."""

    def read(store: Store) -> DeliveryListing:
        administration = store.administration
        wanted = _in_queue_time(which, administration)
        rows = administration.list(wanted, limit, order=order)
        now = administration.now()
        total = DeliveryTotal(len(rows), is_exact=len(rows) < limit)
        if not total.is_exact:
            found = administration.total(wanted, LOOKED_AT)
            total = dataclasses.replace(found, number=max(found.number, len(rows)))
        to_describe = rows if is_described else []
        described = [delivery_json(row, administration, now, with_values=with_values) for row in to_describe]
        return DeliveryListing(rows, total, now, described)

    return await access.read(read)


async def list_studies(
    access: StoreAccess, which: DeliveryFilter, limit: int, *, is_newest_first: bool
) -> list[StudyDeliveries]:
    """The deliveries that fit of up to `limit` studies, by study and destination."""

    def read(store: Store) -> list[StudyDeliveries]:
        wanted = _in_queue_time(which, store.administration)
        return store.administration.studies(wanted, limit, is_newest_first=is_newest_first)

    return await access.read(read)


async def show_delivery(access: StoreAccess, delivery_id: int, *, with_values: bool) -> dict[str, Any] | None:
    """One delivery with its attempts as JSON; None when it is not there."""

    def read(store: Store) -> dict[str, Any] | None:
        administration = store.administration
        rows = administration.list(DeliveryFilter(ids=(delivery_id,)), 1)
        if not rows:
            return None
        attempts = [attempt_json(each, with_values=with_values) for each in administration.attempts(delivery_id)]
        shown = delivery_json(rows[0], administration, administration.now(), with_values=with_values)
        kept_until = store.kept.kept_until(rows[0].instance.instance_id)
        shown["kept_until"] = None if kept_until is None else administration.on_the_wall(kept_until).isoformat()
        return {**shown, "attempts": attempts}

    return await access.read(read)


async def in_queue_time(access: StoreAccess, which: DeliveryFilter) -> DeliveryFilter:
    """Ages are measured by the queue's own time, which the wall clock may be far from."""
    return await access.read(lambda store: _in_queue_time(which, store.administration))


async def is_known_destination(access: StoreAccess, name: str) -> bool:
    """True when any delivery names it."""
    return await access.read(lambda store: store.administration.has_destination(name))


async def is_known_rule(access: StoreAccess, name: str) -> bool:
    """True when any delivery was made by it."""
    return await access.read(lambda store: bool(store.administration.list(DeliveryFilter(rule=name), 1)))


async def destinations(access: StoreAccess) -> Collection[str]:
    """The destinations that deliveries are kept for, in any state."""
    depths = await access.read(lambda store: store.deliveries.depths())
    return {row.destination for row in depths if row.destination}


def _in_queue_time(which: DeliveryFilter, administration: DeliveryAdministration) -> DeliveryFilter:
    before, after = which.created_before, which.created_after
    if before is None and after is None:
        return which
    ahead = administration.now() - datetime.now(UTC)
    return dataclasses.replace(which, created_before=before and before + ahead, created_after=after and after + ahead)


def delivery_json(
    delivery: Delivery, administration: DeliveryAdministration, now: datetime, *, with_values: bool
) -> dict[str, Any]:
    """A delivery; without `with_values`, without what could name a patient. Times are the wall clock's; `age_s` is
    since its arrival. `now` is the queue's time. One that waits for the end of its collection is due at no time."""
    instance = delivery.instance
    uid: Callable[[str], str] = str if with_values else shown_uid
    renewed_at = delivery.renewed_at
    return {
        "id": delivery.delivery_id,
        "state": delivery.state.value,
        "destination": delivery.destination,
        "rule": delivery.rule,
        "actions": _shown_actions(delivery, with_values=with_values),
        "created_at": instance.received_at.isoformat(),
        "renewed_at": administration.on_the_wall(renewed_at).isoformat() if renewed_at else None,
        "age_s": round(age_s(delivery, now)),
        "due_at": None if delivery.is_waiting else administration.on_the_wall(delivery.due_at).isoformat(),
        "attempts_made": delivery.attempts,
        "reason": shown_reason(delivery.reason, with_values=with_values),
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": uid(instance.sop_instance_uid),
        "study_instance_uid": uid(instance.study_instance_uid),
        "series_instance_uid": uid(instance.series_instance_uid),
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "size_bytes": instance.payload.length_bytes,
        "calling_ae_title": instance.association.calling_ae_title,
        "remote_host": instance.association.remote_host,
        "group": delivery.group_name,
        "is_doubtful": delivery.is_doubtful,
        "corrected_by": delivery.corrected_by or None,
        "priority": delivery.priority.word,
        "passes_window": delivery.passes_window,
        "collection": delivery.collection_id,
    }


def study_json(row: StudyDeliveries, *, with_values: bool) -> dict[str, Any]:
    """The deliveries of a study to a destination: how many are in each state. Times are the wall clock's."""
    uid = row.study_instance_uid
    return {
        "study_instance_uid": uid if with_values else shown_uid(uid),
        "destination": row.destination,
        **{state.value: row.numbers.get(state, 0) for state in DeliveryState},
        "size_bytes": row.size_bytes,
        "first_received_at": row.first_received_at.isoformat(),
        "last_received_at": row.last_received_at.isoformat(),
        "most_attempts": row.most_attempts,
    }


def _shown_actions(delivery: Delivery, *, with_values: bool) -> list[Any]:
    """The actions; of those of a corrected delivery the names alone, unless `with_values`: an operator's edits name a
    patient."""
    actions: list[Any] = json.loads(delivery.actions_json or "[]")
    if with_values or not delivery.corrected_by:
        return actions
    return [next(iter(each)) if isinstance(each, dict) else each for each in actions]


def attempt_json(attempt: Attempt, *, with_values: bool) -> Mapping[str, Any]:
    """One attempt at a delivery."""
    return {
        "number": attempt.number,
        "started_at": attempt.started_at.isoformat() if attempt.started_at else None,
        "duration_s": round(attempt.duration_s, 3),
        "state": attempt.state.value,
        "status": None if attempt.status is None else f"0x{attempt.status:04X}",
        "reason": shown_reason(attempt.reason, with_values=with_values),
    }


def age_s(delivery: Delivery, now: datetime) -> float:
    """Never below 0: what arrived after the time that is known just arrived."""
    return max(0.0, (now - delivery.created_at).total_seconds())


def shown_reason(reason: str, *, with_values: bool) -> str:
    """The reason without a peer's Error Comment, unless `with_values`."""
    return reason if with_values else without_peers_words(reason)
