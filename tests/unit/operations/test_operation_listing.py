"""What is shown of an operation."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState
from gateway.operations.operation_listing import OPERATION_FIELDS, filter_as_json, operation_json
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.ports.operation_log import OperationState
from tests.support.samples import NOON, an_operation

FILTERS: dict[str, tuple[DeliveryFilter, dict[str, Any]]] = {
    "all": (DeliveryFilter(), {}),
    "without a destination": (DeliveryFilter(destination=""), {"destination": ""}),
    "several": (
        DeliveryFilter(ids=(1, 2), state=DeliveryState.DEAD, rule="heads", created_after=NOON),
        {"ids": [1, 2], "state": "dead", "rule": "heads", "created_after": NOON.isoformat()},
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_are_those_that_were_given(name: str) -> None:
    which, expected = FILTERS[name]
    assert json.loads(json.dumps(filter_as_json(which))) == expected


def test_an_operation_as_json() -> None:
    shown = operation_json(an_operation(operation_id=3, done=5, state=OperationState.COMPLETE), NOON)
    assert tuple(shown) == OPERATION_FIELDS
    assert (shown["id"], shown["filter"], shown["meant"], shown["done"]) == (3, {"destination": "pacs"}, 7, 5)
    assert json.loads(json.dumps(shown)) == shown


def test_one_that_did_nothing_for_an_hour_was_cut_off() -> None:
    assert operation_json(an_operation(), NOON + timedelta(hours=1))["state"] == "cut off"
