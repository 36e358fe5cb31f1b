"""Bundles: what goes to one destination over one association, in the order of Series Number and Instance Number."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.attribute_path import AttributePath
from gateway.model.delivery import Delivery

SERIES_NUMBER = AttributePath(0x00200011, text="SeriesNumber")
INSTANCE_NUMBER = AttributePath(0x00200013, text="InstanceNumber")

BITS = 32
UNKNOWN = (1 << BITS) - 1
"""Stands behind the numbers that an Integer String can have (PS3.5 §6.2); with the very largest one."""
SMALLEST, LARGEST = -(1 << (BITS - 1)), (1 << (BITS - 1)) - 1


def place_in_bundle(series_number: Sequence[str] | None, instance_number: Sequence[str] | None) -> int:
    """A number of 64 bits that grows with the Series Number, then with the Instance Number; what has none, or none that
    can be read, is last.

    Args:
        series_number, instance_number: values as text, None where absent.
    """
    return (_rank(series_number) << BITS | _rank(instance_number)) - (1 << (2 * BITS - 1))


def order_in_bundle(delivery: Delivery) -> tuple[int, str, int, int]:
    """The key by which deliveries of one bundle are sent: series that have one number do not mingle."""
    place = delivery.bundle_place
    return place >> BITS, delivery.instance.series_instance_uid, place & UNKNOWN, delivery.delivery_id


def _rank(values: Sequence[str] | None) -> int:
    text = values[0].strip() if values else ""
    try:
        number = int(text) if text.isascii() else SMALLEST - 1
    except ValueError:
        return UNKNOWN
    return number - SMALLEST if SMALLEST <= number <= LARGEST else UNKNOWN
