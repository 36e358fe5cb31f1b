"""Two entries of one study and name together."""

from __future__ import annotations

from datetime import timedelta

from gateway.ports.trace_entries import TraceEntry
from tests.support.samples import NOON

MINUTE = timedelta(minutes=1)


def test_entries_are_added() -> None:
    one = TraceEntry("1.1", "destination", "pacs", 3, 2, 30, 1, NOON, NOON + MINUTE, NOON + 5 * MINUTE)
    other = TraceEntry("1.1", "destination", "pacs", 1, 0, 7, 4, NOON - MINUTE, NOON)
    both = TraceEntry("1.1", "destination", "pacs", 4, 2, 37, 4, NOON - MINUTE, NOON + MINUTE, NOON + 5 * MINUTE)
    assert one + other == other + one == both
    assert (other + other).last_delivered_at is None
