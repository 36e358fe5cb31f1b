"""An operator's filters as SQL: the tables that they read."""

from __future__ import annotations

import pytest

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.postgresql.delivery_filters import paged, select
from tests.support.samples import NOON

SOURCES = {
    "any": (DeliveryFilter(), "FROM delivery\n"),
    "by destination": (DeliveryFilter(destination="pacs"), "FROM delivery\n"),
    "by time": (DeliveryFilter(created_before=NOON, created_after=NOON), "FROM delivery\n"),
    "by object": (DeliveryFilter(sop_instance_uid="1.2"), "FROM delivery JOIN instance"),
    "by study": (DeliveryFilter(study_instance_uid="1.2"), "FROM delivery JOIN instance"),
}


@pytest.mark.parametrize(("which", "source"), SOURCES.values(), ids=SOURCES)
def test_instances_are_read_where_a_filter_speaks_of_them(which: DeliveryFilter, source: str) -> None:
    assert source in select(which, -1)[0]
    assert source in paged("page", which, [DeliveryState.DEAD])[0]


def test_values_are_bound_and_never_written_into_a_statement() -> None:
    which = DeliveryFilter(ids=(7,), destination="x' OR true --", rule="a\0b", state=DeliveryState.HELD)
    statement, values = select(which, 5, "newest")
    assert "true --" not in statement
    assert "DESC" in statement
    assert values == {"ids": [7], "destination": "x' OR true --", "rule": "a\ufffdb", "state": "held", "limit": 5}


def test_no_limit_is_none() -> None:
    assert select(DeliveryFilter(), -1)[1] == {"limit": None}
