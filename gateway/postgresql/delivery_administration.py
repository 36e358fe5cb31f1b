"""Operators' verbs on PostgreSQL, beside gateways that settle at the same moment."""

from __future__ import annotations

from gateway.ports.delivery_administration import DeliveryFilter
from gateway.relational.delivery_administration import RelationalDeliveryAdministration


class PostgreSQLDeliveryAdministration(RelationalDeliveryAdministration):
    """The `DeliveryAdministration` port on one connection."""

    def _take(self, which: DeliveryFilter) -> str:
        """Lock them first, in one order; the verb then sees them as the one before left them."""
        return str(self._statements.single("take_deliveries", ids=self._find(which), present=self._clock.now_us()))

    def _mark_settled(self, instance_ids: str) -> None:
        """The later one of a discard and a settlement at one moment, which end the last two deliveries of an instance,
        sees that nothing is owed any more."""
        self._statements.single("lock_siblings", ids=instance_ids)
        super()._mark_settled(instance_ids)
