"""The delivery queue on PostgreSQL: one statement claims, beside those of other gateways."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.model.delivery import Delivery
from gateway.model.likeness import ExcludedLikenesses
from gateway.relational.delivery_queue import RelationalDeliveryQueue
from gateway.relational.rows import microseconds


class PostgreSQLDeliveryQueue(RelationalDeliveryQueue):
    """The `DeliveryQueue` port on one connection.

    What is pending has a row in `due`, which is all that a claim changes; a settlement deletes it, or gives it another
    time. No row is changed by the settlements of several deliveries.
    """

    def claim(
        self, destination: str, limit: int, lease_s: float, now: datetime, apart: ExcludedLikenesses | None = None
    ) -> list[Delivery]:
        """Take due deliveries under a lease of `lease_s` seconds, oldest due first, then in order of arrival; with
        `apart` by likeness. What another transaction takes at this moment is passed over."""
        now_us = microseconds(now)
        values: dict[str, Any] = {
            "destination": destination,
            "now": now_us,
            "horizon": self._acceptor.horizon(now_us),
            "until": now_us + round(lease_s * 1_000_000),
            "limit": limit,
        }
        ids = self._statements.single("claim", **values) if apart is None else self._apart("claim_apart", values, apart)
        return [] if ids == "[]" else self._reader.deliveries(ids)
