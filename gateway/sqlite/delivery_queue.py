"""The delivery queue on SQLite: due deliveries are found, then leased."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType

from gateway.model.delivery import Delivery
from gateway.model.likeness import ExcludedLikenesses
from gateway.model.priority import in_turn
from gateway.ports.delivery_queue import IN_ORDER, ClaimOrder
from gateway.relational.delivery_queue import RelationalDeliveryQueue
from gateway.relational.rows import batch, microseconds
from gateway.sqlite.statements import SQL


class SQLiteDeliveryQueue(RelationalDeliveryQueue):
    """The `DeliveryQueue` port on one connection."""

    _find_due_urgent = SQL["find_due_urgent"]
    _which_urgent = MappingProxyType(
        {
            "urgent": "state = 'pending' AND state <> 'delivered' AND priority = 0",
            "passing": "state = 'pending' AND priority = 0 AND passes_window = 1",
        }
    )

    def claim(
        self,
        destination: str,
        limit: int,
        lease_s: float,
        now: datetime,
        apart: ExcludedLikenesses | None = None,
        order: ClaimOrder = IN_ORDER,
    ) -> list[Delivery]:
        """Take due deliveries under a lease of `lease_s` seconds, by priority as `order` says, oldest due first, then
        in order of arrival; with `apart` by likeness."""
        now_us = microseconds(now)
        horizon = self._acceptor.horizon(now_us)
        values = {"destination": destination, "now": now_us, "horizon": horizon, "limit": limit}
        if order.only:
            ids = self._urgent(values, apart, order)
        elif apart is None:
            ids = batch(in_turn(self._statements.json("find_due", **values), limit, order.lower))
        else:
            ids = self._apart("find_due_apart", values, apart)
        return self._leased_now(str(ids), now_us, lease_s)

    def claim_bundle(self, destination: str, bundle: str, limit: int, lease_s: float, now: datetime) -> list[Delivery]:
        """The same of one bundle, in its order."""
        now_us = microseconds(now)
        values = {"destination": destination, "bundle": bundle, "now": now_us, "limit": limit}
        ids = self._statements.single("find_due_in_bundle", **values, horizon=self._acceptor.horizon(now_us))
        return self._leased_now(str(ids), now_us, lease_s)

    def _leased_now(self, ids: str, now_us: int, lease_s: float) -> list[Delivery]:
        """The deliveries of these identifiers (JSON), under a lease from now on."""
        if ids == "[]":
            return []
        self._statements.do("lease", ids=ids, until=now_us + round(lease_s * 1_000_000))
        return self._reader.deliveries(ids)
