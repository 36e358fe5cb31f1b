"""Operators' verbs on PostgreSQL, beside gateways that settle at the same moment."""

from __future__ import annotations

from datetime import datetime

from gateway.model.priority import Priority
from gateway.ports.delivery_administration import CorrectedDelivery, DeliveryFilter
from gateway.postgresql.due_notices import Announce
from gateway.relational.delivery_administration import RelationalDeliveryAdministration
from gateway.relational.row_reader import RowReader
from gateway.relational.statements import Dialect, Statements


class PostgreSQLDeliveryAdministration(RelationalDeliveryAdministration):
    """The `DeliveryAdministration` port on one connection. `announce` is called when deliveries are due again, for any
    destination."""

    def __init__(self, statements: Statements, dialect: Dialect, reader: RowReader, announce: Announce) -> None:
        super().__init__(statements, dialect, reader)
        self._announce = announce

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones that nobody works on are due now; nodes are told."""
        return self._announced(super().retry(which, now))

    def release(
        self, which: DeliveryFilter, now: datetime, destination: str | None = None, *, even_if_doubtful: bool = False
    ) -> int:
        """Held ones are due now; nodes are told."""
        return self._announced(super().release(which, now, destination, even_if_doubtful=even_if_doubtful))

    def retarget(
        self, which: DeliveryFilter, now: datetime, destination: str, *, even_if_doubtful: bool = False
    ) -> int:
        """They are due for another destination; nodes are told."""
        return self._announced(super().retarget(which, now, destination, even_if_doubtful=even_if_doubtful))

    def correct(self, correction: CorrectedDelivery, now: datetime, *, even_if_doubtful: bool = False) -> bool:
        """It is due now; nodes are told."""
        return bool(self._announced(super().correct(correction, now, even_if_doubtful=even_if_doubtful)))

    def send_again(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """New ones are due now; nodes are told."""
        return self._announced(super().send_again(which, now, destination))

    def set_priority(self, which: DeliveryFilter, priority: Priority) -> int:
        """Others go first now; nodes are told."""
        return self._announced(super().set_priority(which, priority))

    def _announced(self, number: int) -> int:
        if number:
            self._announce(None)
        return number

    def _take(self, which: DeliveryFilter) -> str:
        """Lock them first, in one order; the verb then sees them as the one before left them."""
        return str(self._statements.single("take_deliveries", ids=self._find(which), present=self._clock.now_us()))

    def _mark_settled(self, instance_ids: str, now_us: int) -> None:
        """The later one of a discard and a settlement at one moment, which end the last two deliveries of an instance,
        sees that nothing is owed any more."""
        self._statements.single("lock_siblings", ids=instance_ids)
        super()._mark_settled(instance_ids, now_us)
