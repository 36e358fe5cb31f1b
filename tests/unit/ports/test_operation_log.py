"""The word for how far an operation has come."""

from __future__ import annotations

import pytest

from gateway.ports.operation_log import SILENT_AFTER, OperationState
from tests.support.samples import NOON, an_operation

STANDINGS = {
    "it runs": (OperationState.RUNNING, SILENT_AFTER, "running"),
    "it did nothing for long": (OperationState.RUNNING, 2 * SILENT_AFTER, "cut off"),
    "it ended long ago": (OperationState.COMPLETE, 100 * SILENT_AFTER, "complete"),
    "it was interrupted long ago": (OperationState.INTERRUPTED, 100 * SILENT_AFTER, "interrupted"),
}


@pytest.mark.parametrize("name", STANDINGS)
def test_standing(name: str) -> None:
    state, passed, word = STANDINGS[name]
    assert an_operation(state=state).standing(NOON + passed) == word
