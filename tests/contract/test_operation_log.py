"""What every `OperationLog` must do; run against each implementation."""

from __future__ import annotations

import contextlib
import dataclasses

from gateway.ports.operation_log import OperationState
from gateway.ports.store import Store
from tests.support.samples import Clock, an_operation


def test_an_operation_is_kept_as_it_began(queue: Store, clock: Clock) -> None:
    begun = an_operation(clock(), why="ü\u2028 'so'", target="vna", filter_json="{}")
    with queue.transaction():
        operation_id = queue.operations.begin_operation(begun)
    assert queue.operations.last_operations(10) == [dataclasses.replace(begun, operation_id=operation_id)]


def test_what_is_noted_adds_up(queue: Store, clock: Clock) -> None:
    with queue.transaction():
        first = queue.operations.begin_operation(an_operation())
        second = queue.operations.begin_operation(an_operation(verb="retry"))
    for done, stayed, state in ((5, 1, OperationState.RUNNING), (2, 0, OperationState.COMPLETE)):
        clock.advance(1)
        with queue.transaction():
            queue.operations.note_operation(first, done, stayed, state, clock())
    retry, hold = queue.operations.last_operations(10)
    assert (hold.operation_id, hold.done, hold.stayed, hold.state, hold.changed_at) == (
        *(first, 7, 1, OperationState.COMPLETE),
        clock(),
    )
    assert (retry.operation_id, retry.done, retry.state) == (second, 0, OperationState.RUNNING)


def test_the_newest_come_first(queue: Store) -> None:
    for verb in ("hold", "release", "retry"):
        with queue.transaction():
            queue.operations.begin_operation(an_operation(verb=verb))
    assert [each.verb for each in queue.operations.last_operations(2)] == ["retry", "release"]


def test_what_is_rolled_back_was_not_noted(queue: Store, clock: Clock) -> None:
    with queue.transaction():
        begun = queue.operations.begin_operation(an_operation())
    with contextlib.suppress(ZeroDivisionError), queue.transaction():
        queue.operations.note_operation(begun, 5, 0, OperationState.RUNNING, clock())
        raise ZeroDivisionError
    (kept,) = queue.operations.last_operations(10)
    assert kept.done == 0
