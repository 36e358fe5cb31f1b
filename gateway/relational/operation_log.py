"""The record of what operators did, in a relational database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.ports.operation_log import OPERATIONS_KEPT, OperationRecord, OperationState
from gateway.relational.rows import cleaned, microseconds, moment
from gateway.relational.statements import Statements


class RelationalOperationLog:
    """The `OperationLog` port on one connection."""

    def __init__(self, statements: Statements, most: int = OPERATIONS_KEPT) -> None:
        self._statements = statements
        self._most = most

    def begin_operation(self, operation: OperationRecord) -> int:
        """Keep it, with an identifier of its own."""
        texts = (operation.verb, operation.operator, operation.why, operation.target, operation.filter_json)
        verb, operator, why, target, which = cleaned(list(texts))
        operation_id = int(
            self._statements.single(
                "insert_operation",
                verb=verb,
                operator=operator,
                why=why,
                target=target,
                filter=which,
                meant=operation.meant,
                done=operation.done,
                stayed=operation.stayed,
                state=operation.state.value,
                began_at=microseconds(operation.began_at),
                changed_at=microseconds(operation.changed_at),
            )
        )
        self._statements.do("forget_operations", last=operation_id - self._most)
        return operation_id

    def note_operation(self, operation_id: int, done: int, stayed: int, state: OperationState, now: datetime) -> None:
        """So many more are done, and stayed."""
        changed_at = microseconds(now)
        self._statements.do(
            "note_operation",
            operation_id=operation_id,
            done=done,
            stayed=stayed,
            state=state.value,
            changed_at=changed_at,
        )

    def last_operations(self, limit: int) -> Sequence[OperationRecord]:
        """The newest first."""
        with self._statements.errors():
            return [_operation(*row) for row in self._statements.rows("last_operations", limit=limit)]


def _operation(
    operation_id: int,
    verb: str,
    operator: str,
    why: str,
    target: str,
    filter_json: str,
    meant: int,
    done: int,
    stayed: int,
    state: str,
    began_at: int,
    changed_at: int,
) -> OperationRecord:
    """The operation of a row of `last_operations`."""
    began, changed = moment(began_at), moment(changed_at)
    kept = OperationState(state)
    return OperationRecord(
        verb, operator, why, target, filter_json, meant, began, changed, done, stayed, kept, operation_id
    )
