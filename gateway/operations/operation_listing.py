"""The record of operations as it is shown: JSON of each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from gateway.model.priority import Priority
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.operation_log import OPERATIONS_KEPT, OperationRecord
from gateway.ports.store_access import StoreAccess

OPERATION_FIELDS = (
    *("id", "began_at", "changed_at", "operator", "verb", "filter", "to", "meant", "done", "stayed", "state", "why"),
)
"""The fields of `operation_json`, in order."""


async def list_operations(access: StoreAccess, limit: int, now: datetime) -> list[dict[str, Any]]:
    """The last operations as JSON, the newest first. `now` is the wall clock's time."""
    found = await access.read(lambda store: store.operations.last_operations(limit))
    return [operation_json(each, now) for each in found]


async def show_operation(access: StoreAccess, operation_id: int, now: datetime) -> dict[str, Any] | None:
    """One of those that are kept, as JSON; None when it is not. `now` is the wall clock's time."""
    found = await access.read(lambda store: store.operations.last_operations(OPERATIONS_KEPT))
    return next((operation_json(each, now) for each in found if each.operation_id == operation_id), None)


def operation_json(operation: OperationRecord, now: datetime) -> dict[str, Any]:
    """One operation. The filter may have UIDs, and no other value of an object."""
    values = (
        operation.operation_id,
        operation.began_at.isoformat(),
        operation.changed_at.isoformat(),
        operation.operator,
        operation.verb,
        json.loads(operation.filter_json),
        operation.target,
        operation.meant,
        operation.done,
        operation.stayed,
        operation.standing(now),
        operation.why,
    )
    return dict(zip(OPERATION_FIELDS, values, strict=True))


def filter_as_json(which: DeliveryFilter) -> Mapping[str, Any]:
    """The filters that were given."""
    given = {each.name: getattr(which, each.name) for each in dataclasses.fields(which)}
    return {
        name: _plain(value)
        for name, value in given.items()
        if value not in ((), None, "") or (name == "destination" and value == "")
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Priority):
        return value.word
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value
