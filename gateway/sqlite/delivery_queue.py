"""The delivery queue on SQLite: due deliveries are found, then leased."""

from __future__ import annotations

from datetime import datetime

from gateway.model.delivery import Delivery
from gateway.model.likeness import ExcludedLikenesses
from gateway.relational.delivery_queue import RelationalDeliveryQueue
from gateway.relational.rows import microseconds


class SQLiteDeliveryQueue(RelationalDeliveryQueue):
    """The `DeliveryQueue` port on one connection."""

    def claim(
        self, destination: str, limit: int, lease_s: float, now: datetime, apart: ExcludedLikenesses | None = None
    ) -> list[Delivery]:
        """Take due deliveries under a lease of `lease_s` seconds, oldest due first, then in order of arrival; with
        `apart` by likeness."""
        now_us = microseconds(now)
        horizon = self._acceptor.horizon(now_us)
        values = {"destination": destination, "now": now_us, "horizon": horizon, "limit": limit}
        if apart is None:
            ids = self._statements.single("find_due", **values)
        else:
            ids = self._apart("find_due_apart", values, apart)
        if ids == "[]":
            return []
        self._statements.do("lease", ids=ids, until=now_us + round(lease_s * 1_000_000))
        return self._reader.deliveries(ids)
