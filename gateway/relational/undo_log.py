"""Changes of operators that can be undone, in a relational database. A row goes back as a migration would add it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.model.delivery import RULE_PAUSED, DeliveryState
from gateway.ports.store_rows import TABLES, StoredRow
from gateway.ports.undo_log import DeliveryChange, UndoCount, mark_of
from gateway.relational.rows import batch
from gateway.relational.statements import Statements

COLUMNS = TABLES["delivery"]
LEASE, INSTANCE = COLUMNS.index("lease"), COLUMNS.index("instance_id")
STATE, REASON = COLUMNS.index("state"), COLUMNS.index("reason")


class DeliveryRows(Protocol):
    """Deliveries as rows of `TABLES`."""

    def idle_deliveries(self, ids: Sequence[int]) -> Sequence[StoredRow]:
        """Those that are there and under no lease."""
        ...

    def add(self, table: str, rows: Sequence[StoredRow]) -> None:
        """Add rows with the identifiers that they have."""
        ...


class RelationalUndoLog:
    """The `UndoLog` port on one connection."""

    def __init__(self, statements: Statements, rows: DeliveryRows) -> None:
        self._statements = statements
        self._rows = rows

    def take(self, ids: Sequence[int], instances: Sequence[int]) -> Sequence[int]:
        """All of them: a transaction of this database has it alone."""
        return ids

    def delivery_images(self, ids: Sequence[int]) -> Mapping[int, str]:
        """The rows of those that are there and under no lease."""
        return {row[0]: _image(row) for row in self._rows.idle_deliveries(ids)}

    def keep_changes(self, operation_id: int, changes: Sequence[DeliveryChange]) -> None:
        """Keep them for the operation."""
        values = [(operation_id, each.delivery_id, each.before, each.after) for each in changes]
        self._statements.do("keep_changes", changes=batch(values))

    def changes_of(self, operation_id: int, after: int, limit: int) -> Sequence[DeliveryChange]:
        """The first ones that are kept, by delivery."""
        with self._statements.errors():
            found = self._statements.rows("changes_of", operation_id=operation_id, after=after, limit=limit)
            return [DeliveryChange(*row) for row in found]

    def undoable(self, changes: Sequence[DeliveryChange]) -> UndoCount:
        """The numbers that `put_back` would have now."""
        with self._statements.errors():
            there = self._there(changes)
            return _count(changes, *self._fit(changes, there))

    def put_back(self, operation_id: int, changes: Sequence[DeliveryChange]) -> UndoCount:
        """Put back the rows that are as the operation left them."""
        ids = [each.delivery_id for each in changes]
        found = self._there(changes).values()
        self._lock(ids, sorted({row[INSTANCE] for row in (*found, *filter(None, map(_row, changes)))}))
        there = self._there(changes)
        same, fit = self._fit(changes, there)
        if fit:
            self._replace(fit, there)
        self._statements.do("drop_changes_of", operation_id=operation_id, ids=batch(ids))
        return _count(changes, same, fit)

    def _lock(self, ids: Sequence[int], instances: Sequence[int]) -> None:
        """A transaction of this database has it alone."""

    def _there(self, changes: Sequence[DeliveryChange]) -> Mapping[int, StoredRow]:
        return {row[0]: row for row in self._rows.idle_deliveries([each.delivery_id for each in changes])}

    def _fit(
        self, changes: Sequence[DeliveryChange], there: Mapping[int, StoredRow]
    ) -> tuple[list[DeliveryChange], list[DeliveryChange]]:
        """Those that are as they were left, and those of them whose objects are there."""
        marks = {key: mark_of(_image(row)) for key, row in there.items()}
        gone = [each.delivery_id for each in changes if not each.after]
        missing = {row[0] for row in self._statements.rows("missing", ids=batch(gone))}
        same = [
            each
            for each in changes
            if (marks.get(each.delivery_id) == each.after if each.after else each.delivery_id in missing)
        ]
        rows = {each.delivery_id: row for each in same if (row := _row(each))}
        wanted = batch(sorted({row[INSTANCE] for row in rows.values()}))
        known = {row[0] for row in self._statements.rows("instances_there", ids=wanted)}
        return same, [each for each in same if not each.before or rows[each.delivery_id][INSTANCE] in known]

    def _replace(self, changes: Sequence[DeliveryChange], there: Mapping[int, StoredRow]) -> None:
        rows = [_renewed(row, there.get(row[0])) for row in filter(None, map(_row, changes))]
        added = [row for each in changes if not each.before and (row := there.get(each.delivery_id))]
        self._statements.do("remove_deliveries", ids=batch([each.delivery_id for each in changes]))
        if rows:
            self._rows.add("delivery", rows)
            owing = batch(sorted({row[INSTANCE] for row in rows}))
            self._statements.do("wake_owing", ids=owing)
            self._statements.do("wake_kept_owing", ids=owing)
        if added:
            settled = batch(sorted({row[INSTANCE] for row in added}))
            now_us = self._statements.clock.now_us()
            self._statements.do("mark_settled_instances", ids=settled, now=now_us)
            self._statements.do("begin_keeping", ids=settled, now=now_us)

    def drop_changes(self, up_to: int, limit: int) -> int:
        """Up to `limit` changes of operations up to this one are kept no more."""
        return self._statements.do("drop_changes", up_to=up_to, limit=limit)


def _image(row: StoredRow) -> str:
    return json.dumps(row, ensure_ascii=False)


def _row(change: DeliveryChange) -> StoredRow | None:
    """The row before; None when there was none."""
    return tuple(json.loads(change.before)) if change.before else None


def _renewed(before: StoredRow, after: StoredRow | None) -> StoredRow:
    """The row with a fencing token that nobody has. What a paused rule held waits for its turn: the rule may go on
    since, and what was held for it was let go then."""
    lease = 1 + max(int(row[LEASE]) for row in (before, after) if row is not None)
    values: list[Any] = [*before]
    values[LEASE] = lease
    if (values[STATE], values[REASON]) == (DeliveryState.HELD.value, RULE_PAUSED):
        values[STATE], values[REASON] = DeliveryState.PENDING.value, ""
    return tuple(values)


Changes = Sequence[DeliveryChange]


def _count(changes: Changes, same: Changes, fit: Changes) -> UndoCount:
    return UndoCount(len(fit), len(changes) - len(same), len(same) - len(fit))
