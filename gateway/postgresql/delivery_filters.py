"""`DeliveryFilter` as SQL for PostgreSQL: a table from its fields to conditions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter, DeliveryOrder
from gateway.postgresql.statements import SQL
from gateway.relational.rows import cleaned, microseconds
from gateway.relational.statements import MadeStatement

CONDITIONS = {
    "ids": "delivery.delivery_id = ANY(%(ids)s::bigint[])",
    "instance_ids": "delivery.instance_id = ANY(%(instance_ids)s::bigint[])",
    "destination": "delivery.destination = %(destination)s",
    "state": "delivery.state = %(state)s",
    "sop_instance_uid": "instance.sop_instance_uid = %(sop_instance_uid)s",
    "study_instance_uid": "instance.study_instance_uid = %(study_instance_uid)s",
    "rule": "delivery.rule = %(rule)s",
    "reason": "delivery.reason = %(reason)s",
    "priority": "delivery.priority = %(priority)s",
    "created_before": "delivery.created_at < %(created_before)s",
    "created_after": "delivery.created_at > %(created_after)s",
}

FOUND = ("ids", "instance_ids", "sop_instance_uid", "study_instance_uid")
"""Those that an index finds."""


ORDERS: dict[DeliveryOrder, str] = {
    "oldest": "delivery.delivery_id",
    "newest": "delivery.delivery_id DESC",
    "size": "instance.payload_length DESC, delivery.delivery_id",
    "attempts": "delivery.attempts DESC, delivery.delivery_id",
}
WITH_INSTANCES = "delivery JOIN instance ON instance.instance_id = delivery.instance_id"


def select(which: DeliveryFilter, limit: int, order: DeliveryOrder = "oldest") -> MadeStatement:
    """The statement that finds these deliveries, and its values. `limit` -1 is no limit."""
    values = _values(which)
    source = WITH_INSTANCES if order == "size" else _source(values)
    statement = SQL["find_deliveries"].replace("{source}", source).replace("{filter}", _all_of(values))
    return statement.replace("{order}", ORDERS[order]), {**values, "limit": None if limit < 0 else limit}


def studies(name: str, which: DeliveryFilter, *, is_newest_first: bool = False) -> MadeStatement:
    """The statement `name` over the deliveries that fit and their instances, and its values but those of the page."""
    values = _values(which)
    statement = SQL[name].replace("{source}", WITH_INSTANCES).replace("{filter}", _all_of(values))
    comparison, direction = ("<", "DESC") if is_newest_first else (">", "ASC")
    return statement.replace("{behind}", comparison).replace("{direction}", direction), values


def _all_of(values: Collection[str]) -> str:
    return " AND ".join(CONDITIONS[name] for name in values) or "true"


def paged(name: str, which: DeliveryFilter, states: Collection[DeliveryState]) -> MadeStatement:
    """The statement `name` over the deliveries in one of `states` that fit, and its values but those of the page."""
    values = _values(which)
    listed = ", ".join(f"'{state.value}'" for state in states)
    conditions = [CONDITIONS[each] for each in values] + [f"delivery.state IN ({listed})"]
    statement = SQL[name].replace("{source}", _source(values)).replace("{filter}", " AND ".join(conditions))
    return statement, values


def some(which: DeliveryFilter, looked_at: int) -> MadeStatement:
    """The statement that counts the first deliveries that fit, and how many it looked at, up to `looked_at`. Those of
    objects that are named are found by an index, all others are looked at in the order of their identifiers."""
    values = _values(which)
    found = [name for name in values if name in FOUND]
    pieces = {
        "{source}": _source(values),
        "{found}": " AND ".join(CONDITIONS[name] for name in found) or "true",
        "{order}": "" if found else "ORDER BY delivery.delivery_id",
        "{filter}": " AND ".join(CONDITIONS[name] for name in values if name not in FOUND) or "true",
    }
    statement = SQL["count_some"]
    for mark, words in pieces.items():
        statement = statement.replace(mark, words)
    return statement, {**values, "looked_at": looked_at}


def _source(values: Collection[str]) -> str:
    """The tables that the conditions speak of."""
    if {"sop_instance_uid", "study_instance_uid"} & set(values):
        return WITH_INSTANCES
    return "delivery"


def _values(which: DeliveryFilter) -> dict[str, Any]:
    """Values of the fields that are not empty."""
    texts = {
        "destination": which.destination,
        "state": which.state.value if which.state else None,
        "sop_instance_uid": which.sop_instance_uid or None,
        "study_instance_uid": which.study_instance_uid or None,
        "rule": which.rule or None,
        "reason": which.reason or None,
    }
    values: dict[str, Any] = {
        "ids": [*which.ids] or None,
        "instance_ids": [*which.instance_ids] or None,
        **{name: cleaned([text])[0] for name, text in texts.items() if text is not None},
        "priority": None if which.priority is None else int(which.priority),
        "created_before": microseconds(which.created_before) if which.created_before else None,
        "created_after": microseconds(which.created_after) if which.created_after else None,
    }
    return {name: value for name, value in values.items() if value is not None}
