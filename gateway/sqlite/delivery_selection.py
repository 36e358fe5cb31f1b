"""What an operator means, page by page: reads beside the gateway that hold no lock and keep no more than a page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import apsw

from gateway.model.delivery import DeliveryState
from gateway.ports.delivery_queue import DeliveryFilter
from gateway.sqlite.connection import our_errors
from gateway.sqlite.delivery_filters import paged
from gateway.sqlite.rows import batch
from gateway.sqlite.statements import SQL


class DeliverySelection:
    """Of one connection to the queue."""

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def page(
        self, which: DeliveryFilter, states: Collection[DeliveryState], *, after: int, last: int, limit: int
    ) -> list[int]:
        """Up to `limit` deliveries that fit, in the order of their identifiers, behind `after` and up to `last`."""
        statement, values = paged("page", which, states)
        return self._column(statement, {**values, "after": after, "last": last, "limit": limit})

    def count(self, which: DeliveryFilter, states: Collection[DeliveryState]) -> int:
        """How many fit."""
        statement, values = paged("count", which, states)
        return self._column(statement, values)[0]

    def last(self) -> int:
        """The newest delivery's identifier; 0 without any."""
        return self._column(SQL["last_delivery"], {})[0]

    def missing(self, ids: Sequence[int]) -> list[int]:
        """Which of these identifiers no delivery has."""
        return self._column(SQL["missing"], {"ids": batch(list(ids))})

    def held_for(self, ids: Sequence[int]) -> dict[str, int]:
        """Destination → how many of these deliveries are held for it."""
        with our_errors(self._path):
            return dict(self._connection.execute(SQL["count_by_destination"], {"ids": batch(list(ids))}))

    def has_destination(self, destination: str) -> bool:
        """True when any delivery names it."""
        return bool(self._column(SQL["has_destination"], {"destination": destination})[0])

    def _column(self, statement: str, values: dict[str, object]) -> list[int]:
        with our_errors(self._path):
            return [row[0] for row in self._connection.execute(statement, values)]
