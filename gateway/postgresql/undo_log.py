"""Changes of operators that can be undone, on PostgreSQL, beside gateways that settle and forget at the same moment."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gateway.ports.undo_log import DeliveryChange, UndoCount
from gateway.postgresql.due_notices import Announce
from gateway.relational.rows import batch
from gateway.relational.statements import Statements
from gateway.relational.undo_log import DeliveryRows, RelationalUndoLog


class PostgreSQLUndoLog(RelationalUndoLog):
    """The `UndoLog` port on one connection. `announce` is called when deliveries may be due again."""

    def __init__(self, statements: Statements, rows: DeliveryRows, announce: Announce) -> None:
        super().__init__(statements, rows)
        self._announce = announce

    def take(self, ids: Sequence[int], instances: Sequence[int]) -> Sequence[int]:
        """Those that are locked: what is under a lease may be settled, and claimed again, at any moment."""
        if instances:
            self._statements.single("lock_siblings", ids=batch(instances))  # as a send again does
        found = self._statements.single("take_deliveries", ids=batch(ids), present=self._statements.clock.now_us())
        return [*json.loads(found)]

    def _lock(self, ids: Sequence[int], instances: Sequence[int]) -> None:
        """A claim, a settlement or a verb on its way ends first, and the next one sees what is put back."""
        self._statements.single("lock_siblings", ids=batch(instances))
        self._statements.single("take_deliveries", ids=batch(ids), present=self._statements.clock.now_us())
        self._statements.single("lock_for_undo", ids=batch(instances))

    def put_back(self, operation_id: int, changes: Sequence[DeliveryChange]) -> UndoCount:
        """Put back the rows that are as the operation left them; nodes are told."""
        found = super().put_back(operation_id, changes)
        if found.done:
            self._announce(None)
        return found
