"""The request that a process ends: by signals, of which the second is urgent, and by orders, which are no signals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from gateway.lifecycle.signals import Stop


@pytest.mark.parametrize(
    ("calls", "is_forced", "logged"),
    [
        (("request",), False, [False]),
        (("request", "request"), True, [False, True]),
        (("request", "request", "request"), True, [False, True]),
        (("drain", "drain"), False, [False]),
        (("request", "drain"), False, [False]),
        (("drain", "request"), False, [False]),
        (("drain", "request", "request"), True, [False, True]),
        (("force",), True, [True]),
        (("drain", "force", "request"), True, [False, True]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_second_signal_aborts_whatever_was_ordered_beside(
    calls: Sequence[str], is_forced: bool, logged: list[bool]
) -> None:
    stop = Stop()
    with capture_logs() as events:
        for call in calls:
            getattr(stop, call)("SIGTERM")
    assert (stop.requested.is_set(), stop.forced.is_set()) == (True, is_forced)
    assert [event["is_urgent"] for event in events] == logged
