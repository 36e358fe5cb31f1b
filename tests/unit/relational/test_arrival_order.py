"""The order of arrival where the clock is set back: the time that counts, and what is made due."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.relational.arrival_order import CLOCK_STEP_US, horizon
from gateway.relational.statements import Statements

NOW_US = 10 * CLOCK_STEP_US
MADE_DUE = ["clock_was_set_back", "settled_in_future", "kept_in_future", "collections_in_future"]


class Noting:
    """Notes the statements that are run."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def do(self, name: str, **values: Any) -> int:
        assert values == {"now": NOW_US}
        self.done.append(name)
        return 3


@pytest.mark.parametrize(
    ("newest_us", "expected_us", "done"),
    [
        pytest.param(0, NOW_US, [], id="nothing came yet"),
        pytest.param(NOW_US - 1, NOW_US, [], id="the clock goes on"),
        pytest.param(NOW_US + 1, NOW_US + 1, [], id="set back a little"),
        pytest.param(NOW_US + CLOCK_STEP_US, NOW_US + CLOCK_STEP_US, [], id="set back as far as order holds"),
        pytest.param(NOW_US + CLOCK_STEP_US + 1, NOW_US, MADE_DUE, id="set back further"),
    ],
)
def test_the_time_that_counts(newest_us: int, expected_us: int, done: list[str]) -> None:
    statements = Noting()
    assert horizon(cast(Statements, statements), "queue.db", newest_us, NOW_US) == expected_us
    assert statements.done == done
