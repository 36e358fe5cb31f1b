"""Objects over which a destination ends the association, or falls silent, while it takes others.

A peer that cannot read an object often hangs up (dcmtk), or is silent until the time limit
(Orthanc). One such end says nothing: the peer may be in trouble itself. When it takes other objects in between, and
ends over this one again and again, the object is to blame.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.model.delivery import Delivery

MOST_TRIES = 4
"""The tries, with objects that the destination took between each two of them, after which an object is set aside."""
MOST_KEPT = 1024
"""Deliveries that are remembered, the ones of the latest trouble."""


class Suspects:
    """The suspects of one destination. Forgotten at a restart: the tries begin anew."""

    def __init__(self) -> None:
        self._tries: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """Delivery → (tries that count, how much had been taken at the last one)."""
        self._taken = 0

    def taken(self, delivery: Delivery) -> None:
        """The destination took this one."""
        self._taken += 1
        self._tries.pop(delivery.delivery_id, None)

    def is_known(self, delivery: Delivery) -> bool:
        """True when the destination ended over it before."""
        return delivery.delivery_id in self._tries

    def ended(self, delivery: Delivery) -> int:
        """The destination ended over this one; how often it did, without those between which it took nothing."""
        tries, taken = self._tries.pop(delivery.delivery_id, (0, -1))
        tries += taken < self._taken
        self._tries[delivery.delivery_id] = (tries, self._taken)
        if len(self._tries) > MOST_KEPT:
            self._tries.popitem(last=False)
        return tries

    def forget(self, delivery: Delivery) -> None:
        """Forget a delivery that will not be tried again."""
        self._tries.pop(delivery.delivery_id, None)
