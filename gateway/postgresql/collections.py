"""Collections on PostgreSQL, beside gateways that settle and accept at the same moment."""

from __future__ import annotations

from datetime import datetime

from gateway.model.collection import Collection
from gateway.ports.collections import LetGo
from gateway.postgresql.due_bounds import DueBounds
from gateway.postgresql.due_notices import Announce
from gateway.relational.collections import RelationalCollections
from gateway.relational.rows import microseconds
from gateway.relational.statements import Statements


class PostgreSQLCollections(RelationalCollections):
    """The `Collections` port on one connection. `announce` gets the destinations that deliveries are due for;
    `bounds`: from where claims look."""

    def __init__(self, statements: Statements, announce: Announce, bounds: DueBounds) -> None:
        super().__init__(statements)
        self._announce = announce
        self._bounds = bounds

    def let_go(self, collection: Collection, limit: int, now: datetime) -> LetGo:
        """Claims look for what is due now; nodes are told."""
        self._bounds.lower_all(microseconds(now))
        gone = super().let_go(collection, limit, now)
        self._announce(gone.destinations)
        return gone

    def _mark_settled(self, instance_ids: str, now_us: int) -> None:
        """The later one of this and a settlement at one moment, which end the last two deliveries of an instance, sees
        that nothing is owed any more."""
        self._statements.single("lock_siblings", ids=instance_ids)
        super()._mark_settled(instance_ids, now_us)
