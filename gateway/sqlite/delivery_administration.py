"""Operators' reads and verbs on SQLite. A page is read beside the gateway and holds no lock."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Sequence
from datetime import datetime

from gateway.model.delivery import Attempt, Delivery, DeliveryState
from gateway.ports.delivery_administration import DeliveryFilter
from gateway.sqlite import rows
from gateway.sqlite.connection import our_errors
from gateway.sqlite.delivery_filters import paged, select
from gateway.sqlite.row_reader import RowReader
from gateway.sqlite.rows import batch, microseconds
from gateway.sqlite.statements import SQL
from gateway.sqlite.transactions import Transactions


class SQLiteDeliveryAdministration:
    """The `DeliveryAdministration` port on one connection."""

    def __init__(self, transactions: Transactions, reader: RowReader) -> None:
        self._transactions = transactions
        self._reader = reader
        self._clock = transactions.clock

    def list(self, which: DeliveryFilter, limit: int, *, is_newest_first: bool = False) -> builtins.list[Delivery]:
        """Deliveries that fit, oldest first or newest first."""
        with self._transactions.one_state():
            return self._reader.deliveries(self._find(which, limit, is_newest_first=is_newest_first))

    def attempts(self, delivery_id: int) -> builtins.list[Attempt]:
        """The last attempts at a delivery, oldest first."""
        with our_errors(self._transactions.path):
            return [rows.attempt(row) for row in self._transactions.rows("attempts", delivery_id=delivery_id)]

    def retry(self, which: DeliveryFilter, now: datetime) -> int:
        """Dead and pending ones that nobody works on: due now, and given up as late as if they had arrived now."""
        ids, present = self._find(which), self._clock.now_us()
        return self._transactions.do("retry", ids=ids, now=microseconds(now), present=present)

    def hold(self, which: DeliveryFilter) -> int:
        """Pending and dead ones that nobody works on wait for an operator."""
        return self._transactions.do("hold", ids=self._find(which), present=self._clock.now_us())

    def release(self, which: DeliveryFilter, now: datetime, destination: str | None = None) -> int:
        """Held → pending: to `destination` when it is given, whatever they were held for, else to their own. Those held
        without one stay when none is given."""
        ids, to = self._find(which), destination or ""
        return self._transactions.do("release", ids=ids, now=microseconds(now), destination=to)

    def discard(self, which: DeliveryFilter) -> int:
        """Delete dead, held and pending deliveries that nobody works on."""
        present = self._clock.now_us()
        gone = [*self._transactions.rows("discard", ids=self._find(which), present=present)]
        if not gone:
            return 0
        self._transactions.do("delete_attempts", ids=batch([row[0] for row in gone]))
        instances = batch(sorted({row[1] for row in gone}))
        self._transactions.do("mark_settled_instances", ids=instances, now=self._clock.now_us())
        return len(gone)

    def _find(self, which: DeliveryFilter, limit: int = -1, *, is_newest_first: bool = False) -> str:
        """Identifiers of the deliveries that fit, as JSON."""
        statement, values = select(which, limit, is_newest_first=is_newest_first)
        return str(self._transactions.connection.execute(statement, values).get)

    # --- a page at a time ---------------------------------------------------------------------------------------

    def page(
        self, which: DeliveryFilter, states: Collection[DeliveryState], *, after: int, last: int, limit: int
    ) -> builtins.list[int]:
        """Up to `limit` deliveries that fit, in the order of their identifiers, behind `after` and up to `last`."""
        statement, values = paged("page", which, states)
        return self._column(statement, {**values, "after": after, "last": last, "limit": limit})

    def count(self, which: DeliveryFilter, states: Collection[DeliveryState]) -> int:
        """The number that fit."""
        statement, values = paged("count", which, states)
        return self._column(statement, values)[0]

    def last(self) -> int:
        """The newest delivery's identifier; 0 without any."""
        return self._column(SQL["last_delivery"], {})[0]

    def missing(self, ids: Sequence[int]) -> builtins.list[int]:
        """The identifiers among `ids` that no delivery has."""
        return self._column(SQL["missing"], {"ids": batch([*ids])})

    def held_for(self, ids: Sequence[int]) -> dict[str, int]:
        """Destination → how many of these deliveries are held for it."""
        with our_errors(self._transactions.path):
            return dict(self._transactions.rows("count_by_destination", ids=batch([*ids])))

    def has_destination(self, destination: str) -> bool:
        """True when any delivery names it."""
        return bool(self._column(SQL["has_destination"], {"destination": destination})[0])

    def _column(self, statement: str, values: dict[str, object]) -> builtins.list[int]:
        with our_errors(self._transactions.path):
            return [row[0] for row in self._transactions.connection.execute(statement, values)]

    # --- time ---------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The queue's time."""
        return self._clock.now()

    def on_the_wall(self, moment: datetime) -> datetime:
        """The wall clock's time at a moment of the queue's time that is near."""
        return self._clock.on_the_wall(moment)
