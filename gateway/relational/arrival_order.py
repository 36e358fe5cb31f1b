"""The order of arrival, also where the clock is set back."""

from __future__ import annotations

import structlog

from gateway.relational.statements import Statements

log = structlog.get_logger()

CLOCK_STEP_US = 3600 * 1_000_000
"""A clock that is set back by up to this much does not change the order of arrival; by more, all that waits is due."""


def horizon(statements: Statements, place: str, newest_us: int, now_us: int) -> int:
    """The time up to which deliveries are due, and at which new ones are created: the present, or the newest arrival
    when the clock was set back a little.

    When it was set back by more, deliveries that wait for a time of the former clock are made due: it may have been
    years ahead. `place`: of the store, for the log.
    """
    if newest_us <= now_us + CLOCK_STEP_US:
        return max(newest_us, now_us)
    delayed = statements.do("clock_was_set_back", now=now_us)
    statements.do("settled_in_future", now=now_us)
    statements.do("kept_in_future", now=now_us)
    statements.do("collections_in_future", now=now_us)
    log.warning("clock_set_back", path=place, deliveries=delayed)
    return now_us
