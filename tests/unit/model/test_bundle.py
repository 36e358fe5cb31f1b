"""The order in which what goes over one association is sent."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from gateway.model.bundle import order_in_bundle, place_in_bundle
from gateway.model.delivery import Delivery, DeliveryState
from tests.support.samples import NOON, instance

Values = tuple[str, ...] | None
ORDER: list[tuple[Values, Values]] = [
    (("-2147483648",), ("-2147483648",)),
    (("-1",), ("7",)),
    (("0",), ("1",)),
    (("1",), ("-3",)),
    (("1",), ("2",)),
    ((" 1 ",), ("+10",)),
    (("1",), ("2147483646",)),
    (("1",), None),
    (("2",), ("1",)),
    (("10",), ("1",)),
    (("2147483646",), ()),
    (None, ("1",)),
    (None, None),
]
SAME_AS_NONE = [(), ("",), ("one",), ("1.0",), ("2147483648",), ("-2147483649",), ("٣",), ("9" * 5000,)]


def test_numbers_go_before_text_order_and_what_has_none_is_last() -> None:
    places = [place_in_bundle(series, number) for series, number in ORDER]
    assert all(before < after for before, after in pairwise(places))
    assert places[0] >= -(1 << 63)
    assert places[-1] == (1 << 63) - 1


@pytest.mark.parametrize("values", SAME_AS_NONE, ids=lambda values: repr(values)[:20])
def test_what_is_no_number_has_none(values: tuple[str, ...]) -> None:
    assert place_in_bundle(values, values) == place_in_bundle(None, None)


def test_the_first_of_several_values_counts() -> None:
    assert place_in_bundle(("3", "9"), ("4", "1")) == place_in_bundle(("3",), ("4",))


def delivery(delivery_id: int, series_uid: str, place: int) -> Delivery:
    of = dataclasses.replace(instance(delivery_id), series_instance_uid=series_uid)
    pending = DeliveryState.PENDING
    return Delivery(delivery_id, of, "pacs", "rule", "", pending, 0, NOON, NOON, bundle="1.2", bundle_place=place)


def test_series_of_one_number_do_not_mingle_and_equal_places_go_by_arrival() -> None:
    first, second = place_in_bundle(("1",), ("1",)), place_in_bundle(("1",), ("2",))
    rows = [
        delivery(1, "1.9", second),
        delivery(2, "1.8", second),
        delivery(3, "1.9", first),
        delivery(4, "1.8", first),
    ]
    rows += [delivery(6, "1.8", first), delivery(5, "1.7", place_in_bundle(("2",), ("1",)))]
    assert [each.delivery_id for each in sorted(rows, key=order_in_bundle)] == [4, 6, 2, 3, 1, 5]
