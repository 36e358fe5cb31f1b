"""`DeliveryFilter` as SQL: a table from its fields to conditions."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter, DeliveryOrder
from gateway.relational.rows import microseconds
from gateway.sqlite.statements import SQL

CONDITIONS = {
    "ids": "delivery.delivery_id IN (SELECT value FROM json_each(:ids))",
    "instance_ids": "delivery.instance_id IN (SELECT value FROM json_each(:instance_ids))",
    "destination": "delivery.destination = :destination",
    "state": "delivery.state = :state",
    "sop_instance_uid": "instance.sop_instance_uid = :sop_instance_uid",
    "study_instance_uid": "instance.study_instance_uid = :study_instance_uid",
    "rule": "delivery.rule = :rule",
    "reason": "delivery.reason = :reason",
    "priority": "delivery.priority = :priority",
    "created_before": "delivery.created_at < :created_before",
    "created_after": "delivery.created_at > :created_after",
}

FOUND = ("ids", "instance_ids", "sop_instance_uid")
"""Those that an index finds."""


ORDERS: dict[DeliveryOrder, str] = {
    "oldest": "delivery.delivery_id",
    "newest": "delivery.delivery_id DESC",
    "size": "instance.payload_length DESC, delivery.delivery_id",
    "attempts": "delivery.attempts DESC, delivery.delivery_id",
}
OF_INSTANCES = "instance CROSS JOIN delivery ON delivery.instance_id = instance.instance_id"
"""The instances are found first: there is an index of what a filter says of them."""
WITH_INSTANCES = "delivery CROSS JOIN instance ON instance.instance_id = delivery.instance_id"


def select(which: DeliveryFilter, limit: int, order: DeliveryOrder = "oldest") -> tuple[str, dict[str, Any]]:
    """The statement that finds these deliveries, and its values. `limit` -1 is no limit."""
    values = _values(which)
    source = OF_INSTANCES if _is_of_instances(values) else WITH_INSTANCES if order == "size" else "delivery"
    statement = SQL["find_deliveries"].replace("{source}", source).replace("{filter}", _all_of(values))
    return statement.replace("{order}", ORDERS[order]), {**values, "limit": limit}


def studies(name: str, which: DeliveryFilter, *, is_newest_first: bool = False) -> tuple[str, dict[str, Any]]:
    """The statement `name` over the deliveries that fit and their instances, and its values but those of the page."""
    values = _values(which)
    source = OF_INSTANCES if _is_of_instances(values) else WITH_INSTANCES
    statement = SQL[name].replace("{source}", source).replace("{filter}", _all_of(values))
    comparison, direction = ("<", "DESC") if is_newest_first else (">", "ASC")
    return statement.replace("{behind}", comparison).replace("{direction}", direction), values


def _is_of_instances(values: Collection[str]) -> bool:
    return "sop_instance_uid" in values or "study_instance_uid" in values


def _all_of(values: Collection[str]) -> str:
    return " AND ".join(CONDITIONS[name] for name in values) or "true"


def paged(name: str, which: DeliveryFilter, states: Collection[DeliveryState]) -> tuple[str, dict[str, Any]]:
    """The statement `name` over the deliveries in one of `states` that fit, and its values but those of the page.

    Deliveries are read in the order of their identifiers, each once: an index of what is owed would be read anew for
    every page, and changes under the reader. Only those of one object are looked up.
    """
    values = _values(which)
    conditions = [CONDITIONS[each] for each in values] + [f"delivery.state IN ({_listed(states)})"]
    statement = SQL[name].replace("{source}", _source(values)).replace("{filter}", " AND ".join(conditions))
    return statement, values


def some(which: DeliveryFilter, looked_at: int) -> tuple[str, dict[str, Any]]:
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
    if "sop_instance_uid" in values:
        return OF_INSTANCES
    if "instance_ids" in values or "study_instance_uid" in values:
        deliveries = "delivery" if "instance_ids" in values else "delivery NOT INDEXED"
        return f"{deliveries} CROSS JOIN instance ON instance.instance_id = delivery.instance_id"
    return "delivery NOT INDEXED"


def _listed(states: Collection[DeliveryState]) -> str:
    return ", ".join(f"'{state.value}'" for state in states)


def _values(which: DeliveryFilter) -> dict[str, Any]:
    """Values of the fields that are not empty."""
    values: dict[str, Any] = {
        "ids": json.dumps(which.ids) if which.ids else None,
        "instance_ids": json.dumps(which.instance_ids) if which.instance_ids else None,
        "destination": which.destination,
        "state": which.state.value if which.state else None,
        "sop_instance_uid": which.sop_instance_uid or None,
        "study_instance_uid": which.study_instance_uid or None,
        "rule": which.rule or None,
        "reason": which.reason or None,
        "priority": None if which.priority is None else int(which.priority),
        "created_before": microseconds(which.created_before) if which.created_before else None,
        "created_after": microseconds(which.created_after) if which.created_after else None,
    }
    return {name: value for name, value in values.items() if value is not None}
